//! One replica's work towards a goal, step by step, so that whoever runs it can pause in between.
//!
//! ```text
//!   round: gather ── keys of what is new, until the goal or until no more fit
//!          sweep  ── each sealed segment below that, the oldest first: what they supersede goes
//!   as many rounds as the keys need
//! ```
//!
//! What a round leaves has one record per key below its end, so the next gathers from there on only. A
//! crash between any two steps loses the progress, never a record: the older records of a key go before
//! its tombstone does, because segments are swept from the oldest on.

use super::Goal;
use super::keys::{KEYS_MAX, LatestKeys};
use crate::config::INFLATED_BATCH_BYTES_MAX;
use raft::{Index, Offset};
use std::collections::VecDeque;
use std::io;
use std::mem;
use storage::batch::{self, RecordBatch};
use storage::{Log, StoredEntry, planted};

/// What is read at once.
const READ_BYTES: usize = 4 << 20;

/// A pass over a log.
pub struct Pass {
    log: Log,
    goal: Goal,
    /// Below it each key has one record here.
    clean: Offset,
    keys_max: usize,
    phase: Phase,
    swept: Swept,
}

/// What a pass found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bytes that went.
    pub bytes_removed: u64,
    /// The first offset below the goal that still has a record; the goal's end if none has.
    pub first_kept: Offset,
}

enum Phase {
    /// Keys of records below `next` are known.
    Gather { next: Offset, keys: LatestKeys },
    /// Segments are left to sweep.
    Sweep { below: Offset, keys: LatestKeys, segments: VecDeque<Index> },
    /// The goal is reached.
    Done,
}

impl Pass {
    /// A pass over a log that was brought to `reached` before.
    pub fn new(log: Log, reached: Goal, goal: Goal) -> Self {
        Self::with_keys_max(log, reached, goal, KEYS_MAX)
    }

    /// The same, with another bound on the keys that are known at once.
    pub fn with_keys_max(log: Log, reached: Goal, goal: Goal, keys_max: usize) -> Self {
        let clean = reached.upto;
        let phase = Phase::Gather { next: clean, keys: LatestKeys::new(keys_max) };
        Self { log, goal, clean, keys_max, phase, swept: Swept::default() }
    }

    /// Does the next piece of work; returns about how many bytes were read, or nothing once all is done.
    ///
    /// # Errors
    /// Of the disk. Another pass may be begun; what this one has done stays.
    pub fn step(&mut self) -> io::Result<Option<u64>> {
        match mem::replace(&mut self.phase, Phase::Done) {
            Phase::Gather { next, keys } => self.gather(next, keys).map(Some),
            Phase::Sweep { below, keys, segments } => self.sweep(below, keys, segments).map(Some),
            Phase::Done => Ok(None),
        }
    }

    /// What was found and done; complete once [`Pass::step`] has nothing more to do.
    pub fn swept(&self) -> Swept {
        self.swept
    }

