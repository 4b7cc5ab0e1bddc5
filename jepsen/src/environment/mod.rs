//! Where the cluster under test lives: nodes as processes, the network between them, their disks.
//!
//! | | [`Kind::Namespaces`] (root) | [`Kind::Loopback`] (anybody) |
//! |---|---|---|
//! | network | a namespace per node, a packet `switch` in user space | 127.0.0.1, a `proxy` per door |
//! | cut, one-way cut, delay, rate | packets are dropped, come later | bytes are held back |
//! | loss, doubling | yes | no: a stream has neither |
//! | disk | an ext4 `volume` of its own per node | a directory |
//! | power cut, full disk | yes | no |
//!
//! Both obey one table of directed `links`. Everything made is told the [`janitor`] first.

mod injector;
pub mod janitor;
pub mod links;
mod namespace;
mod proxy;
mod server;
mod switch;
pub mod tool;
mod volume;
mod whose;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub use injector::{Injector, Tampering};
pub use janitor::{Janitor, Made};
pub use links::{Host, Layer, Links, NODES_MAX, Traffic};
pub use namespace::Namespace;
pub use server::{Launch, Life, Server};
pub use switch::{Switch, address_of};
pub use volume::{Contents, Volume};

use proxy::{Dialers, Dialler, Proxy};

/// Where every node of the namespaces listens.
const HTTP_PORT: u16 = 8080;
const PEER_PORT: u16 = 7001;
/// How many this process has built: their names differ.
static BUILT: AtomicU32 = AtomicU32::new(0);

/// Which environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Namespaces and volumes; needs root.
    Namespaces,
    /// Loopback, proxies and plain directories.
    Loopback,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Loopback => "loopback",
        })
    }
}

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which environment.
    pub kind: Kind,
    /// How many nodes, at most [`NODES_MAX`].
    pub nodes: u8,
    /// Where images and data go; made if missing, cleared away in the end.
    pub dir: PathBuf,
    /// Where the nodes' words go; they stay.
    pub logs: PathBuf,
    /// The size of a node's volume.
    pub volume_bytes: u64,
    /// Draws of the switch and the proxies follow from it.
    pub seed: u64,
}

/// A node's place.
#[derive(Debug)]
pub struct Site {
    /// Its id.
    pub id: u8,
    /// Where it is to listen for HTTP.
    pub http_bind: SocketAddr,
    /// Where it is to listen for its peers.
    pub peer_bind: SocketAddr,
    /// Where its clients reach it.
    pub http: SocketAddr,
    /// Where its peers reach it.
    pub peer: SocketAddr,
    /// Where the administrator reaches it.
    pub admin: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// Its words.
    pub log: PathBuf,
    /// Its network, if it has one of its own.
    pub namespace: Option<Namespace>,
    /// Its disk, if it has one of its own.
    pub volume: Option<Volume>,
}

/// The ground on which a cluster stands.
pub struct Environment {
    /// Which one.
    pub kind: Kind,
    /// What passes between whom.
    pub links: Arc<Links>,
    /// The nodes' places.
    pub sites: Vec<Site>,
    /// Clears everything away in the end.
    pub janitor: Arc<Janitor>,
    dialers: Dialers,
    clients: Option<Namespace>,
    /// Of the loopback's doors, until they are opened.
    doors: Mutex<Vec<(TcpListener, Dialler, Host, SocketAddr)>>,
    seed: u64,
    switch: Option<Switch>,
}

