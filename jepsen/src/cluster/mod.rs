//! The cluster under test: its nodes' processes on the ground of an [`Environment`], and what an
//! administrator sees of it.

mod admin;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

pub(crate) use admin::words;
pub use admin::{Admin, PartitionView};

use crate::environment::{Environment, Host, Janitor, Launch, Life, Links, Server, Site};
use crate::history::{Header, Key, Leadership, Partition};

/// Between two looks at a condition that nothing announces.
pub const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a node may take to end in good order.
const END_PATIENCE: Duration = Duration::from_mins(1);
/// How long the observer's look may take: a broker waits two seconds for those that are silent.
const VIEW_PATIENCE: Duration = Duration::from_secs(4);

/// What is started.
#[derive(Clone, Debug)]
pub struct Product {
    /// The server's binary.
    pub binary: PathBuf,
    /// Its storage engine.
    pub engine: String,
    /// More flags for every node.
    pub flags: Vec<String>,
    /// More variables of every node's environment.
    pub variables: Vec<(String, String)>,
    /// The topic that everything is about.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
}

/// A node: its place outlives its process.
pub struct Node {
    /// Where it is.
    pub site: Site,
    server: Mutex<Server>,
    variables: std::sync::Mutex<Vec<(String, String)>>,
}

/// All nodes.
pub struct Cluster {
    /// In the order of their ids.
    pub nodes: Vec<Node>,
    /// What passes between them.
    pub links: Arc<Links>,
    /// Who looks on.
    pub admin: Admin,
    /// What runs.
    pub product: Product,
    /// Clears everything away in the end.
    pub janitor: Arc<Janitor>,
}

impl Cluster {
    /// On this ground, not started.
    pub fn prepare(environment: &mut Environment, product: Product) -> io::Result<Self> {
        let source = environment.source(Host::Admin);
        let sites = std::mem::take(&mut environment.sites);
        let nodes: Vec<Node> = sites
            .into_iter()
            .map(|site| Node {
                server: Mutex::new(environment.server(&site)),
                site,
                variables: std::sync::Mutex::default(),
            })
            .collect();
        let doors = nodes.iter().map(|node| (node.site.id, node.site.admin)).collect();
        Ok(Self {
            nodes,
            links: Arc::clone(&environment.links),
            admin: Admin::new(doors, source)?,
            product,
            janitor: Arc::clone(&environment.janitor),
        })
    }

    /// How many nodes may fail.
    pub fn minority(&self) -> usize {
        self.nodes.len().saturating_sub(1) / 2
    }

    /// Every node's id.
    pub fn ids(&self) -> impl Iterator<Item = u8> {
        self.nodes.iter().map(|node| node.site.id)
    }

    /// A node.
    ///
    /// # Panics
    /// If there is none with this id.
    pub fn node(&self, id: u8) -> &Node {
        self.nodes.iter().find(|node| node.site.id == id).expect("ids come from this cluster")
    }

