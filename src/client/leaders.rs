//! What is known of topics: how many partitions each has, and who leads them. Only a hint: any broker
//! takes any request, the leader answers it without a hop.

use super::{Client, Error};
use crate::topic::{PartitionId, TopicName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// After this time a topic is looked up anew: it may have more partitions.
pub(super) const KNOWN_FOR: Duration = Duration::from_mins(5);

/// A cache of topics; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Leaders {
    client: Client,
    topics: Arc<Mutex<HashMap<TopicName, Known>>>,
}

/// A topic as it was found.
#[derive(Debug)]
struct Known {
    /// `host:port` of each partition's leader, as far as known.
    leaders: Vec<Option<String>>,
    found: Instant,
}

impl Leaders {
    /// Nothing known yet.
    pub(super) fn new(client: Client) -> Self {
        Self { client, topics: Arc::default() }
    }

    /// How many partitions a topic has; looks it up, and all brokers with it, unless it was lately.
    pub(super) async fn partitions(&self, topic: &TopicName) -> Result<u32, Error> {
        if let Some(known) = self.topics().get(topic)
            && known.found.elapsed() < KNOWN_FOR
        {
            return Ok(count(&known.leaders));
        }
        let brokers = self.client.discover().await?;
        let view = self.client.describe(topic).await?;
        let address = |id: u64| brokers.iter().find(|broker| broker.id == id);
        let leaders: Vec<Option<String>> =
            view.partitions.iter().map(|at| Some(address(at.leader?)?.http.clone())).collect();
        let partitions = count(&leaders);
        self.topics().insert(topic.clone(), Known { leaders, found: Instant::now() });
        Ok(partitions)
    }

    /// The partition's leader, as far as known.
    pub(super) fn leader(&self, topic: &TopicName, at: PartitionId) -> Option<String> {
        let topics = self.topics();
        let leaders = &topics.get(topic)?.leaders;
        leaders.get(usize::try_from(at.0).ok()?)?.clone()
    }

    /// An answer told who leads the partition now; `None` after a failure there.
    pub(super) fn note(&self, topic: &TopicName, at: PartitionId, leader: Option<String>) {
        let mut topics = self.topics();
        let known = topics
            .get_mut(topic)
            .and_then(|known| known.leaders.get_mut(usize::try_from(at.0).ok()?));
        if let Some(known) = known {
            *known = leader;
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TopicName, Known>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(leaders: &[Option<String>]) -> u32 {
    u32::try_from(leaders.len()).expect("a topic has at most 1000 partitions")
}
