//! The segment engine on a disk that fails: whatever a completed barrier covered is there after every
//! power cut, byte for byte; recovery refuses nothing that is sound, invents nothing, and never lets
//! a damaged durable byte pass.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a test fails by panicking, and its numbers are small"
)]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::FaultyDisk;
use storage::engine::segment::{HEADER_BYTES, SegmentEngine, frame_bytes};
use storage::engine::{Engine, Frame, Known, RecoverError, SegmentId};
use storage::{EntryKind, GroupId, Header, Index, Offset, Position, StoredEntry, Term};

const DIR: &str = "/data";
const SEGMENT_BYTES: u64 = 16 << 10;
const GROUPS: u64 = 6;

fn open(disk: &FaultyDisk) -> SegmentEngine {
    SegmentEngine::open(Arc::new(disk.clone()), Path::new(DIR), SEGMENT_BYTES).unwrap()
}

fn id(group: u64, first: u64) -> SegmentId {
    SegmentId { group: GroupId::new(group), first: Index::new(first) }
}

fn path(segment: SegmentId) -> PathBuf {
    format!("{DIR}/segments/{}/{:020}.log", segment.group, segment.first.get()).into()
}

/// `version` tells entries of the same index apart: those written before and after a cut.
fn frame(index: u64, version: u64, len: usize, durable: Option<u64>) -> Frame {
    let fill = |at: usize| (index as usize * 7 + version as usize * 13 + at) as u8;
    let payload: Bytes = (0..len).map(fill).collect();
    let header = Header {
        position: Position::new(Term::new(version), Index::new(index)),
        kind: EntryKind::Command,
        base_offset: Offset::new(index),
        record_count: 1,
        max_timestamp: -1,
        payload_len: len as u32,
    };
    Frame { header, payload, durable: durable.map(Index::new) }
}

/// What a log above would know of one of its segments.
#[derive(Debug, Default)]
struct ModelSegment {
    entries: Vec<Frame>,
    /// So many of them a completed barrier covered.
    durable: usize,
}

impl ModelSegment {
    fn bytes(&self) -> u64 {
        let frames = self.entries.iter().map(|frame| frame_bytes(frame.header.payload_len));
        HEADER_BYTES + frames.sum::<u64>()
    }
}

type ModelLog = BTreeMap<SegmentId, ModelSegment>;

struct World {
    disk: FaultyDisk,
    engine: SegmentEngine,
    logs: BTreeMap<u64, ModelLog>,
    version: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Append { group: u64, lens: Vec<usize> },
    Barrier { groups: Vec<u64> },
    Cut { group: u64, keep: prop::sample::Index },
    Roll { group: u64 },
    Replace { group: u64, which: prop::sample::Index, fails: bool },
    RemoveFirst { group: u64 },
    RemoveGroup { group: u64 },
    PowerCut,
    Restart,
    FailingSync { group: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let group = 0..GROUPS;
    let lens = prop::collection::vec(prop_oneof![0..200_usize, 400..3000_usize], 1..6);
    let groups = prop::sample::subsequence((0..GROUPS).collect::<Vec<_>>(), 1..=6);
    let step = prop_oneof![
        10 => (group.clone(), lens).prop_map(|(group, lens)| Step::Append { group, lens }),
        5 => groups.prop_map(|groups| Step::Barrier { groups }),
        2 => (group.clone(), any::<prop::sample::Index>())
            .prop_map(|(group, keep)| Step::Cut { group, keep }),
        1 => group.clone().prop_map(|group| Step::Roll { group }),
        3 => (group.clone(), any::<prop::sample::Index>(), prop::bool::weighted(0.3))
            .prop_map(|(group, which, fails)| Step::Replace { group, which, fails }),
        1 => group.clone().prop_map(|group| Step::RemoveFirst { group }),
        1 => group.clone().prop_map(|group| Step::RemoveGroup { group }),
        3 => Just(Step::PowerCut),
        1 => Just(Step::Restart),
        1 => group.prop_map(|group| Step::FailingSync { group }),
    ];
    prop::collection::vec(step, 1..60)
}

impl World {
    fn new(seed: u64, mount: bool) -> Self {
        let disk = FaultyDisk::new(seed);
        disk.set_mount(mount);
        let engine = open(&disk);
        Self { disk, engine, logs: BTreeMap::new(), version: 1 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { group, lens } => self.append(group, &lens),
            Step::Barrier { groups } => self.barrier(&groups),
            Step::Cut { group, keep } => self.cut(group, keep),
            Step::Roll { group } => self.roll(group),
            Step::Replace { group, which, fails } => self.replace(group, which, fails),
            Step::RemoveFirst { group } => self.remove_first(group),
            Step::RemoveGroup { group } => {
                self.engine.remove_group(GroupId::new(group)).unwrap();
                self.logs.remove(&group);
            }
            Step::PowerCut => self.reopen(true),
            Step::Restart => self.reopen(false),
            Step::FailingSync { group } => self.fail_sync(group),
        }
    }

