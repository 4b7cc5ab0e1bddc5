//! One node, started and stopped in order. Also the way to run a broker inside another program.
//!
//! ```text
//!   start  listeners → store → broker (peers, metadata, tasks) → HTTP
//!   stop   HTTP lets its requests finish → broker hands leaderships over → store flushes and closes
//! ```

use crate::broker::{Broker, BrokerLimits, BrokerOptions};
use crate::config::{Bootstrap, Config, Engine};
use crate::http::{self, Limits};
use crate::tasks::Tasks;
use raft::{NodeId, Timing};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::disk::RealDisk;
use storage::{EngineKind, Store, StoreOptions};
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often the disk is asked whether it still works.
const DISK_EVERY: Duration = Duration::from_millis(250);
/// How long the doors may take to close, beyond the grace of the requests in flight.
const DOORS_PATIENCE: Duration = Duration::from_secs(5);
/// How long a node alone may take to be ready, and how often it is asked.
const READY_PATIENCE: Duration = Duration::from_secs(10);
const READY_EVERY: Duration = Duration::from_millis(5);

/// A node that runs.
#[derive(Clone)]
pub struct Server {
    broker: Broker,
    store: Store,
    http: SocketAddr,
    peer: SocketAddr,
    /// The doors.
    tasks: Tasks,
}

impl Server {
    /// Starts a node. It serves at once, and says so on `/readyz` once it has joined its cluster.
    pub async fn start(config: Config) -> io::Result<Self> {
        config.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.0))?;
        let http = bind("http", &config.http).await?;
        let peer = bind("peer", &config.peer).await?;
        let (http_address, peer_address) = (http.local_addr()?, peer.local_addr()?);
        let advertise_http = advertised("http", config.advertise_http.as_deref(), http_address)?;
        let advertise_peer = advertised("peer", advertise_peer(&config), peer_address)?;
        if let Some(path) = &config.addresses_file {
            write_addresses(path, config.node_id, http_address, peer_address)?;
        }
        let store = open_store(&config).await?;
        let options = BrokerOptions {
            id: NodeId(config.node_id),
            store: store.clone(),
            timing: Timing {
                heartbeat: config.heartbeat,
                election_min: config.election_min,
                election_max: config.election_max,
            },
            http: advertise_http,
            peer: advertise_peer,
            rack: config.rack.clone(),
            bootstrap: config.bootstrap.clone(),
            retention_check: config.retention_check,
            coordinators: config.coordinators,
            rebalance_delay: config.rebalance_delay,
            limits: BrokerLimits {
                fetches_max: config.fetches_max,
                produce_bytes_max: config.produce_bytes_max,
                proposal_bytes_max: config.proposal_bytes_max,
            },
        };
        let broker = Box::pin(Broker::start(options, peer)).await?;
        let tasks = Tasks::new();
        let serving =
            http::serve(http, broker.clone(), http_limits(&config), tasks.stopping().clone());
        tasks.spawn_to_end("http", async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the HTTP interface ended");
            }
        });
        tracing::info!(
            node = config.node_id,
            http = %http_address,
            peer = %peer_address,
            engine = %engine_kind(config.engine),
            data = %config.data.display(),
            "started"
        );
        Ok(Self { broker, store, http: http_address, peer: peer_address, tasks })
    }

    /// Starts a cluster of this node alone, on free ports of the loopback, and waits until it can be
    /// used: for tests of what stands on Ottla, and to try it.
    pub async fn start_alone(data: &Path) -> io::Result<Self> {
        let any = || "127.0.0.1:0".to_owned();
        let config =
            Config { data: data.to_owned(), http: any(), peer: any(), ..Config::default() };
        let server = Self::start(config).await?;
        let deadline = Instant::now() + READY_PATIENCE;
        let mut looks = interval(READY_EVERY);
        loop {
            looks.tick().await;
            match server.broker.ready() {
                Ok(()) => return Ok(server),
                Err(reasons) if Instant::now() >= deadline => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, reasons.join("; ")));
                }
                Err(_) => {}
            }
        }
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Where HTTP is bound.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where peers are listened to.
    pub fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until the node cannot go on, and says why: its disk is gone, or its cluster refuses it.
    pub async fn failed(&self) -> String {
        let mut looks = interval(DISK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let disk_gone = async {
            loop {
                looks.tick().await;
                if let Some(why) = self.store.failure() {
                    return format!("the disk failed: {why}");
                }
            }
        };
        tokio::select! {
            why = disk_gone => why,
            why = self.broker.refused() => why,
        }
    }

    /// Stops accepting, lets requests finish, hands leaderships over, flushes and closes.
    pub async fn shutdown(self) -> io::Result<()> {
        let grace = Limits::DEFAULT.shutdown_grace + DOORS_PATIENCE;
        self.tasks.close(grace).await;
        self.broker.shutdown().await;
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close()).await.map_err(io::Error::other)?
    }
}

