//! The records of one partition that were not sent yet, gathered into batches. Filled by those who
//! send, emptied by the partition's [`Lane`](super::lane::Lane).
//!
//! | the open batch | is closed |
//! |---|---|
//! | has `batch_bytes`, or would with the next record | at once |
//! | is as old as `linger` | when the lane has room |
//! | is flushed | when the lane has room |
//!
//! While the lane has no room batches grow, so that a slow cluster gets fewer and larger requests.

use super::delivery::{Delivery, Fate, Outcome, fate};
use super::record::NewRecord;
use crate::topic::PartitionId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::batch::BatchBuilder;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// When a batch is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At so many bytes before compression; one record may be larger.
    pub(super) batch_bytes: usize,
    /// So long after its first record.
    pub(super) linger: Duration,
}

/// Records that will be one request.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counts the batches of the partition.
    pub(super) number: u64,
    /// The records.
    pub(super) records: BatchBuilder,
    /// When the first was sent.
    pub(super) since: Instant,
    /// Told what became of it.
    pub(super) tell: oneshot::Sender<Outcome>,
    /// What it takes of the producer's buffer, given back with it.
    pub(super) room: OwnedSemaphorePermit,
}

/// The batches of a partition that were not sent.
#[derive(Debug)]
pub(super) struct Queue {
    partition: PartitionId,
    limits: Limits,
    gathered: Mutex<Gathered>,
    /// There is a new batch, or an old one is to be sent now.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Gathered {
    open: Option<Batch>,
    full: VecDeque<Batch>,
    /// The open batch does not linger.
    flushed: bool,
    next_number: u64,
    /// Of every batch that is not told yet.
    fates: BTreeMap<u64, Fate>,
}

impl Queue {
    /// Nothing in it.
    pub(super) fn new(partition: PartitionId, limits: Limits) -> Self {
        Self { partition, limits, gathered: Mutex::default(), changed: Notify::new() }
    }

    /// Takes a record; also says whether a batch was closed by it.
    pub(super) fn push(
        &self,
        record: &NewRecord<'_>,
        timestamp: i64,
        room: OwnedSemaphorePermit,
    ) -> (Delivery, bool) {
        let mut gathered = self.gathered();
        let mut closed = false;
        if let Some(open) = &gathered.open
            && open.records.len_bytes() + record.bytes() > self.limits.batch_bytes
        {
            gathered.close();
            closed = true;
        }
        let is_first = gathered.open.is_none();
        let number = gathered.next_number;
        let batch = if let Some(mut open) = gathered.open.take() {
            open.room.merge(room);
            open
        } else {
            let (tell, told) = fate();
            gathered.next_number += 1;
            gathered.fates.insert(number, told);
            Batch { number, records: BatchBuilder::new(), since: Instant::now(), tell, room }
        };
        let batch = gathered.open.insert(batch);
        let place = batch.records.record_count();
        batch.records.push(timestamp, record.key, record.value, record.headers.iter().copied());
        let (number, is_full) =
            (batch.number, batch.records.len_bytes() >= self.limits.batch_bytes);
        let fate = gathered.fates.get(&number).expect("told only after it was taken").clone();
        if is_full {
            gathered.close();
            closed = true;
        }
        drop(gathered);
        if is_first || closed {
            self.changed.notify_one();
        }
        (Delivery { fate, partition: self.partition, place }, closed)
    }

    /// The next batch that is to be sent.
    pub(super) fn take(&self, now: Instant) -> Option<Batch> {
        let mut gathered = self.gathered();
        if gathered.full.is_empty() {
            let linger = if gathered.flushed { Duration::ZERO } else { self.limits.linger };
            let is_due = gathered.open.as_ref().is_some_and(|open| open.since + linger <= now);
            if is_due {
                gathered.close();
            }
        }
        gathered.full.pop_front()
    }

    /// When [`Queue::take`] will have something.
    pub(super) fn due(&self) -> Option<Instant> {
        let gathered = self.gathered();
        match (gathered.full.front(), &gathered.open) {
            (Some(full), _) => Some(full.since),
            (None, Some(open)) if gathered.flushed => Some(open.since),
            (None, Some(open)) => Some(open.since + self.limits.linger),
            (None, None) => None,
        }
    }