    fn append(&mut self, group: u64, lens: &[usize]) {
        if self.logs.get(&group).and_then(|log| log.values().last()).is_none_or(|last| {
            let more: u64 = lens.iter().map(|len| frame_bytes(*len as u32)).sum();
            last.bytes() + more > SEGMENT_BYTES
        }) {
            self.roll(group);
        }
        let (segment, model) = self.logs.get_mut(&group).unwrap().last_entry_mut();
        let next = segment.first.get() + model.entries.len() as u64;
        let durable = model.durable.checked_sub(1).map(|last| segment.first.get() + last as u64);
        let new = (next..).zip(lens);
        let frames: Vec<Frame> =
            new.map(|(index, len)| frame(index, self.version, *len, durable)).collect();
        self.engine.write(segment, &frames).unwrap();
        model.entries.extend(frames);
    }

    fn roll(&mut self, group: u64) {
        let log = self.logs.entry(group).or_default();
        let first = match log.iter().last() {
            Some((_, last)) if last.entries.is_empty() => return,
            Some((segment, last)) => segment.first.get() + last.entries.len() as u64,
            None => self.version,
        };
        self.engine.create(id(group, first), Offset::new(first)).unwrap();
        log.insert(id(group, first), ModelSegment::default());
    }

    fn barrier(&mut self, groups: &[u64]) {
        let all = self.logs.iter_mut().filter(|(group, _)| groups.contains(group));
        let mut dirty = Vec::new();
        for (segment, model) in all.flat_map(|(_, log)| log.iter_mut()) {
            if model.durable < model.entries.len() {
                dirty.push(*segment);
                model.durable = model.entries.len();
            }
        }
        self.engine.barrier(&dirty).unwrap();
    }

    /// As a log truncates: whole segments from the end, then a cut within one.
    fn cut(&mut self, group: u64, keep: prop::sample::Index) {
        let Some(log) = self.logs.get_mut(&group) else { return };
        let total: usize = log.values().map(|model| model.entries.len()).sum();
        let mut removed = total - keep.index(total + 1);
        while let Some(entry) = log.last_entry() {
            let (segment, held) = (*entry.key(), entry.get().entries.len());
            if removed < held || log.len() == 1 {
                break;
            }
            removed -= held;
            self.engine.remove(segment).unwrap();
            log.remove(&segment);
        }
        let (segment, model) = log.last_entry_mut();
        let kept = model.entries.len() - removed;
        let last = kept.checked_sub(1).map(|last| Index::new(segment.first.get() + last as u64));
        self.engine.cut(segment, last).unwrap();
        model.entries.truncate(kept);
        model.durable = model.durable.min(kept);
        self.version += 1;
    }

    /// As a log compacts: a segment that is followed by another, and durable.
    fn replace(&mut self, group: u64, which: prop::sample::Index, fails: bool) {
        let Some(log) = self.logs.get_mut(&group).filter(|log| log.len() > 1) else { return };
        let sealed = which.index(log.len() - 1);
        let (segment, model) = log.iter_mut().nth(sealed).unwrap();
        if model.durable < model.entries.len() {
            return;
        }
        let shrunk = model.entries.iter().map(|frame| {
            let payload = frame.payload.slice(..frame.payload.len() / 2);
            let payload_len = payload.len() as u32;
            let header = Header { payload_len, ..frame.header };
            Frame { header, payload, durable: header.position.index.previous() }
        });
        let shrunk: Vec<Frame> = shrunk.collect();
        let mut pieces = shrunk.chunks(3);
        if fails {
            self.disk.fail_syncs(1);
        }
        let replaced =
            self.engine.replace(*segment, &mut || Ok(pieces.next().unwrap_or_default().to_vec()));
        assert_eq!(replaced.is_err(), fails, "{replaced:?}");
        if !fails {
            model.entries = shrunk;
        }
    }