async fn bind(what: &str, address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("{what} cannot listen on {address}: {error}"))
    })
}

/// What others are told: what was said, else the bound address if it means something to them.
fn advertised(what: &str, said: Option<&str>, bound: SocketAddr) -> io::Result<String> {
    match said {
        Some(address) => Ok(address.to_owned()),
        None if bound.ip().is_unspecified() => {
            let message = format!(
                "{what} listens on all addresses ({bound}): say with advertise-{what} where others \
                 reach it"
            );
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        None => Ok(bound.to_string()),
    }
}

/// A founder has told its address in the list of founders.
fn advertise_peer(config: &Config) -> Option<&str> {
    let founders = match &config.bootstrap {
        Bootstrap::Found(founders) => founders.as_slice(),
        Bootstrap::Join(_) => &[],
    };
    let me = founders.iter().find(|founder| founder.id == config.node_id);
    config.advertise_peer.as_deref().or(me.map(|founder| founder.peer.as_str()))
}

/// Written beside and renamed: who waits for the file never reads half of it.
fn write_addresses(path: &Path, node: u64, http: SocketAddr, peer: SocketAddr) -> io::Result<()> {
    let addresses =
        serde_json::json!({"node": node, "http": http.to_string(), "peer": peer.to_string()});
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    std::fs::write(&unfinished, format!("{addresses}\n"))?;
    std::fs::rename(&unfinished, path)
}

async fn open_store(config: &Config) -> io::Result<Store> {
    let options = StoreOptions {
        dir: config.data.clone(),
        engine: engine_kind(config.engine),
        disk: Arc::new(RealDisk),
        segment_bytes: config.segment_bytes,
        tail_cache_bytes: config.tail_cache_bytes,
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(options)).await;
    opened.map_err(io::Error::other)?.map_err(|error| {
        io::Error::new(error.kind(), format!("data {}: {error}", config.data.display()))
    })
}

fn engine_kind(engine: Engine) -> EngineKind {
    match engine {
        Engine::Segment => EngineKind::Segment,
        Engine::Sled => EngineKind::Sled,
    }
}

fn http_limits(config: &Config) -> Limits {
    Limits {
        body_bytes_max: config.http_body_bytes_max,
        requests_max: config.http_requests_max,
        connections_max: config.http_connections_max,
        ..Limits::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Founder;

    #[test]
    fn an_address_that_means_nothing_to_others_is_not_told_them() {
        let all = "0.0.0.0:80".parse().unwrap();
        let error = advertised("http", None, all).unwrap_err().to_string();
        assert!(error.contains("advertise-http"), "{error}");
        assert_eq!(advertised("http", Some("h:80"), all).unwrap(), "h:80");
        let one = "127.0.0.1:80".parse().unwrap();
        assert_eq!(advertised("http", None, one).unwrap(), "127.0.0.1:80");
    }

    #[test]
    fn a_founder_is_reached_where_the_founders_say() {
        let founder = Founder { id: 1, peer: "h1:7001".into() };
        let bootstrap = Bootstrap::Found(vec![founder]);
        let mut config = Config { bootstrap, ..Config::default() };
        assert_eq!(advertise_peer(&config), Some("h1:7001"));
        config.advertise_peer = Some("outside:7001".into());
        assert_eq!(advertise_peer(&config), Some("outside:7001"));
    }

    #[test]
    fn the_addresses_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("addresses.json");
        let (http, peer) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        write_addresses(&path, 3, http, peer).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({"node": 3, "http": "127.0.0.1:1", "peer": "127.0.0.1:2"});
        assert_eq!(value, expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
