//! A topic as a producer fills it: one queue a partition, made when its first record comes.

use super::queue::Queue;
use super::record::NewRecord;
use crate::client::Error;
use crate::partitioner::Partitioner;
use crate::topic::{PartitionId, TopicName};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// A topic that was looked up.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    /// When it was looked up.
    pub(super) found: Instant,
    /// How many partitions it has.
    partitions: u32,
    /// Where records without a key go until their batch is closed.
    turn: AtomicU32,
    queues: Mutex<Vec<Option<Arc<Queue>>>>,
}

impl Topic {
    /// A topic of so many partitions, at least one.
    pub(super) fn new(name: TopicName, partitions: u32, before: Option<&Self>) -> Self {
        let queues = before.map(|before| before.queues().clone()).unwrap_or_default();
        let turn = AtomicU32::new(rand::random_range(0..partitions.max(1)));
        Self { name, found: Instant::now(), partitions, turn, queues: Mutex::new(queues) }
    }

    /// Where a record goes.
    pub(super) fn choose(
        &self,
        record: &NewRecord<'_>,
        partitioner: &dyn Partitioner,
    ) -> Result<PartitionId, Error> {
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner.partition(key, self.partitions),
            (None, None) => PartitionId(self.turn.load(Ordering::Relaxed) % self.partitions.max(1)),
        };
        if partition.0 < self.partitions {
            return Ok(partition);
        }
        let (name, has) = (&self.name, self.partitions);
        Err(Error::Invalid(format!("topic {name} has no partition {partition}: it has {has}")))
    }

    /// Records without a key go to the next partition: their batch was closed.
    pub(super) fn turn(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// The partition's queue.
    pub(super) fn queue(
        &self,
        partition: PartitionId,
        make: impl FnOnce() -> Arc<Queue>,
    ) -> Arc<Queue> {
        let at = usize::try_from(partition.0).expect("at most 1000");
        let mut queues = self.queues();
        if queues.len() <= at {
            queues.resize(at + 1, None);
        }
        let slot = queues.get_mut(at).expect("made long enough");
        Arc::clone(slot.get_or_insert_with(make))
    }

    /// All queues that there are.
    pub(super) fn open(&self) -> Vec<Arc<Queue>> {
        self.queues().iter().flatten().cloned().collect()
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Vec<Option<Arc<Queue>>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partitioner::Murmur2;

    fn topic(partitions: u32) -> Topic {
        Topic::new(TopicName::new("t").unwrap(), partitions, None)
    }

    #[test]
    fn a_named_partition_comes_before_the_key_and_the_key_before_the_turn() {
        let topic = topic(3);
        let by_length = |key: &[u8], _: u32| PartitionId(u32::try_from(key.len()).unwrap());
        let keyed = NewRecord::to("t").key("ab");
        let choose = |record: &NewRecord<'_>| topic.choose(record, &by_length).map(|at| at.0);
        assert_eq!(choose(&keyed), Ok(2));
        assert_eq!(choose(&keyed.clone().partition(PartitionId(1))), Ok(1));
        let first = choose(&NewRecord::to("t")).unwrap();
        assert_eq!(choose(&NewRecord::to("t")), Ok(first), "until its batch is closed");
        topic.turn();
        assert_eq!(choose(&NewRecord::to("t")), Ok((first + 1) % 3));
    }

    #[test]
    fn a_partition_that_is_not_there_is_named() {
        let record = NewRecord::to("t").partition(PartitionId(3));
        let error = topic(3).choose(&record, &Murmur2).unwrap_err();
        assert_eq!(error, Error::Invalid("topic t has no partition 3: it has 3".to_owned()));
    }
}
