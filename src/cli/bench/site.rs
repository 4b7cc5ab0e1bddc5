//! The topic that a run writes to: its own, made before and deleted afterwards.

use super::options::Load;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::{Client, NewTopic};
use crate::topic::TopicName;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// Between two looks at whether all replicas are there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A topic, and where its partitions are led.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) client: Client,
    pub(super) topic: TopicName,
    /// `host:port` of every broker.
    pub(super) brokers: Vec<String>,
    /// `host:port` of each partition's leader when the run began.
    pub(super) leaders: Vec<String>,
    /// How many replicas each partition has.
    pub(super) replicas: u32,
}

impl Site {
    /// Creates the topic, and waits until each partition has its leader and all replicas are in sync.
    pub(super) async fn create(client: &Client, load: &Load) -> Result<Self, Failure> {
        let name = format!("bench-{}", uuid::Uuid::new_v4().simple());
        let topic = TopicName::new(&name).expect("letters, digits and a hyphen");
        let settings = load.settings().into_iter();
        let new = NewTopic {
            partitions: Some(load.partitions),
            replication_factor: load.replication_factor,
            config: settings.map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let brokers = client.discover().await?;
        client.create(&topic, &new).await?;
        let deadline = Instant::now() + client.timeout();
        let mut every = interval(LOOK_EVERY);
        loop {
            every.tick().await;
            let view = client.describe(&topic).await?;
            let address = |id: u64| brokers.iter().find(|broker| broker.id == id);
            let ready = view.partitions.iter().filter(|at| at.in_sync.len() == at.replicas.len());
            let leaders: Vec<String> =
                ready.filter_map(|at| Some(address(at.leader?)?.http.clone())).collect();
            if leaders.len() == view.partitions.len() {
                let brokers = brokers.iter().map(|broker| broker.http.clone()).collect();
                let (client, replicas) = (client.clone(), view.replication_factor);
                return Ok(Self { client, topic, brokers, leaders, replicas });
            }
            if Instant::now() >= deadline {
                let (ready, all) = (leaders.len(), view.partitions.len());
                let seconds = client.timeout().as_secs();
                let why = format!("{ready} of {all} partitions are in sync after {seconds} s");
                return Err(Failure::new(Exit::Unavailable, why));
            }
        }
    }

    /// Deletes the topic.
    pub(super) async fn delete(&self) -> Result<(), Failure> {
        Ok(self.client.delete(&self.topic).await?)
    }

    /// The broker to begin with: of a partition its leader, else by turns.
    pub(super) fn leader(&self, partition: u32) -> &str {
        let at = usize::try_from(partition).unwrap_or(usize::MAX);
        self.leaders.get(at).map_or("", String::as_str)
    }

    /// Any broker, by turns.
    pub(super) fn broker(&self, turn: usize) -> &str {
        self.brokers.iter().cycle().nth(turn % self.brokers.len().max(1)).map_or("", String::as_str)
    }
}
