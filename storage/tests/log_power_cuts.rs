//! A power cut takes nothing that was acknowledged, and leaves nothing that never was.
//!
//! Segments live on the faulty disk, which loses and tears what no barrier covered. The state's sled
//! is on the real file system; its picture is taken after every durable flush and put back at the
//! cut. An acknowledgement counts if it came before the cut.
//!
//! What must be found: the log as it was after some operation, not earlier than the last acknowledged
//! one, or in the middle of an append or a truncation after it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::similar_names,
    clippy::wildcard_enum_match_arm,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod logs;

use bytes::Bytes;
use logs::{batch, data, options, position};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use storage::batch::RecordBatch;
use storage::disk::FaultyDisk;
use storage::{
    EngineKind, FlushPolicy, GroupId, Header, Index, Log, Marker, Offset, Position, Store,
};

const GROUP: GroupId = GroupId::new(3);

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Truncate(u8),
    Purge(u8),
    PurgeBeyond,
    /// Take the records of some batches of this sealed segment.
    Rewrite(u8),
    Vote,
    Checkpoint,
    /// The process dies and starts again; the page cache stays.
    Kill,
    /// Wait for everything, so that the cut finds a quiet log too.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(prop_oneof![6 => 1_usize..1500, 1 => 4000_usize..9000], 1..8);
    prop_oneof![
        10 => sizes.prop_map(Step::Append),
        2 => any::<u8>().prop_map(Step::Truncate),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => Just(Step::PurgeBeyond),
        3 => any::<u8>().prop_map(Step::Rewrite),
        2 => Just(Step::Vote),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Kill),
        2 => Just(Step::Wait),
    ]
}

/// The log after an operation, as if nothing had been purged.
#[derive(Debug, Clone, Default)]
struct Past {
    entries: BTreeMap<u64, (Header, Bytes)>,
    /// The next index after the operation, and the least that a torn append may leave.
    next: u64,
    torn_next: u64,
    next_offset: Offset,
}

/// The machine: whether it has power, what its state's files were at the last flush, and what was
/// acknowledged.
#[derive(Default)]
struct Machine {
    off: bool,
    acknowledged: usize,
    vote: u64,
}

struct Run {
    disk: FaultyDisk,
    policy: FlushPolicy,
    machine: Arc<Mutex<Machine>>,
    store: Option<Store>,
    log: Option<Log>,
    /// After operation 0, 1, 2 …
    past: Vec<Past>,
    purged: Vec<Option<Marker>>,
    acknowledged_purge: Option<Marker>,
    checkpoint: Option<(Position, Vec<u8>)>,
    votes: u64,
    term: u64,
    seed: u64,
    /// The last to go.
    dir: tempfile::TempDir,
}

impl Run {
    fn new(seed: u64, policy: FlushPolicy) -> Self {
        let mut run = Self {
            dir: tempfile::tempdir().unwrap(),
            disk: FaultyDisk::new(seed),
            policy,
            machine: Arc::default(),
            store: None,
            log: None,
            past: vec![Past::default()],
            purged: vec![None],
            acknowledged_purge: None,
            checkpoint: None,
            votes: 0,
            term: 1,
            seed,
        };
        run.start();
        run
    }

    fn start(&mut self) {
        let disk = Arc::new(self.disk.clone());
        let store = Store::open(options(self.dir.path(), EngineKind::Segment, disk)).unwrap();
        let (state, picture) = (self.dir.path().join("state"), self.dir.path().join("picture"));
        copy(&state, &picture);
        let machine = Arc::clone(&self.machine);
        store.state().after_flush(move || {
            let machine = machine.lock().unwrap();
            if !machine.off {
                copy(&state, &picture);
            }
        });
        let log = store.log(GROUP).unwrap();
        log.set_flush(self.policy);
        (self.store, self.log) = (Some(store), Some(log));
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn now(&self) -> &Past {
        self.past.last().unwrap()
    }

    fn begin(&self) -> u64 {
        self.purged.last().unwrap().map_or(0, |marker| marker.first_kept().get())
    }

    /// A callback that notes, while there is power, that operation `number` is acknowledged.
    fn acknowledge(&self, number: usize, vote: Option<u64>) -> storage::Done {
        let machine = Arc::clone(&self.machine);
        let counts = vote.is_some() || self.policy == FlushPolicy::Always;
        Box::new(move |result| {
            let mut machine = machine.lock().unwrap();
            if machine.off {
                return;
            }
            result.unwrap();
            machine.vote = vote.unwrap_or(machine.vote);
            if counts {
                assert!(number >= machine.acknowledged, "out of order");
                machine.acknowledged = number;
            }
        })
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => self.append(sizes),
            Step::Truncate(part) => self.truncate(*part),
            Step::Purge(part) => {
                let begin = self.begin();
                let past = self.now();
                let index = begin + (past.next - begin) * u64::from(*part) / 256;
                if let Some((header, _)) = past.entries.get(&index).filter(|_| index >= begin) {
                    let next_offset = header.next_offset();
                    self.purge(Marker { position: header.position, next_offset });
                }
            }
            Step::PurgeBeyond => {
                let next_offset = self.now().next_offset.plus(5);
                let position = position(self.term, self.now().next + 2);
                self.purge(Marker { position, next_offset });
            }
            Step::Rewrite(which) => self.rewrite(*which),
            Step::Vote => {
                self.votes += 1;
                self.past.push(self.quiet_past());
                let done = self.acknowledge(self.past.len() - 1, Some(self.votes));
                self.log().save_vote(self.votes.to_be_bytes().to_vec(), done).unwrap();
            }
            Step::Checkpoint => {
                let Some(last) = self.log().state().last else { return };
                if self.log().state().flushed == Some(last.index) {
                    let bytes = self.votes.to_be_bytes().repeat(1000);
                    self.log().put_checkpoint(last, &bytes).unwrap();
                    self.checkpoint = Some((last, bytes));
                }
            }
            Step::Kill => {
                let before = self.log().state();
                self.log = None;
                self.store = None;
                self.start();
                let after = self.log().state();
                assert_eq!((after.last, after.purged), (before.last, before.purged));
            }
            Step::Wait => {
                self.log().sync().unwrap();
                let number = self.past.len() - 1;
                self.machine.lock().unwrap().acknowledged = number;
            }
        }
    }

