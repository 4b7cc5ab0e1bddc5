//! From records to batches: pure but for the clock that is passed in.
//!
//! A batch is closed when it has enough records or bytes, when its first record has lingered long
//! enough, or when all open batches together grow too large.

use super::header::Header;
use crate::partitioner::{Murmur2, Partitioner as _};
use crate::topic::PartitionId;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::BatchBuilder;
use tokio::time::Instant;

/// All open batches together; beyond it all are closed. Only topics of many partitions come here.
const OPEN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// When a batch is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At so many records.
    pub(super) records_max: u32,
    /// At so many bytes; one record may be larger.
    pub(super) bytes_max: usize,
    /// So long after its first record.
    pub(super) linger: Duration,
}

/// A line that became a record.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// The record's timestamp in ms.
    pub(super) now: i64,
    /// When it was read.
    pub(super) opened: Instant,
    /// The key.
    pub(super) key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub(super) value: &'a [u8],
}

/// A batch that is complete.
#[derive(Debug)]
pub(super) struct Closed {
    /// Where it goes.
    pub(super) partition: PartitionId,
    /// The records.
    pub(super) records: BatchBuilder,
    /// The numbers of the first and the last line in it.
    pub(super) lines: (u64, u64),
    /// Bytes of keys and values.
    pub(super) bytes: u64,
}

struct Open {
    closed: Closed,
    since: Instant,
}

/// The open batches.
pub(super) struct Gather {
    partitions: u32,
    /// Where everything goes.
    fixed: Option<u32>,
    /// Where records without a key go until their batch is closed.
    sticky: u32,
    limits: Limits,
    headers: Vec<Header>,
    open: BTreeMap<u32, Open>,
    open_bytes: usize,
}

impl Gather {
    /// For a topic of so many partitions; `start` is where records without a key go first.
    pub(super) fn new(
        partitions: u32,
        fixed: Option<u32>,
        start: u32,
        limits: Limits,
        headers: Vec<Header>,
    ) -> Self {
        let (open, open_bytes) = (BTreeMap::new(), 0);
        Self { partitions, fixed, sticky: start, limits, headers, open, open_bytes }
    }

    /// Takes a record; gives the batches that are complete by it.
    pub(super) fn push(&mut self, line: &Line<'_>) -> Vec<Closed> {
        let mut partition = self.partition(line);
        let key = line.key.as_deref();
        let bytes = key.map_or(0, <[u8]>::len) + line.value.len();
        let mut closed = Vec::new();
        if self.would_overflow(partition, bytes) {
            closed.extend(self.close(partition));
            partition = self.partition(line);
        }
        let before = self.open.get(&partition).map_or(0, |open| open.closed.records.len_bytes());
        let open = self.open.entry(partition).or_insert_with(|| Open {
            closed: Closed {
                partition: PartitionId(partition),
                records: BatchBuilder::new(),
                lines: (line.number, line.number),
                bytes: 0,
            },
            since: line.opened,
        });
        let headers = self.headers.iter();
        let headers = headers.map(|header| (header.name.as_str(), Some(header.value.as_bytes())));
        open.closed.records.push(line.now, key, Some(line.value), headers);
        open.closed.lines.1 = line.number;
        open.closed.bytes += u64::try_from(bytes).expect("a usize has 64 bits at most");
        let (len_bytes, count) =
            (open.closed.records.len_bytes(), open.closed.records.record_count());
        self.open_bytes += len_bytes - before;
        if count >= self.limits.records_max || len_bytes >= self.limits.bytes_max {
            closed.extend(self.close(partition));
        }
        if self.open_bytes > OPEN_BYTES_MAX {
            closed.extend(self.close_all());
        }
        closed
    }

