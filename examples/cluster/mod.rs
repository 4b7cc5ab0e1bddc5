//! The cluster of an example: that of `--server host:port,…`, or one of its own inside this process, on
//! free ports and in a directory that is removed afterwards.
#![allow(dead_code, reason = "each example uses a part of it")]

use ottla::client::{Client, NewTopic};
use ottla::config::{Bootstrap, Config, Founder};
use ottla::server::Server;
use ottla::topic::TopicName;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A whole example is done by then, or has failed.
const DEADLINE: Duration = Duration::from_mins(2);
/// How long nodes may take to find each other, and how often they are asked.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs an example to its end.
pub(crate) async fn run(example: impl Future<Output = Outcome<()>>) -> ExitCode {
    let done = timeout(DEADLINE, example).await;
    match done.unwrap_or_else(|_late| Err(format!("not done within {DEADLINE:?}").into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What follows a flag on the command line.
pub(crate) fn flag(name: &str) -> Option<String> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.next()?;
    words.next()
}

/// A cluster to try things on.
pub(crate) struct Cluster {
    servers: Vec<String>,
    nodes: Vec<Server>,
    replicas: u32,
    _data: Option<TempDir>,
}

impl Cluster {
    /// The one of `--server`, or one of so many nodes.
    pub(crate) async fn open(nodes: u64) -> Outcome<Self> {
        if let Some(servers) = flag("--server") {
            let servers = servers.split(',').map(str::to_owned).collect();
            return Ok(Self { servers, nodes: Vec::new(), replicas: 1, _data: None });
        }
        let data = tempfile::tempdir()?;
        // All are held until all are known, so that no two are the same.
        let held: Result<Vec<_>, _> =
            (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
        let founders: Result<Vec<Founder>, std::io::Error> = (1..)
            .zip(held?)
            .map(|(id, held)| Ok(Founder { id, peer: held.local_addr()?.to_string() }))
            .collect();
        let founders = founders?;
        let mut running = Vec::new();
        for Founder { id, peer } in &founders {
            let config = Config {
                node_id: *id,
                data: data.path().join(format!("node-{id}")),
                http: "127.0.0.1:0".to_owned(),
                peer: peer.clone(),
                bootstrap: Bootstrap::Found(founders.clone()),
                ..Config::default()
            };
            running.push(Box::pin(Server::start(config)).await?);
        }
        let deadline = Instant::now() + PATIENCE;
        let are_ready = || {
            running.iter().all(|node| {
                let broker = node.broker();
                broker.ready().is_ok() && broker.cluster().brokers.len() == running.len()
            })
        };
        while !are_ready() {
            if Instant::now() >= deadline {
                return Err(format!("the nodes did not find each other in {PATIENCE:?}").into());
            }
            sleep(LOOK_AGAIN).await;
        }
        let servers = running.iter().map(|node| node.http_address().to_string()).collect();
        let replicas = u32::try_from(founders.len())?;
        Ok(Self { servers, nodes: running, replicas, _data: Some(data) })
    }

    /// `host:port` of its brokers.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.servers.clone()
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.servers, PATIENCE)
    }

    /// Makes a topic of so many partitions, which keeps everything.
    pub(crate) async fn topic(&self, name: &str, partitions: u32) -> Outcome<TopicName> {
        let name = TopicName::new(name)?;
        let new = NewTopic {
            partitions: Some(partitions),
            replication_factor: Some(self.replicas),
            config: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        };
        let (is_new, _) = self.client().create(&name, &new).await?;
        if !is_new {
            return Err(format!("topic {name} exists already: delete it first").into());
        }
        Ok(name)
    }

    /// Stops its own nodes.
    pub(crate) async fn stop(self) -> Outcome<()> {
        for node in self.nodes {
            node.shutdown().await?;
        }
        Ok(())
    }
}