    /// A key per partition.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        (0..self.product.partitions).map(Key)
    }

    /// What a history's header says of it.
    pub fn describe(&self, header: &mut Header) {
        header.nodes = self.nodes.iter().map(|node| name_of(node.site.id)).collect();
        let topic = &self.product.topic;
        let place = |key: Key| Partition { topic: topic.clone(), partition: key.0 };
        header.keys = self.keys().map(|key| (key, place(key))).collect();
        header.environment.insert("engine".to_owned(), self.product.engine.clone());
        let binary = self.product.binary.display().to_string();
        header.environment.insert("binary".to_owned(), binary);
    }

    fn launch(&self, node: &Node) -> Launch {
        let initial =
            self.nodes.iter().map(|other| format!("{}={}", other.site.id, other.site.peer));
        let site = &node.site;
        let mut arguments: Vec<String> = ["server", "--exit-with-parent"].map(String::from).into();
        let mut say = |flag: &str, value: String| arguments.extend([format!("--{flag}"), value]);
        say("node-id", site.id.to_string());
        say("data", site.data.display().to_string());
        say("http", site.http_bind.to_string());
        say("peer", site.peer_bind.to_string());
        say("advertise-http", site.http.to_string());
        say("advertise-peer", site.peer.to_string());
        say("initial", initial.collect::<Vec<_>>().join(","));
        say("engine", self.product.engine.clone());
        arguments.extend(self.product.flags.iter().cloned());
        let variables = node.variables.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Launch {
            program: self.product.binary.clone(),
            arguments,
            variables: [self.product.variables.as_slice(), variables.as_slice()].concat(),
            namespace: site.namespace.clone(),
            log: site.log.clone(),
        }
    }

    /// Sets variables of a node's environment, from its next start on.
    pub fn set_variables(&self, id: u8, variables: Vec<(String, String)>) {
        let of_node = &self.node(id).variables;
        *of_node.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = variables;
    }

    /// Starts a node, on the data it has.
    pub async fn start(&self, id: u8) -> io::Result<()> {
        let node = self.node(id);
        fs::create_dir_all(&node.site.data)?;
        let launch = self.launch(node);
        node.server.lock().await.start(&launch)
    }

    /// `kill -9`; nothing if it has no process.
    pub async fn kill(&self, id: u8) -> io::Result<()> {
        self.node(id).server.lock().await.kill().await
    }

    /// Stops a node where it stands.
    pub async fn pause(&self, id: u8) -> io::Result<()> {
        self.node(id).server.lock().await.pause()
    }

    /// Lets it go on.
    pub async fn resume(&self, id: u8) -> io::Result<()> {
        self.node(id).server.lock().await.resume()
    }

    /// Ends a node in good order.
    pub async fn terminate(&self, id: u8) -> io::Result<()> {
        let status = self.node(id).server.lock().await.terminate(END_PATIENCE).await?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{} ended with {status} after SIGTERM", name_of(id))))
    }

    /// Waits until a node has ended by itself; whether it did.
    pub async fn ends_within(&self, id: u8, patience: Duration) -> bool {
        self.node(id).server.lock().await.until_ended(patience).await.is_ok()
    }

    /// What a node's process does.
    pub async fn life(&self, id: u8) -> Life {
        self.node(id).server.lock().await.life().unwrap_or(Life::None)
    }

    /// A node's process id, if it runs.
    pub async fn process(&self, id: u8) -> io::Result<u32> {
        let process = self.node(id).server.lock().await.process();
        process.ok_or_else(|| io::Error::other(format!("{} has no process", name_of(id))))
    }

    /// Starts all nodes, waits until they are one healthy cluster, and makes the topic.
    pub async fn found(&self, patience: Duration) -> io::Result<()> {
        for id in self.ids() {
            self.start(id).await?;
        }
        let deadline = Instant::now() + patience;
        self.until_healthy(deadline).await?;
        let replicas = self.nodes.len().min(if self.nodes.len() >= 5 { 5 } else { 3 });
        let made = until(deadline, async || {
            self.admin.create_topic(&self.product.topic, self.product.partitions, replicas).await
        });
        made.await.map_err(|why| io::Error::other(format!("the topic cannot be made: {why}")))?;
        self.until_in_sync(deadline).await
    }

    /// Waits until every node finds the cluster healthy.
    pub async fn until_healthy(&self, deadline: Instant) -> io::Result<()> {
        for id in self.ids() {
            let healthy = until(deadline, async || match self.life(id).await {
                Life::Runs => self.admin.healthy(id).await,
                life @ (Life::None | Life::Paused | Life::Ended(_)) => {
                    Err(format!("its process: {life:?}"))
                }
            });
            healthy.await.map_err(|why| {
                io::Error::other(format!("{} is not healthy: {why}", name_of(id)))
            })?;
        }
        Ok(())
    }

    /// Waits until every replica of every partition is in sync.
    pub async fn until_in_sync(&self, deadline: Instant) -> io::Result<()> {
        let in_sync = until(deadline, async || {
            let partitions = self.view().await;
            let whole = |view: &PartitionView| {
                view.leader.is_some() && view.in_sync.len() == view.replicas.len()
            };
            let lacking: Vec<u32> =
                partitions.iter().filter(|(_, view)| !whole(view)).map(|(key, _)| key.0).collect();
            if partitions.len() == self.keys().count() && lacking.is_empty() {
                return Ok(());
            }
            Err(format!("partitions {lacking:?} of {}", partitions.len()))
        });
        in_sync.await.map_err(|why| io::Error::other(format!("not in sync: {why}")))
    }

    /// Every partition as the leader of the newest term sees it.
    pub async fn view(&self) -> BTreeMap<Key, PartitionView> {
        self.admin.partitions(&self.product.topic, VIEW_PATIENCE).await
    }

    /// Who leads what.
    pub async fn leaders(&self) -> BTreeMap<Key, Leadership> {
        let seen = self.view().await.into_iter().filter_map(|(key, view)| {
            let term = view.leader_epoch?;
            Some((key, Leadership { leader: view.leader.map(name_of_u64), term }))
        });
        seen.collect()
    }

    /// The node that leads a partition, with its term.
    pub async fn leader_of(&self, key: Key) -> Option<(u8, u64)> {
        let view = self.view().await;
        let partition = view.get(&key)?;
        Some((u8::try_from(partition.leader?).ok()?, partition.leader_epoch?))
    }

    /// What a node has said so far.
    pub fn log_text(&self, id: u8) -> String {
        fs::read(&self.node(id).site.log)
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A node's name in histories.
pub fn name_of(id: u8) -> String {
    Host::Node(id).to_string()
}

fn name_of_u64(id: u64) -> String {
    format!("n{id}")
}

/// Looks until `condition` holds; its last objection at the deadline.
pub async fn until<T>(
    deadline: Instant,
    mut condition: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    loop {
        match condition().await {
            Ok(value) => return Ok(value),
            Err(why) if Instant::now() >= deadline => return Err(why),
            Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}
