//! The partitions that a consumer reads, and the pages of them that wait to be taken: pure.
//!
//! Invariant: a partition's position is the offset of the next record that will be given out.

use super::fetcher::{Event, Page, What};
use super::record::Record;
use crate::client::Error;
use crate::coordinator::TopicPartition;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use storage::batch::RecordBatch;
use tokio_util::sync::DropGuard;

/// What a batch may inflate to.
const INFLATED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// All partitions that are read.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    readings: BTreeMap<Arc<TopicPartition>, Reading>,
    /// The partition that gave out last: the others come first.
    turn: Option<Arc<TopicPartition>>,
}

/// Whether a partition's records are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// They are.
    Given,
    /// They are kept: it is paused.
    Held,
}

/// A partition that is read.
#[derive(Debug)]
pub(super) struct Reading {
    round: u64,
    /// The next record to give out; unknown until its place is found.
    position: Option<u64>,
    flow: Flow,
    /// Whether records were given out since the last commit.
    has_moved: bool,
    /// Inflated, and not given out.
    records: VecDeque<Record>,
    page: Option<Page>,
    failed: Option<Error>,
    /// The fetcher's end.
    fetching: Option<DropGuard>,
}

impl Shelf {
    /// Begins to read a partition, anew if it was read.
    pub(super) fn begin(
        &mut self,
        at: Arc<TopicPartition>,
        round: u64,
        fetching: Option<DropGuard>,
    ) {
        let flow = self.readings.get(&at).map_or(Flow::Given, |reading| reading.flow);
        let reading = Reading {
            round,
            position: None,
            flow,
            has_moved: false,
            records: VecDeque::new(),
            page: None,
            failed: None,
            fetching,
        };
        self.readings.insert(at, reading);
    }

    /// Reads a partition no more; gives its position.
    pub(super) fn end(&mut self, at: &TopicPartition) -> Option<u64> {
        self.readings.remove(at)?.position
    }

    /// The partitions.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Arc<TopicPartition>> {
        self.readings.keys()
    }

    /// The positions that are known.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&Arc<TopicPartition>, u64)> {
        self.readings.iter().filter_map(|(at, reading)| Some((at, reading.position?)))
    }

    /// Those of partitions that gave out records since the last commit.
    pub(super) fn moved(&self) -> impl Iterator<Item = (&Arc<TopicPartition>, u64)> {
        let moved = self.readings.iter().filter(|(_, reading)| reading.has_moved);
        moved.filter_map(|(at, reading)| Some((at, reading.position?)))
    }

    /// Whether there are such.
    pub(super) fn has_moved(&self) -> bool {
        self.readings.values().any(|reading| reading.has_moved)
    }

    /// All positions are committed.
    pub(super) fn committed(&mut self) {
        for reading in self.readings.values_mut() {
            reading.has_moved = false;
        }
    }

    /// A partition's position.
    pub(super) fn position(&self, at: &TopicPartition) -> Option<u64> {
        self.readings.get(at)?.position
    }

    /// Gives out records of a partition or not; whether it is read at all.
    pub(super) fn set_flow(&mut self, at: &TopicPartition, flow: Flow) -> bool {
        let Some(reading) = self.readings.get_mut(at) else { return false };
        reading.flow = flow;
        true
    }

    /// Takes what a fetcher tells.
    pub(super) fn hear(&mut self, event: Event) {
        let Event { at, round, what } = event;
        let Some(reading) = self.readings.get_mut(&at).filter(|reading| reading.round == round)
        else {
            return;
        };
        match what {
            What::Begins(offset) => reading.position = Some(offset),
            What::Page(page) => {
                // Where the fetcher had to go on elsewhere, so does the position.
                reading.position = Some(page.from);
                reading.page = Some(page);
            }
            What::Failed(error) => {
                reading.failed = Some(error);
                reading.fetching = None;
            }
        }
    }

    /// Gives out at most so many records: of one partition as many as are there, then of the next; a
    /// batch that was begun is gone on with. A partition's error comes once, after its records.
    pub(super) fn take(&mut self, records_max: usize) -> Result<Vec<Record>, Error> {
        // What is inflated already costs no look at all the others.
        if let Some(turn) = &self.turn
            && let Some(reading) = self.readings.get_mut(turn)
            && reading.flow == Flow::Given
            && reading.records.len() >= records_max
        {
            let mut taken = Vec::with_capacity(records_max);
            reading.take(&Arc::clone(turn), records_max, &mut taken)?;
            return Ok(taken);
        }
        let mut taken = Vec::new();
        for at in self.order() {
            let Some(reading) = self.readings.get_mut(&at) else { continue };
            if reading.flow == Flow::Held {
                continue;
            }
            let before = taken.len();
            let result = reading.take(&at, records_max, &mut taken);
            if taken.len() > before {
                self.turn = Some(at);
            }
            match result {
                Ok(()) => {}
                // It comes with the next call, so that these records are not lost.
                Err(error) if taken.is_empty() => return Err(error),
                Err(error) => reading.failed = Some(error),
            }
            if taken.len() >= records_max {
                break;
            }
        }
        Ok(taken)
    }

    /// All partitions, those behind the last one first.
    fn order(&self) -> Vec<Arc<TopicPartition>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let Some(turn) = &self.turn else { return self.readings.keys().cloned().collect() };
        let behind = self.readings.range::<Arc<TopicPartition>, _>((Excluded(turn), Unbounded));
        let before = self.readings.range::<Arc<TopicPartition>, _>((Unbounded, Included(turn)));
        behind.chain(before).map(|(at, _)| Arc::clone(at)).collect()
    }
}