impl Environment {
    /// Builds it. On an error, what was made so far is cleared away with the janitor.
    pub fn build(plan: &Plan, janitor: Arc<Janitor>) -> io::Result<Self> {
        if !(1..=NODES_MAX).contains(&plan.nodes) {
            let message = format!("{} nodes: 1 to {NODES_MAX} are possible", plan.nodes);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        janitor.made(Made::Directory(plan.dir.clone()))?;
        fs::create_dir_all(&plan.dir)?;
        fs::create_dir_all(&plan.logs)?;
        let mut environment = Self {
            kind: plan.kind,
            links: Arc::new(Links::open(plan.nodes)),
            sites: Vec::new(),
            janitor,
            dialers: Arc::default(),
            clients: None,
            doors: Mutex::default(),
            seed: plan.seed,
            switch: None,
        };
        match plan.kind {
            Kind::Namespaces => environment.lay_namespaces(plan)?,
            Kind::Loopback => environment.lay_loopback(plan)?,
        }
        Ok(environment)
    }

    fn lay_namespaces(&mut self, plan: &Plan) -> io::Result<()> {
        let mut devices: Vec<(Vec<Host>, File)> = Vec::new();
        let number = BUILT.fetch_add(1, Ordering::Relaxed);
        let name = |who: &str| format!("jepsen-{}-{number}-{who}", std::process::id());
        for id in 1..=plan.nodes {
            let host = Host::Node(id);
            let address = address_of(host);
            let (namespace, device) =
                Namespace::make(&name(&host.to_string()), &[address], &self.janitor)?;
            devices.push((vec![host], device));
            let volume =
                Volume::make(&plan.dir, &host.to_string(), plan.volume_bytes, &self.janitor)?;
            let (http, peer) = (at(address, HTTP_PORT), at(address, PEER_PORT));
            self.sites.push(Site {
                id,
                http_bind: http,
                peer_bind: peer,
                http,
                peer,
                admin: http,
                data: volume.path().join("data"),
                log: plan.logs.join(format!("{host}.log")),
                namespace: Some(namespace),
                volume: Some(volume),
            });
        }
        let outside = [address_of(Host::Clients), address_of(Host::Admin)];
        let (clients, device) = Namespace::make(&name("clients"), &outside, &self.janitor)?;
        devices.push((vec![Host::Clients, Host::Admin], device));
        self.clients = Some(clients);
        self.switch = Some(Switch::start(Arc::clone(&self.links), devices, plan.seed)?);
        Ok(())
    }

    fn lay_loopback(&mut self, plan: &Plan) -> io::Result<()> {
        // All are held until all are known, so no two are the same.
        let real = listeners(usize::from(plan.nodes) * 2)?;
        let mut real = real.iter();
        let mut doors = Vec::new();
        for id in 1..=plan.nodes {
            let host = Host::Node(id);
            let mut next = || {
                let listener = real.next().ok_or_else(|| io::Error::other("two for each node"))?;
                listener.local_addr()
            };
            let (http_bind, peer_bind) = (next()?, next()?);
            let mut door = |dialler: Dialler, target: SocketAddr| {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let address = listener.local_addr()?;
                doors.push((listener, dialler, host, target));
                io::Result::Ok(address)
            };
            self.sites.push(Site {
                id,
                http_bind,
                peer_bind,
                http: door(Dialler::Is(Host::Clients), http_bind)?,
                peer: door(Dialler::Node(Arc::clone(&self.dialers)), peer_bind)?,
                admin: http_bind,
                data: plan.dir.join(host.to_string()).join("data"),
                log: plan.logs.join(format!("{host}.log")),
                namespace: None,
                volume: None,
            });
        }
        self.doors = Mutex::new(doors);
        Ok(())
    }

    /// A runtime whose sockets are the clients'. The calling thread moves there too.
    pub fn runtime(&self) -> io::Result<Runtime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all();
        if let Some(clients) = self.clients.clone() {
            clients.enter()?;
            builder.on_thread_start(move || {
                clients.enter().expect("a namespace that was entered once can be entered again");
            });
        }
        builder.build()
    }

    /// Opens the doors of the loopback; they close with the returned tasks.
    pub fn open_doors(&self) -> io::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let mut doors = self.doors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (number, (listener, dialler, to, target)) in (1..).zip(doors.drain(..)) {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (links, seed) = (Arc::clone(&self.links), self.seed ^ number);
            tasks.spawn(Proxy { listener, dialler, to, target, links, seed }.serve());
        }
        Ok(tasks)
    }

    /// The process of a node that is not started yet.
    pub fn server(&self, site: &Site) -> Server {
        Server::new(Host::Node(site.id), Arc::clone(&self.janitor), Arc::clone(&self.dialers))
    }

    /// The address from which somebody's requests come, if it matters.
    pub fn source(&self, host: Host) -> Option<IpAddr> {
        match self.kind {
            Kind::Namespaces => Some(address_of(host).into()),
            Kind::Loopback => None,
        }
    }

    /// What it is, in words, for the report.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        BTreeMap::from([
            ("environment".to_owned(), self.kind.to_string()),
            ("kernel".to_owned(), kernel.trim().to_owned()),
        ])
    }
}

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

fn listeners(count: usize) -> io::Result<Vec<TcpListener>> {
    (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect()
}