    fn quiet_past(&self) -> Past {
        let mut past = self.now().clone();
        past.torn_next = past.next;
        past
    }

    fn append(&mut self, sizes: &[usize]) {
        let mut past = self.quiet_past();
        let mut entries = Vec::new();
        for size in sizes {
            self.seed += 1;
            entries.push(data(
                self.term,
                past.next + entries.len() as u64,
                batch(2, *size, self.seed),
            ));
        }
        // The number of the operation is that of the state it leads to.
        let done = self.acknowledge(self.past.len(), None);
        let payloads: Vec<Bytes> = entries.iter().map(|entry| entry.payload.clone()).collect();
        let headers = self.log().append(entries, done).unwrap();
        for (header, payload) in headers.into_iter().zip(payloads) {
            past.next = header.position.index.get() + 1;
            past.next_offset = header.next_offset();
            past.entries.insert(header.position.index.get(), (header, payload));
        }
        self.past.push(past);
        self.purged.push(*self.purged.last().unwrap());
    }

    fn truncate(&mut self, part: u8) {
        let mut past = self.quiet_past();
        let begin = self.begin();
        past.next = begin + (past.next - begin) * u64::from(part) / 255;
        past.torn_next = past.next;
        past.entries.split_off(&past.next);
        let last = past.next.checked_sub(1);
        let last_header =
            last.and_then(|last| past.entries.get(&last)).filter(|_| past.next > begin);
        let purged = self.purged.last().unwrap().map(|marker| marker.next_offset);
        let next_offset = last_header.map(|(header, _)| header.next_offset()).or(purged);
        past.next_offset = next_offset.unwrap_or_default();
        self.term += 1;
        self.checkpoint = self.checkpoint.take().filter(|(at, _)| at.index.get() < past.next);
        self.log().truncate_after(last.map(Index::new)).unwrap();
        self.past.push(past);
    }

    /// As compaction does: durable before, durable after; at no time anything but the one or the other.
    fn rewrite(&mut self, which: u8) {
        self.step(&Step::Wait);
        let ends = self.log().sealed_ends();
        let Some(end) = ends.get(usize::from(which) % ends.len().max(1)) else { return };
        let mut past = self.quiet_past();
        self.log()
            .rewrite(end.marker.position.index, &mut |entry| {
                let index = entry.header.position.index.get();
                if (index + u64::from(which)).is_multiple_of(2) {
                    return Ok(None);
                }
                let batch = RecordBatch::stored(entry.payload.clone()).unwrap();
                let Some(left) = batch.retain(1 << 20, |_| false).unwrap() else { return Ok(None) };
                let left = left.into_bytes();
                if let Some((header, payload)) = past.entries.get_mut(&index) {
                    (header.max_timestamp, header.payload_len) = (-1, left.len() as u32);
                    *payload = left.clone();
                }
                Ok(Some(left))
            })
            .unwrap();
        self.past.push(past);
        self.machine.lock().unwrap().acknowledged = self.past.len() - 1;
    }

    fn purge(&mut self, marker: Marker) {
        let mut past = self.quiet_past();
        if marker.first_kept().get() > past.next {
            past.next = marker.first_kept().get();
            past.torn_next = past.next;
            past.next_offset = marker.next_offset;
        }
        self.past.push(past);
        self.purged.push(Some(marker));
        self.log().purge(marker).unwrap();
        self.acknowledged_purge = Some(marker);
    }