    /// When the oldest batch began.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let gathered = self.gathered();
        gathered.full.front().or(gathered.open.as_ref()).map(|batch| batch.since)
    }

    /// The oldest batch, however new, if it began before.
    pub(super) fn take_older(&self, than: Instant) -> Option<Batch> {
        let mut gathered = self.gathered();
        if gathered.full.is_empty() && gathered.open.as_ref().is_some_and(|b| b.since <= than) {
            gathered.close();
        }
        gathered.full.pop_front_if(|batch| batch.since <= than)
    }

    /// A batch was told what became of it.
    pub(super) fn told(&self, number: u64) {
        self.gathered().fates.remove(&number);
    }

    /// Lets nothing linger; gives the fates of everything that is not told yet.
    pub(super) fn flush(&self) -> Vec<Fate> {
        let mut gathered = self.gathered();
        gathered.flushed = gathered.open.is_some();
        let fates = gathered.fates.values().cloned().collect();
        drop(gathered);
        self.changed.notify_one();
        fates
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn close(&mut self) {
        self.full.extend(self.open.take());
        self.flushed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    const LIMITS: Limits = Limits { batch_bytes: 1000, linger: Duration::from_millis(10) };

    struct Pushing {
        queue: Queue,
        room: Arc<Semaphore>,
    }

    impl Pushing {
        fn new() -> Self {
            let queue = Queue::new(PartitionId(3), LIMITS);
            Self { queue, room: Arc::new(Semaphore::new(10_000)) }
        }

        fn push(&self, bytes: usize) -> (Delivery, bool) {
            let value = vec![b'v'; bytes];
            let room = u32::try_from(bytes).unwrap();
            let room = Arc::clone(&self.room).try_acquire_many_owned(room).unwrap();
            self.queue.push(&NewRecord::to("t").value(&value), 7, room)
        }
    }

    #[test]
    fn a_batch_is_closed_when_it_is_full_or_would_be() {
        let pushing = Pushing::new();
        let now = Instant::now();
        assert!(!pushing.push(600).1);
        assert!(pushing.queue.take(now).is_none(), "it lingers");
        assert!(pushing.push(600).1, "the second would not fit");
        let first = pushing.queue.take(now).unwrap();
        assert_eq!((first.number, first.records.record_count()), (0, 1));
        assert!(pushing.push(2000).1, "one record may be larger");
        let numbers: Vec<u64> =
            std::iter::from_fn(|| pushing.queue.take(now)).map(|batch| batch.number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn a_batch_lingers_from_its_first_record_on() {
        let pushing = Pushing::new();
        assert_eq!(pushing.queue.due(), None);
        pushing.push(1);
        let due = pushing.queue.due().unwrap();
        pushing.push(1);
        assert_eq!(pushing.queue.due(), Some(due));
        assert!(pushing.queue.take(due - Duration::from_millis(1)).is_none());
        assert_eq!(pushing.queue.take(due).unwrap().records.record_count(), 2);
    }

    #[test]
    fn a_flush_ends_the_lingering_of_what_is_there_only() {
        let pushing = Pushing::new();
        pushing.push(1);
        assert_eq!(pushing.queue.flush().len(), 1);
        assert!(pushing.queue.take(Instant::now()).is_some());
        pushing.push(1);
        assert!(pushing.queue.take(Instant::now()).is_none());
        assert_eq!(pushing.queue.flush().len(), 2, "the first is not told yet");
        pushing.queue.told(0);
        assert_eq!(pushing.queue.flush().len(), 1);
    }

    #[test]
    fn the_buffer_has_room_again_when_a_batch_is_dropped() {
        let pushing = Pushing::new();
        pushing.push(300);
        pushing.push(300);
        assert_eq!(pushing.room.available_permits(), 9_400);
        let due = pushing.queue.due().unwrap();
        drop(pushing.queue.take(due));
        assert_eq!(pushing.room.available_permits(), 10_000);
    }

    #[test]
    fn old_batches_are_given_up_in_their_order() {
        let pushing = Pushing::new();
        pushing.push(2000);
        pushing.push(1);
        let oldest = pushing.queue.oldest().unwrap();
        assert!(pushing.queue.take_older(oldest - Duration::from_millis(1)).is_none());
        assert_eq!(pushing.queue.take_older(Instant::now()).unwrap().number, 0);
        assert_eq!(pushing.queue.take_older(Instant::now()).unwrap().number, 1);
    }

    #[tokio::test]
    async fn records_of_a_batch_share_its_fate_and_have_their_own_offsets() {
        let pushing = Pushing::new();
        let (first, second) = (pushing.push(1).0, pushing.push(1).0);
        let batch = pushing.queue.take(pushing.queue.due().unwrap()).unwrap();
        batch.tell.send(Ok(40)).unwrap();
        assert_eq!(first.await.unwrap().offset, 40);
        let second = second.await.unwrap();
        assert_eq!((second.partition, second.offset), (PartitionId(3), 41));
    }
}
