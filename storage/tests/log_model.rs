//! A log is its model, whatever is appended, truncated, purged and opened again, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod logs;

use bytes::Bytes;
use logs::{Model, append, batch, data, open, position};
use proptest::prelude::*;
use storage::batch::RecordBatch;
use storage::{EngineKind, Entry, EntryKind, FlushPolicy, GroupId, Index, Log, Marker, Store};

const GROUP: GroupId = GroupId::new(7);

/// What happens to the log.
#[derive(Debug, Clone)]
enum Step {
    /// Entries of these sizes; whether a new term begins.
    Append(Vec<(Kind, usize)>, bool),
    /// The same, without waiting for them.
    AppendOnly(Vec<(Kind, usize)>),
    /// Truncate to this part (of 256) of what is there.
    Truncate(u8),
    /// Purge this part of what is there.
    Purge(u8),
    /// Purge beyond the end.
    PurgeBeyond(u8),
    /// Take records from this sealed segment.
    Rewrite(u8),
    /// End the segment that takes entries.
    Seal,
    /// Open the store again, after a clean end or without one.
    Reopen(bool),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Data,
    Blank,
    Command,
}

fn entries() -> impl Strategy<Value = Vec<(Kind, usize)>> {
    let kind = prop_oneof![4 => Just(Kind::Data), 1 => Just(Kind::Blank), 1 => Just(Kind::Command)];
    let size = prop_oneof![8 => 1_usize..1500, 1 => 4000_usize..9000];
    prop::collection::vec((kind, size), 0..8)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (entries(), prop::bool::weighted(0.2)).prop_map(|(e, term)| Step::Append(e, term)),
        3 => entries().prop_map(Step::AppendOnly),
        3 => any::<u8>().prop_map(Step::Truncate),
        2 => any::<u8>().prop_map(Step::Purge),
        1 => (0_u8..3).prop_map(Step::PurgeBeyond),
        4 => any::<u8>().prop_map(Step::Rewrite),
        1 => Just(Step::Seal),
        2 => any::<bool>().prop_map(Step::Reopen),
    ]
}

struct Run {
    engine: EngineKind,
    store: Option<Store>,
    log: Option<Log>,
    model: Model,
    term: u64,
    seed: u64,
    /// The last to go.
    dir: tempfile::TempDir,
}

impl Run {
    fn new(engine: EngineKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        let (store, log) = (Some(store), Some(log));
        Self { dir, engine, store, log, model: Model::default(), term: 1, seed: 0 }
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn entries(&mut self, sizes: &[(Kind, usize)]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (place, (kind, size)) in sizes.iter().enumerate() {
            self.seed += 1;
            let index = self.model.next() + place as u64;
            let plain =
                |kind, payload| Entry { position: position(self.term, index), kind, payload };
            entries.push(match kind {
                Kind::Data => {
                    data(self.term, index, batch((*size % 5) as u32 + 1, *size, self.seed))
                }
                Kind::Blank => plain(EntryKind::Blank, Bytes::new()),
                Kind::Command => plain(EntryKind::Command, Bytes::from(vec![7; *size])),
            });
        }
        entries
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(sizes, new_term) => {
                self.term += u64::from(*new_term);
                let entries = self.entries(sizes);
                let expected = self.model.append(&entries);
                assert_eq!(append(self.log(), entries), expected);
            }
            Step::AppendOnly(sizes) => {
                let entries = self.entries(sizes);
                self.model.append(&entries);
                self.log().append(entries, Box::new(|result| result.unwrap())).unwrap();
            }
            Step::Truncate(part) => {
                let next = self.part(*part);
                self.model.truncate(next);
                self.term += 1;
                self.log().truncate_after(Index::new(next).previous()).unwrap();
            }
            Step::Purge(part) => {
                let next = self.part(*part);
                if next > self.model.begin() {
                    self.purge(self.model.marker(next - 1));
                }
            }
            Step::PurgeBeyond(more) => {
                self.purge(self.model.marker(self.model.next() + u64::from(*more)));
            }
            Step::Rewrite(which) => self.rewrite(*which),
            Step::Seal => self.log.as_ref().unwrap().seal().unwrap(),
            Step::Reopen(clean) => {
                if *clean {
                    self.store.as_ref().unwrap().close().unwrap();
                }
                self.log = None;
                self.store = None;
                let store = open(self.dir.path(), self.engine);
                self.log = Some(store.log(GROUP).unwrap());
                self.store = Some(store);
            }
        }
        self.model.check(self.log());
        self.check_ends();
    }

    /// Of a third of the batches all records go, of a third some.
    fn rewrite(&mut self, which: u8) {
        let ends = self.log().sealed_ends();
        let Some(end) = ends.get(usize::from(which) % ends.len().max(1)) else { return };
        self.log().sync().unwrap();
        let log = self.log.clone().unwrap();
        self.model.rewrite(end.marker.position.index.get(), &log, |index, payload| {
            let batch = RecordBatch::stored(payload.clone()).unwrap();
            let keep = |offset: i64| match (index + u64::from(which)) % 3 {
                0 => true,
                1 => offset % 2 == 0,
                _ => false,
            };
            // Its base offset is not stamped in the model.
            let base = batch.base_offset();
            let left = batch.retain(1 << 20, |record| keep(record.offset - base)).unwrap();
            left.map(RecordBatch::into_bytes)
        });
    }

    fn purge(&mut self, marker: Marker) {
        self.model.purge(marker);
        self.log().purge(marker).unwrap();
    }

    fn part(&self, part: u8) -> u64 {
        self.model.begin() + self.model.entries.len() as u64 * u64::from(part) / 255
    }

    fn check_ends(&self) {
        for end in self.log().sealed_ends() {
            assert_eq!(end.marker, self.model.marker(end.marker.position.index.get()));
            assert!(end.bytes > 0);
        }
    }
}

fn runs_as_its_model(engine: EngineKind, steps: &[Step]) {
    let mut run = Run::new(engine);
    run.log().set_flush(FlushPolicy::Always);
    for step in steps {
        run.step(step);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_log_in_segments_is_its_model(steps in prop::collection::vec(step(), 1..40)) {
        runs_as_its_model(EngineKind::Segment, &steps);
    }

    #[test]
    fn a_log_in_sled_is_its_model(steps in prop::collection::vec(step(), 1..40)) {
        runs_as_its_model(EngineKind::Sled, &steps);
    }
}