    /// When the oldest open batch has to be closed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.since + self.limits.linger).min()
    }

    /// How many records are in open batches.
    pub(super) fn open_records(&self) -> u64 {
        self.open.values().map(|open| u64::from(open.closed.records.record_count())).sum()
    }

    /// Closes what has lingered long enough.
    pub(super) fn close_due(&mut self, now: Instant) -> Vec<Closed> {
        let due = |open: &Open| open.since + self.limits.linger <= now;
        let due: Vec<u32> = self
            .open
            .iter()
            .filter(|(_, open)| due(open))
            .map(|(&partition, _)| partition)
            .collect();
        due.into_iter().filter_map(|partition| self.close(partition)).collect()
    }

    /// Closes everything.
    pub(super) fn close_all(&mut self) -> Vec<Closed> {
        let open: Vec<u32> = self.open.keys().copied().collect();
        open.into_iter().filter_map(|partition| self.close(partition)).collect()
    }

    fn partition(&self, line: &Line<'_>) -> u32 {
        match (self.fixed, &line.key) {
            (Some(fixed), _) => fixed,
            (None, Some(key)) => Murmur2.partition(key, self.partitions).0,
            (None, None) => self.sticky,
        }
    }

    /// Whether the batch would be larger than one may be with these bytes; there has to be a batch.
    fn would_overflow(&self, partition: u32, bytes: usize) -> bool {
        let records = self.open.get(&partition).map(|open| &open.closed.records);
        records.is_some_and(|records| records.len_bytes() + bytes > self.limits.bytes_max)
    }

    fn close(&mut self, partition: u32) -> Option<Closed> {
        let open = self.open.remove(&partition)?;
        self.open_bytes -= open.closed.records.len_bytes();
        if partition == self.sticky {
            self.sticky = (self.sticky + 1) % self.partitions;
        }
        Some(open.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { records_max: 2, bytes_max: 1000, linger: Duration::from_millis(10) };

    fn gather(fixed: Option<u32>) -> Gather {
        Gather::new(3, fixed, 1, LIMITS, Vec::new())
    }

    fn push(gather: &mut Gather, number: u64, key: Option<&'static str>, value: &str) -> Vec<u32> {
        let key = key.map(|key| Cow::Borrowed(key.as_bytes()));
        let line = Line { number, now: 0, opened: Instant::now(), key, value: value.as_bytes() };
        gather.push(&line).into_iter().map(|closed| closed.partition.0).collect()
    }

    #[test]
    fn records_without_a_key_go_round_a_batch_at_a_time() {
        let mut gather = gather(None);
        let closed: Vec<_> = (1..=8).flat_map(|n| push(&mut gather, n, None, "v")).collect();
        assert_eq!(closed, [1, 2, 0, 1]);
    }

    #[test]
    fn a_key_always_goes_to_its_partition() {
        let mut gather = gather(None);
        let mut closed: Vec<_> =
            (1..=9).flat_map(|n| push(&mut gather, n, Some("key"), "v")).collect();
        closed.dedup();
        assert_eq!(closed, [Murmur2.partition(b"key", 3).0]);
    }

    #[test]
    fn a_batch_is_closed_before_it_is_too_large() {
        let mut gather = gather(Some(2));
        let large = "x".repeat(600);
        assert!(push(&mut gather, 1, None, &large).is_empty());
        assert_eq!(push(&mut gather, 2, None, &large), [2]);
        let huge = "x".repeat(2000);
        assert_eq!(push(&mut gather, 3, None, &huge), [2, 2], "one record may be larger");
    }

    #[test]
    fn a_batch_is_closed_after_lingering() {
        let mut gather = gather(None);
        assert_eq!(gather.due(), None);
        let before = Instant::now();
        push(&mut gather, 1, None, "v");
        let due = gather.due().unwrap();
        assert!(due >= before + LIMITS.linger);
        assert!(gather.close_due(due - Duration::from_millis(1)).is_empty());
        let closed = gather.close_due(due);
        assert_eq!(closed.iter().map(|closed| closed.lines).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(gather.due(), None);
    }
}