impl Reading {
    fn take(
        &mut self,
        at: &Arc<TopicPartition>,
        records_max: usize,
        to: &mut Vec<Record>,
    ) -> Result<(), Error> {
        while to.len() < records_max {
            if let Some(record) = self.records.pop_front() {
                self.position = Some(record.offset + 1);
                self.has_moved = true;
                to.push(record);
                continue;
            }
            let Some(page) = &mut self.page else {
                return self.failed.take().map_or(Ok(()), Err);
            };
            if let Some(batch) = page.batches.pop_front() {
                self.records = inflate(at, &batch, page.from)?;
            } else {
                // At its end a page may have offsets without records.
                self.position = Some(page.next);
                self.page = None;
            }
        }
        Ok(())
    }
}

fn inflate(
    at: &Arc<TopicPartition>,
    batch: &RecordBatch,
    from: u64,
) -> Result<VecDeque<Record>, Error> {
    let unreadable = |why: String| {
        Error::Unreadable(format!("{at}, the batch at offset {}: {why}", batch.base_offset()))
    };
    let decoded =
        batch.decode(INFLATED_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let mut records = VecDeque::new();
    for record in decoded.iter_from(from) {
        let record = record.map_err(|error| unreadable(error.to_string()))?;
        let record = Record::of(at, &record);
        records.push_back(record.ok_or_else(|| unreadable("a negative offset".to_owned()))?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{PartitionId, TopicName};
    use bytes::BytesMut;
    use storage::batch::{BatchBuilder, Compression, stamped_head};
    use tokio::sync::Semaphore;

    fn at(partition: u32) -> Arc<TopicPartition> {
        Arc::new(TopicPartition::new(TopicName::new("t").unwrap(), PartitionId(partition)))
    }

    fn batch(base_offset: u64, count: u64) -> RecordBatch {
        let mut builder = BatchBuilder::new();
        for offset in base_offset..base_offset + count {
            builder.push(0, None, Some(offset.to_string().as_bytes()), []);
        }
        let built = builder.finish(Compression::Lz4).into_bytes();
        let mut bytes = BytesMut::from(&built[..]);
        let base_offset = i64::try_from(base_offset).unwrap();
        bytes[..16].copy_from_slice(&stamped_head(&built, base_offset, 1));
        RecordBatch::stored(bytes.freeze()).unwrap()
    }

    fn page(from: u64, batches: Vec<RecordBatch>, next: u64) -> What {
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        What::Page(Page { from, batches: batches.into(), next, _slot: slot })
    }

    struct Reader(Shelf);

    impl Reader {
        fn new(partitions: u32) -> Self {
            let mut shelf = Shelf::default();
            for partition in 0..partitions {
                shelf.begin(at(partition), 0, None);
            }
            Self(shelf)
        }

        fn hear(&mut self, partition: u32, round: u64, what: What) {
            self.0.hear(Event { at: at(partition), round, what });
        }

        fn take(&mut self, records_max: usize) -> Vec<(u32, u64)> {
            let records = self.0.take(records_max).unwrap();
            records.iter().map(|record| (record.at.partition.0, record.offset)).collect()
        }
    }

    #[test]
    fn a_position_moves_with_each_record_and_over_what_holds_none() {
        let mut reader = Reader::new(1);
        assert_eq!(reader.0.position(&at(0)), None);
        reader.hear(0, 0, What::Begins(3));
        assert_eq!(reader.0.position(&at(0)), Some(3));
        reader.hear(0, 0, page(3, vec![batch(2, 3), batch(5, 2)], 9));
        assert_eq!(reader.take(3), [(0, 3), (0, 4), (0, 5)]);
        assert_eq!(reader.0.position(&at(0)), Some(6));
        assert_eq!(reader.take(3), [(0, 6)]);
        assert_eq!(reader.0.position(&at(0)), Some(9));
    }

    #[test]
    fn partitions_take_turns() {
        let mut reader = Reader::new(3);
        for partition in 0..3 {
            reader.hear(partition, 0, page(0, vec![batch(0, 4)], 4));
        }
        assert_eq!(reader.take(2), [(0, 0), (0, 1)]);
        assert_eq!(reader.take(2), [(0, 2), (0, 3)], "a batch that was begun");
        assert_eq!(reader.take(3), [(1, 0), (1, 1), (1, 2)]);
        assert_eq!(reader.take(5), [(2, 0), (2, 1), (2, 2), (2, 3), (1, 3)]);
    }

    #[test]
    fn a_paused_partition_keeps_what_it_has() {
        let mut reader = Reader::new(2);
        for partition in 0..2 {
            reader.hear(partition, 0, page(0, vec![batch(0, 1)], 1));
        }
        assert!(reader.0.set_flow(&at(0), Flow::Held));
        assert_eq!(reader.take(9), [(1, 0)]);
        assert!(reader.0.set_flow(&at(0), Flow::Given));
        assert_eq!(reader.take(9), [(0, 0)]);
        assert!(!reader.0.set_flow(&at(7), Flow::Held));
    }

    #[test]
    fn what_a_fetcher_tells_after_a_seek_is_not_heard() {
        let mut reader = Reader::new(1);
        reader.0.begin(at(0), 1, None);
        reader.hear(0, 0, page(0, vec![batch(0, 1)], 1));
        assert_eq!(reader.take(9), []);
        reader.hear(0, 1, page(5, vec![batch(5, 1)], 6));
        assert_eq!(reader.take(9), [(0, 5)]);
    }

    #[test]
    fn an_error_comes_once_and_after_the_records_before_it() {
        let mut reader = Reader::new(1);
        reader.hear(0, 0, page(0, vec![batch(0, 2)], 2));
        reader.hear(0, 0, What::Failed(Error::Closed));
        assert_eq!(reader.take(9), [(0, 0), (0, 1)]);
        assert_eq!(reader.0.take(9), Err(Error::Closed));
        assert_eq!(reader.take(9), []);
    }
}