    fn remove_first(&mut self, group: u64) {
        let Some(log) = self.logs.get_mut(&group).filter(|log| log.len() > 1) else { return };
        let (segment, _) = log.pop_first().unwrap();
        self.engine.remove(segment).unwrap();
    }

    /// A sync fails, nothing is durable by it; after recovery, the next barrier tells the truth.
    fn fail_sync(&mut self, group: u64) {
        let Some(log) = self.logs.get_mut(&group) else { return };
        let (segment, model) = log.last_entry_mut();
        if model.durable == model.entries.len() {
            return;
        }
        self.disk.fail_syncs(1);
        self.engine.barrier(&[segment]).unwrap_err();
        let next = segment.first.get() + model.entries.len() as u64;
        let more = [frame(next, self.version, 10, None)];
        self.engine.write(segment, &more).expect_err("a failed sync poisons");
        self.engine.barrier(&[segment]).expect_err("a failed sync is never tried again");
        let known = Known { base_offset: Offset::new(segment.first.get()), durable: None };
        let headers = self.engine.recover(segment, known).unwrap();
        assert_eq!(headers.len(), model.entries.len());
        // Recovery wrote them anew and synced.
        model.durable = model.entries.len();
    }

    fn reopen(&mut self, power_cut: bool) {
        if power_cut {
            self.disk = self.disk.power_cut();
        }
        // The old one stops before the new one starts: a directory has one owner.
        self.engine = open(&FaultyDisk::new(0));
        self.engine = open(&self.disk);
        self.version += 1;
        let known_groups: Vec<u64> =
            self.engine.groups().unwrap().iter().map(|group| group.get()).collect();
        let groups: Vec<u64> = self.logs.keys().copied().collect();
        assert!(known_groups.iter().all(|group| groups.contains(group)), "a group came back");
        for (group, log) in &mut self.logs {
            let on_disk = self.engine.segments(GroupId::new(*group)).unwrap();
            assert_eq!(on_disk, log.keys().copied().collect::<Vec<_>>(), "segments of {group}");
            for (segment, model) in log.iter_mut() {
                recover(&self.engine, *segment, model, power_cut);
            }
            // A hole between segments: what follows was never durable either, and is dropped by the
            // log above.
            drop_after_hole(&self.engine, log);
        }
    }