    /// Cuts the power, starts again, and compares.
    fn power_cut(&mut self) {
        {
            let mut machine = self.machine.lock().unwrap();
            machine.off = true;
            self.disk = self.disk.power_cut();
        }
        self.log = None;
        self.store = None;
        let (state, picture) = (self.dir.path().join("state"), self.dir.path().join("picture"));
        copy(&picture, &state);
        self.machine.lock().unwrap().off = false;
        self.start();
        self.compare();
    }

    fn compare(&mut self) {
        let log = self.log.clone().unwrap();
        let state = log.state();
        let begin = state.purged.map_or(0, |marker| marker.first_kept().get());
        assert!(self.purged.contains(&state.purged), "a purge point from nowhere");
        let acknowledged = self.acknowledged_purge.map(|marker| marker.first_kept().get());
        assert!(begin >= acknowledged.unwrap_or(0), "an acknowledged purge is undone");
        let next = state.last.map_or(0, |last| last.index.get() + 1);
        let mut found = Vec::new();
        while begin + (found.len() as u64) < next {
            let from = Index::new(begin + found.len() as u64);
            found.extend(log.entries(from..Index::new(next), usize::MAX).unwrap());
        }
        let acknowledged = self.machine.lock().unwrap().acknowledged;
        let matches = |past: &Past, least: u64, most: u64| {
            // A purge point may be durable before the entries below it.
            let is_end = (least..=most).contains(&next) || (next == begin && least <= next);
            is_end
                && found.iter().all(|entry| {
                    let index = entry.header.position.index.get();
                    past.entries.get(&index).is_some_and(|(header, payload)| {
                        *header == entry.header && payload[16..] == entry.payload[16..]
                    })
                })
        };
        let past = &self.past;
        let is_past =
            matches(&past[acknowledged], past[acknowledged].next, past[acknowledged].next)
                || (acknowledged + 1..past.len()).any(|number| {
                    let (before, after) = (&past[number - 1], &past[number]);
                    // An append leaves some of its entries, a truncation some of what it takes.
                    matches(after, after.torn_next, after.next)
                        || matches(before, after.next, before.next)
                });
        assert!(
            is_past,
            "found {begin}..{next}, which is no past of the log since operation {acknowledged}: {:?}",
            self.past.iter().map(|past| (past.torn_next, past.next)).collect::<Vec<_>>()
        );
        self.compare_state(&log, next);
        self.go_on_from(next, state, &found);
    }

    fn compare_state(&self, log: &Log, next: u64) {
        let vote = log.vote().unwrap().map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()));
        let acknowledged = self.machine.lock().unwrap().vote;
        assert!((acknowledged..=self.votes).contains(&vote), "vote {vote} after {acknowledged}");
        let checkpoints = log.checkpoints().unwrap();
        assert!(checkpoints.iter().all(|(at, _)| at.index.get() < next), "ahead of the log");
        if let Some((at, bytes)) = self.checkpoint.as_ref().filter(|(at, _)| at.index.get() < next)
        {
            assert!(checkpoints.contains(&(*at, bytes.clone())), "checkpoint {at} is lost");
        }
    }

    fn go_on_from(&mut self, next: u64, state: storage::LogState, found: &[storage::StoredEntry]) {
        let entries = found.iter().map(|entry| {
            (entry.header.position.index.get(), (entry.header, entry.payload.clone()))
        });
        let next_offset = state.next_offset;
        self.past = vec![Past { entries: entries.collect(), next, torn_next: next, next_offset }];
        self.purged = vec![state.purged];
        self.checkpoint = None;
        self.term += 1;
        let mut machine = self.machine.lock().unwrap();
        machine.acknowledged = 0;
        machine.vote = self.votes;
        drop(machine);
        // From here on this vote is the stored one.
        self.step(&Step::Vote);
        self.step(&Step::Wait);
    }
}

/// Makes `to` a copy of `from`, directories and all.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry: PathBuf = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

fn survives(seed: u64, policy: FlushPolicy, rounds: &[Vec<Step>]) {
    let mut run = Run::new(seed, policy);
    for round in rounds {
        for step in round {
            run.step(step);
        }
        run.power_cut();
    }
}

fn rounds() -> impl Strategy<Value = Vec<Vec<Step>>> {
    prop::collection::vec(prop::collection::vec(step(), 1..16), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_power_cuts(seed: u64, rounds in rounds()) {
        survives(seed, FlushPolicy::Always, &rounds);
    }

    #[test]
    fn what_a_vote_or_a_sync_covers_survives_whatever_the_policy(seed: u64, rounds in rounds()) {
        survives(seed, FlushPolicy::Os, &rounds);
    }
}
