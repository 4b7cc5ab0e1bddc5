//! The topic that a run writes to: its own, made before and deleted afterwards, however the run ends.
//!
//! A cluster that is somebody else's is left as it was found: the topic has a name that nobody else has,
//! and nothing but this topic is made, written or deleted.

use super::options::Load;
use super::stop::Stop;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::{Client, Error, NewTopic};
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

/// A name that no topic has.
pub(super) fn name() -> TopicName {
    let name = format!("bench-{}", uuid::Uuid::new_v4().simple());
    TopicName::new(&name).expect("letters, digits and a hyphen")
}

/// Makes the topic.
pub(super) async fn make(client: &Client, topic: &TopicName, load: &Load) -> Result<(), Failure> {
    let settings = load.settings().into_iter();
    let new = NewTopic {
        partitions: Some(load.partitions),
        replication_factor: load.replication_factor,
        config: settings.map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    client.create(topic, &new).await?;
    Ok(())
}

/// Deletes the topic if it is there. Who cannot wait for that is told what is left.
pub(super) async fn remove(
    client: &Client,
    topic: &TopicName,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let deleted = stop.unless(async {
        match client.delete(topic).await {
            Ok(()) | Err(Error::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    deleted.await.map_err(|failure| {
        let why = if failure.message.is_empty() { "told to stop again" } else { &failure.message };
        let message = format!("topic {topic} is left behind: {why}");
        Failure::new(failure.exit, message).hint(format!("ottla topic delete {topic}"))
    })
}

impl Site {
    /// Waits until each partition of the topic has its leader and all replicas are in sync.
    pub(super) async fn open(client: &Client, topic: TopicName) -> Result<Self, Failure> {
        let brokers = client.discover().await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_deleted_is_named_with_what_to_do() {
        let client = Client::new(&["127.0.0.1:1".to_owned()], Duration::from_millis(1));
        let (topic, mut stop) = (name(), Stop::listen().unwrap());
        let failure = remove(&client, &topic, &mut stop).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        let said = format!("topic {topic} is left behind: no broker answers");
        assert!(failure.message.starts_with(&said), "{}", failure.message);
        assert_eq!(failure.hint, Some(format!("ottla topic delete {topic}")));
    }

    #[test]
    fn no_two_runs_have_the_same_topic() {
        assert_ne!(name(), name());
    }
}