    fn gather(&mut self, next: Offset, mut keys: LatestKeys) -> io::Result<u64> {
        let begin = self.log.state().purged.map_or(Offset::ZERO, |marker| marker.next_offset);
        let mut next = next.max(begin);
        if next >= self.goal.upto {
            self.begin_sweep(self.goal.upto, keys)?;
            return Ok(0);
        }
        let mut bytes = 0;
        let read = self.log.read(next, self.goal.upto, READ_BYTES)?;
        if read.is_empty() {
            // Only a purge takes records from below the high watermark: the next step begins after it.
            let why = format!("no batch from offset {next} to {}", self.goal.upto);
            let purged = self.log.state().purged.is_some_and(|marker| marker.next_offset > next);
            if !purged {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
        for payload in read {
            if keys.is_full() {
                self.begin_sweep(next, keys)?;
                return Ok(bytes);
            }
            bytes += u64::try_from(payload.len()).unwrap_or(u64::MAX);
            let batch = stored(payload)?;
            note(&batch, &mut keys);
            next = Offset::new(u64::try_from(batch.next_offset()).unwrap_or(0)).max(next);
        }
        self.phase = Phase::Gather { next, keys };
        Ok(bytes)
    }

    fn begin_sweep(&mut self, below: Offset, keys: LatestKeys) -> io::Result<()> {
        let ends = self.log.sealed_ends();
        if ends.last().is_none_or(|end| end.marker.next_offset < below) {
            // Segments of replicas may end at different entries.
            self.log.seal()?;
        }
        // A replica may have applied what it has not flushed yet, and no such segment is rewritten.
        self.log.sync()?;
        let mut begin = Offset::ZERO;
        let mut segments = VecDeque::new();
        for end in self.log.sealed_ends() {
            if begin < below {
                segments.push_back(end.marker.position.index);
            }
            begin = end.marker.next_offset;
        }
        self.swept.first_kept = below;
        self.phase = Phase::Sweep { below, keys, segments };
        Ok(())
    }

    fn sweep(
        &mut self,
        below: Offset,
        keys: LatestKeys,
        mut segments: VecDeque<Index>,
    ) -> io::Result<u64> {
        let mut bytes = 0;
        if let Some(end) = segments.pop_front() {
            let mut sweep = Sweep {
                below,
                tombstones_below: self.goal.tombstones_below,
                keys: &keys,
                first_kept: self.swept.first_kept,
            };
            let removed = self.log.rewrite(end, &mut |entry| {
                bytes += u64::try_from(entry.payload.len()).unwrap_or(u64::MAX);
                sweep.edit(entry)
            })?;
            self.swept.first_kept = sweep.first_kept;
            self.swept.bytes_removed += removed;
        }
        self.phase = if !segments.is_empty() {
            Phase::Sweep { below, keys, segments }
        } else if below < self.goal.upto {
            self.clean = below;
            Phase::Gather { next: self.clean, keys: LatestKeys::new(self.keys_max) }
        } else {
            Phase::Done
        };
        Ok(bytes)
    }
}

/// What decides about the records of a segment.
struct Sweep<'a> {
    below: Offset,
    tombstones_below: Offset,
    keys: &'a LatestKeys,
    first_kept: Offset,
}

impl Sweep<'_> {
    /// The batch without the records that go, if any go.
    fn edit(&mut self, entry: &StoredEntry) -> io::Result<Option<bytes::Bytes>> {
        let base = entry.header.base_offset;
        if batch::is_empty(&entry.payload) {
            return Ok(None);
        }
        if entry.header.next_offset() > self.below {
            self.first_kept = self.first_kept.min(base);
            return Ok(None);
        }
        let batch = stored(entry.payload.clone())?;
        let mut first = None;
        let left = batch.retain(INFLATED_BATCH_BYTES_MAX, |record| {
            let offset = Offset::new(u64::try_from(record.offset).unwrap_or(0));
            let stays = self.keeps(record.key, record.value.is_none(), offset);
            if stays {
                first.get_or_insert(offset);
            }
            stays
        });
        match left {
            Ok(left) => {
                self.first_kept = self.first_kept.min(first.unwrap_or(self.first_kept));
                Ok(left.map(RecordBatch::into_bytes))
            }
            Err(error) => {
                // Nobody can tell its keys: it stays as it is.
                tracing::warn!(offset = %base, %error, "a batch is not compacted");
                self.first_kept = self.first_kept.min(base);
                Ok(None)
            }
        }
    }

    fn keeps(&self, key: Option<&[u8]>, is_tombstone: bool, offset: Offset) -> bool {
        let Some(key) = key else { return true };
        let is_over = is_tombstone && offset < self.tombstones_below;
        let offset = offset.get().saturating_sub(u64::from(planted!(CompactTooFar)));
        !is_over && !self.keys.supersede(key, offset)
    }
}