    fn check_reads(&self) {
        for (segment, model) in self.logs.values().flatten() {
            let read = self.engine.read(*segment, segment.first, usize::MAX).unwrap();
            assert_eq!(read, stored(&model.entries));
            let headers = self.engine.headers(*segment, segment.first, usize::MAX).unwrap();
            assert_eq!(headers, stored(&model.entries), "commands come with their payload");
        }
    }
}

trait LastEntry {
    fn last_entry_mut(&mut self) -> (SegmentId, &mut ModelSegment);
}

impl LastEntry for ModelLog {
    fn last_entry_mut(&mut self) -> (SegmentId, &mut ModelSegment) {
        let (segment, model) = self.iter_mut().next_back().expect("a log has a segment");
        (*segment, model)
    }
}

fn stored(frames: &[Frame]) -> Vec<StoredEntry> {
    let entry = |f: &Frame| StoredEntry { header: f.header, payload: f.payload.clone() };
    frames.iter().map(entry).collect()
}

fn recover(engine: &SegmentEngine, segment: SegmentId, model: &mut ModelSegment, cut: bool) {
    let first = segment.first.get();
    let durable = model.durable.checked_sub(1).map(|last| Index::new(first + last as u64));
    let known = Known { base_offset: Offset::new(first), durable };
    let headers = engine.recover(segment, known).unwrap();
    assert!(headers.len() >= model.durable, "{} of {} durable", headers.len(), model.durable);
    assert!(headers.len() <= model.entries.len(), "invented");
    assert!(cut || headers.len() == model.entries.len(), "lost without a power cut");
    model.entries.truncate(headers.len());
    model.durable = headers.len();
    let written: Vec<Header> = model.entries.iter().map(|frame| frame.header).collect();
    assert_eq!(headers, written);
}

fn drop_after_hole(engine: &SegmentEngine, log: &mut ModelLog) {
    let mut next = None;
    let mut hole = false;
    let mut dropped = Vec::new();
    for (segment, model) in &*log {
        hole |= next.is_some_and(|next| next != segment.first.get());
        if hole {
            assert_eq!(model.durable.min(1), model.entries.len().min(1));
            dropped.push(*segment);
        }
        next = Some(segment.first.get() + model.entries.len() as u64);
    }
    for segment in dropped.into_iter().rev() {
        engine.remove(segment).unwrap();
        log.remove(&segment);
    }
    if hole {
        let (segment, model) = log.last_entry_mut();
        let last = model.entries.last().map(|frame| frame.header.position.index);
        engine.cut(segment, last).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_a_barrier_covered_survives_every_power_cut(
        seed in any::<u64>(),
        mount in any::<bool>(),
        steps in steps(),
    ) {
        let mut world = World::new(seed, mount);
        for step in steps {
            world.step(step);
        }
        world.check_reads();
        world.reopen(true);
        world.check_reads();
    }

    #[test]
    fn no_damaged_byte_of_a_durable_frame_passes(
        seed in any::<u64>(),
        lens in prop::collection::vec(0..900_usize, 2..8),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        clean in any::<bool>(),
    ) {
        let disk = FaultyDisk::new(seed);
        let (segment, next) = (id(1, 0), lens.len() as u64);
        let frames: Vec<Frame> =
            (0..next).map(|n| frame(n, 1, lens[n as usize], n.checked_sub(1))).collect();
        let engine = open(&disk);
        engine.create(segment, Offset::ZERO).unwrap();
        engine.write(segment, &frames).unwrap();
        engine.barrier(&[segment]).unwrap();
        // Of what an unclean stop leaves, the last frame is not claimed by anything.
        let claimed = if clean { &frames[..] } else { &frames[..frames.len() - 1] };
        let claimed_bytes: u64 =
            claimed.iter().map(|frame| frame_bytes(frame.header.payload_len)).sum();
        let at = HEADER_BYTES + place.index(claimed_bytes as usize) as u64;
        disk.flip(&path(segment), at, 1 << bit);

        // The reader of the running engine.
        let seen = engine.read(segment, Index::ZERO, usize::MAX);
        prop_assert!(is_sound(seen, &frames) , "byte {at} passed a read");
        engine.create(id(1, next), Offset::ZERO).unwrap();
        drop(engine);

        // The reader of a sealed segment.
        let engine = open(&disk);
        engine.open_sealed(segment, Offset::ZERO).unwrap();
        engine.open_sealed(id(1, next), Offset::ZERO).unwrap();
        let seen = engine.read(segment, Index::ZERO, usize::MAX);
        prop_assert!(is_sound(seen, &frames), "byte {at} passed a sealed read");
        drop(engine);

        // Recovery.
        let engine = open(&disk);
        let durable = clean.then(|| Index::new(next - 1));
        match engine.recover(segment, Known { base_offset: Offset::ZERO, durable }) {
            Err(RecoverError::Corrupt { place, .. }) => {
                prop_assert!(place.contains("00000000000000000000.log"), "{place}");
            }
            Ok(_) => {
                // Only padding may change unseen: it is no part of an entry.
                let seen = engine.read(segment, Index::ZERO, usize::MAX).unwrap();
                prop_assert_eq!(seen, stored(&frames), "byte {} passed recovery", at);
            }
            Err(RecoverError::Io(error)) => panic!("{error}"),
        }
    }
}

/// Refused as damaged, naming the byte and "crc", or all the bytes as written (padding was hit).
fn is_sound(read: std::io::Result<Vec<StoredEntry>>, frames: &[Frame]) -> bool {
    match read {
        Ok(entries) => entries == stored(frames),
        Err(error) => {
            error.kind() == std::io::ErrorKind::InvalidData
                && error.to_string().contains("crc")
                && error.to_string().contains(".log: frame at byte ")
        }
    }
}