/// Notes the keys of a batch. What cannot be read supersedes nothing.
fn note(batch: &RecordBatch, keys: &mut LatestKeys) {
    let Ok(records) = batch.decode(INFLATED_BATCH_BYTES_MAX) else { return };
    for record in records.iter().map_while(Result::ok) {
        if let (Some(key), Ok(offset)) = (record.key, u64::try_from(record.offset)) {
            keys.note(key, offset);
        }
    }
}

fn stored(payload: bytes::Bytes) -> io::Result<RecordBatch> {
    RecordBatch::stored(payload).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use storage::batch::{Compression, Record};
    use storage::disk::RealDisk;
    use storage::{EngineKind, Entry, EntryKind, GroupId, Position, Store, StoreOptions, Term};

    const SEGMENT_BYTES: u64 = 8 << 10;

    /// Keys (0: none) and whether there is a value, batch by batch.
    type Batches = Vec<Vec<(u8, bool)>>;

    fn batches() -> impl Strategy<Value = Batches> {
        let record = (0_u8..12, prop::bool::weighted(0.8));
        prop::collection::vec(prop::collection::vec(record, 1..6), 1..60)
    }

    fn key(number: u8) -> Option<bytes::Bytes> {
        (number > 0).then(|| vec![number; usize::from(number)].into())
    }

    fn log(dir: &std::path::Path, engine: EngineKind, batches: &Batches) -> (Store, Log) {
        let options = StoreOptions {
            dir: dir.to_owned(),
            engine,
            disk: Arc::new(RealDisk),
            segment_bytes: SEGMENT_BYTES,
            tail_cache_bytes: 4 << 10,
        };
        let store = Store::open(options).unwrap();
        let log = store.log(GroupId::new(1)).unwrap();
        let mut entries = Vec::new();
        for (index, batch) in (0..).zip(batches) {
            let record = |(number, has_value): &(u8, bool)| Record {
                timestamp: 5,
                key: key(*number),
                value: has_value.then(|| vec![7; 300].into()),
                headers: Vec::new(),
            };
            let records: Vec<Record> = batch.iter().map(record).collect();
            let codec = if index % 3 == 0 { Compression::Lz4 } else { Compression::None };
            let payload = RecordBatch::build(&records, codec).into_bytes();
            let position = Position::new(Term::new(1), Index::new(index));
            entries.push(Entry { position, kind: EntryKind::Data, payload });
        }
        // Small writes, so that there are several segments.
        for some in entries.chunks(3) {
            log.append(some.to_vec(), Box::new(Result::unwrap)).unwrap();
        }
        (store, log)
    }

    /// Offset, key number, has a value: of each record that is left.
    fn read(log: &Log) -> Vec<(u64, u8, bool)> {
        let mut found = Vec::new();
        let mut next = Offset::ZERO;
        loop {
            let read = log.read(next, log.state().next_offset, 1 << 20).unwrap();
            if read.is_empty() {
                return found;
            }
            for payload in read {
                let batch = RecordBatch::stored(payload).unwrap();
                next = Offset::new(batch.next_offset().try_into().unwrap());
                for record in &batch.decode(1 << 20).unwrap() {
                    let record = record.unwrap();
                    let number = record.key.map_or(0, |key| key[0]);
                    found.push((record.offset.try_into().unwrap(), number, record.value.is_some()));
                }
            }
        }
    }

    /// What compaction leaves, by the definition.
    fn model(batches: &Batches, goal: Goal) -> Vec<(u64, u8, bool)> {
        let all: Vec<(u64, u8, bool)> = (0..)
            .zip(batches.iter().flatten())
            .map(|(at, (key, value))| (at, *key, *value))
            .collect();
        let (upto, tombstones_below) = (goal.upto.get(), goal.tombstones_below.get());
        let latest: BTreeMap<u8, u64> =
            all.iter().filter(|(at, ..)| *at < upto).map(|(at, key, _)| (*key, *at)).collect();
        let stays = |(at, key, has_value): &(u64, u8, bool)| {
            let superseded = *key > 0 && *at < upto && latest[key] != *at;
            let is_over = *key > 0 && !has_value && *at < tombstones_below;
            !superseded && !is_over
        };
        all.into_iter().filter(stays).collect()
    }

    /// The goal at the end of batches: so many have it, so many have no tombstones.
    fn goal(batches: &Batches, upto: usize, tombstones: usize) -> Goal {
        let end = |count: usize| {
            let count = count.min(batches.len());
            Offset::new(u64::try_from(batches[..count].iter().flatten().count()).unwrap())
        };
        Goal { upto: end(upto), tombstones_below: end(tombstones.min(upto)) }
    }

    fn run(mut pass: Pass) -> Swept {
        while pass.step().unwrap().is_some() {}
        pass.swept()
    }

    fn comes_to_its_model(
        engine: EngineKind,
        batches: &Batches,
        (goals, keys_max): (&[(usize, usize)], usize),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (_store, log) = log(dir.path(), engine, batches);
        let mut reached = Goal::default();
        for (upto, tombstones) in goals {
            let next = goal(batches, *upto, *tombstones);
            let next = Goal {
                upto: next.upto.max(reached.upto),
                tombstones_below: next.tombstones_below.max(reached.tombstones_below),
            };
            let swept = run(Pass::with_keys_max(log.clone(), reached, next, keys_max));
            let expected = model(batches, next);
            assert_eq!(read(&log), expected, "towards {next:?} from {reached:?}");
            let first = expected.first().map_or(next.upto.get(), |(at, ..)| *at);
            if next.upto > Offset::ZERO {
                assert_eq!(swept.first_kept.get(), first.min(next.upto.get()), "{next:?}");
            }
            reached = next;
        }
        // Whoever has forgotten what was reached comes to the same.
        run(Pass::with_keys_max(log.clone(), Goal::default(), reached, keys_max));
        assert_eq!(read(&log), model(batches, reached));
        let all = u64::try_from(batches.iter().flatten().count()).unwrap();
        assert_eq!(log.state().next_offset.get(), all);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn any_passes_leave_what_the_last_goal_says(
            batches in batches(),
            goals in prop::collection::vec((0_usize..70, 0_usize..70), 1..4),
            keys_max in 1_usize..16,
        ) {
            comes_to_its_model(EngineKind::Segment, &batches, (&goals, keys_max));
        }

        #[test]
        fn an_interrupted_pass_leaves_no_older_record_of_a_tombstone(
            batches in batches(),
            upto in 1_usize..70,
            steps in 1_usize..12,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (_store, log) = log(dir.path(), EngineKind::Segment, &batches);
            let goal = goal(&batches, upto, upto);
            let mut pass = Pass::with_keys_max(log.clone(), Goal::default(), goal, 4);
            for _ in 0..steps {
                pass.step().unwrap();
            }
            // What a reader from the beginning makes of it is the same before, meanwhile and after.
            let table = |records: &[(u64, u8, bool)]| -> BTreeMap<u8, u64> {
                let mut table = BTreeMap::new();
                for (at, key, has_value) in records.iter().filter(|(_, key, _)| *key > 0) {
                    if *has_value { table.insert(*key, *at) } else { table.remove(key) };
                }
                table
            };
            let all = model(&batches, Goal::default());
            prop_assert_eq!(table(&read(&log)), table(&all));
            run(Pass::new(log.clone(), Goal::default(), goal));
            prop_assert_eq!(table(&read(&log)), table(&all));
            prop_assert_eq!(read(&log), model(&batches, goal));
        }
    }

    #[test]
    fn sled_comes_to_the_same() {
        let batches: Batches =
            (0..60_u8).map(|at| vec![(at % 7, at % 5 > 0), (at % 4, true)]).collect();
        comes_to_its_model(EngineKind::Sled, &batches, (&[(20, 5), (50, 30)], 3));
    }
}
