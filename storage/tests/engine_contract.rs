//! What every engine promises: one test per property, run on each engine.
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
use std::io;
use std::path::Path;
use std::sync::Arc;
use storage::batch::{HEADER_BYTES, stamped_head};
use storage::disk::RealDisk;
use storage::engine::segment::SegmentEngine;
use storage::engine::sled::SledEngine;
use storage::engine::{Engine, Frame, Known, SegmentId};
use storage::{EntryKind, GroupId, Header, Index, Offset, Position, StoredEntry, Term};

/// Opens an engine under a directory; called again to reopen it.
type Make = fn(&Path) -> Box<dyn Engine>;

const SEGMENT_BYTES: u64 = 256 << 10;

fn segment_engine(dir: &Path) -> Box<dyn Engine> {
    Box::new(SegmentEngine::open(Arc::new(RealDisk), dir, SEGMENT_BYTES).unwrap())
}

fn sled_engine(dir: &Path) -> Box<dyn Engine> {
    Box::new(SledEngine::open(dir).unwrap())
}

macro_rules! contract {
    ($($property:ident),* $(,)?) => {
        mod segment { $( #[test] fn $property() { super::$property(super::segment_engine); } )* }
        mod sled { $( #[test] fn $property() { super::$property(super::sled_engine); } )* }
    };
}

contract! {
    entries_read_back_as_written,
    a_data_payload_is_stamped,
    a_read_stops_at_its_limit_but_takes_at_least_one,
    a_read_beyond_the_end_is_empty,
    headers_come_with_whole_commands_and_the_headers_of_batches,
    a_cut_removes_what_follows_and_appends_go_on,
    a_cut_to_nothing_empties_the_segment,
    a_cut_is_there_after_reopening,
    a_sealed_segment_takes_writes_again_after_a_cut,
    an_entry_larger_than_a_segment_fits,
    a_barrier_covers_any_number_of_segments,
    recovery_returns_every_header,
    recovery_refuses_when_durable_entries_are_gone,
    a_sealed_segment_opens_without_a_scan_and_reads,
    segments_and_groups_are_listed,
    a_segment_that_exists_is_not_created,
    a_removed_segment_is_gone,
    a_removed_group_is_gone,
    a_replaced_segment_reads_as_its_replacement,
    a_replacement_is_there_after_reopening,
    the_last_segment_is_replaced_too_and_appends_go_on_after_it,
    a_replacement_of_other_entries_is_refused,
    a_replacement_that_fails_half_way_leaves_each_entry_old_or_new,
    a_segment_that_is_gone_is_not_replaced,
    a_replacement_gives_its_space_back,
    a_replaced_segment_can_be_cut_and_removed,
}

fn index(value: u64) -> Index {
    Index::new(value)
}

fn id(group: u64, first: u64) -> SegmentId {
    SegmentId { group: GroupId::new(group), first: index(first) }
}

/// Recognizable bytes that differ per entry.
fn payload(entry: u64, len: usize) -> Bytes {
    (0..len).map(|at| (entry as usize * 31 + at) as u8).collect()
}

/// The records before an entry of [`mixed`]: ten in each data entry.
fn base_offset(entry: u64) -> Offset {
    Offset::new(10 * (entry - entry.div_ceil(5)))
}

fn frame(entry: u64, kind: EntryKind, payload: Bytes) -> Frame {
    let data = kind == EntryKind::Data;
    let header = Header {
        position: Position::new(Term::new(3), index(entry)),
        kind,
        base_offset: base_offset(entry),
        record_count: if data { 10 } else { 0 },
        max_timestamp: if data { 1_000 + entry as i64 } else { -1 },
        payload_len: payload.len() as u32,
    };
    Frame { header, payload, durable: None }
}

/// A data frame; every fifth is a command.
fn mixed(entry: u64, len: usize) -> Frame {
    let kind = if entry.is_multiple_of(5) { EntryKind::Command } else { EntryKind::Data };
    frame(entry, kind, payload(entry, len))
}

fn frames(entries: std::ops::Range<u64>, len: usize) -> Vec<Frame> {
    entries.map(|entry| mixed(entry, len)).collect()
}

/// What the engine is to give back for a frame.
fn stored(frame: &Frame) -> StoredEntry {
    let mut bytes = frame.payload.to_vec();
    if frame.header.kind == EntryKind::Data {
        let offset = frame.header.base_offset.get() as i64;
        let epoch = frame.header.position.term.get() as i32;
        bytes[..16].copy_from_slice(&stamped_head(&frame.payload, offset, epoch));
    }
    StoredEntry { header: frame.header, payload: bytes.into() }
}

fn all_stored(frames: &[Frame]) -> Vec<StoredEntry> {
    frames.iter().map(stored).collect()
}

fn known(first: u64, durable: Option<u64>) -> Known {
    Known { base_offset: base_offset(first), durable: durable.map(index) }
}

fn read_all(engine: &dyn Engine, segment: SegmentId) -> Vec<StoredEntry> {
    engine.read(segment, segment.first, usize::MAX).unwrap()
}

struct Opened {
    dir: tempfile::TempDir,
    engine: Box<dyn Engine>,
    make: Make,
}

impl Opened {
    fn new(make: Make) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { engine: make(dir.path()), dir, make }
    }

    /// With one segment that holds these frames.
    fn with(make: Make, segment: SegmentId, frames: &[Frame]) -> Self {
        let opened = Self::new(make);
        opened.engine.create(segment, frames[0].header.base_offset).unwrap();
        opened.engine.write(segment, frames).unwrap();
        opened.engine.barrier(&[segment]).unwrap();
        opened
    }

    fn reopen(self) -> Self {
        drop(self.engine);
        Self { engine: (self.make)(self.dir.path()), ..self }
    }
}

fn entries_read_back_as_written(make: Make) {
    for len in [61, 100, 1000, 5000] {
        let frames = frames(7..57, len);
        let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 7), &frames);
        assert_eq!(read_all(&*engine, id(1, 7)), all_stored(&frames));
        for from in [7, 8, 30, 56] {
            let read = engine.read(id(1, 7), index(from), usize::MAX).unwrap();
            assert_eq!(read, all_stored(&frames[from as usize - 7..]));
        }
    }
}

fn a_data_payload_is_stamped(make: Make) {
    let frames = [frame(9, EntryKind::Data, payload(9, 80))];
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 9), &frames);
    let read = read_all(&*engine, id(1, 9)).remove(0).payload;
    assert_eq!(read[..8], 70_i64.to_be_bytes(), "the base offset");
    assert_eq!(read[12..16], 3_i32.to_be_bytes(), "the leader epoch");
    assert_eq!((&read[8..12], &read[16..]), (&frames[0].payload[8..12], &frames[0].payload[16..]));
}

fn a_read_stops_at_its_limit_but_takes_at_least_one(make: Make) {
    let frames = frames(0..60, 1000);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames);
    for (bytes_max, count) in [(0, 1), (1, 1), (999, 1), (1999, 1), (2000, 2), (50_500, 50)] {
        let read = engine.read(id(1, 0), index(3), bytes_max).unwrap();
        assert_eq!(read, all_stored(&frames[3..3 + count]), "at most {bytes_max} bytes");
    }
}

fn a_read_beyond_the_end_is_empty(make: Make) {
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames(0..3, 100));
    assert_eq!(engine.read(id(1, 0), index(3), usize::MAX).unwrap(), []);
    assert_eq!(engine.headers(id(1, 0), index(3), usize::MAX).unwrap(), []);
}

fn headers_come_with_whole_commands_and_the_headers_of_batches(make: Make) {
    for len in [100, 20_000] {
        let frames = frames(2..23, len);
        let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 2), &frames);
        let mut expected = all_stored(&frames);
        for entry in &mut expected {
            if entry.header.kind == EntryKind::Data {
                entry.payload.truncate(HEADER_BYTES);
            }
        }
        assert_eq!(engine.headers(id(1, 2), index(2), usize::MAX).unwrap(), expected);
        assert_eq!(engine.headers(id(1, 2), index(9), 5).unwrap(), expected[7..12]);
    }
}

fn a_cut_removes_what_follows_and_appends_go_on(make: Make) {
    let mut frames = frames(0..90, 1000);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames);
    engine.cut(id(1, 0), Some(index(70))).unwrap();
    frames.truncate(71);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&frames));
    let more: Vec<Frame> = (71..80).map(|n| frame(n, EntryKind::Command, payload(n, 7))).collect();
    engine.write(id(1, 0), &more).unwrap();
    frames.extend(more);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&frames));
    engine.cut(id(1, 0), Some(index(79))).unwrap();
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&frames), "nothing was to be cut");
}

fn a_cut_to_nothing_empties_the_segment(make: Make) {
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 5), &frames(5..9, 500));
    engine.cut(id(1, 5), None).unwrap();
    assert_eq!(read_all(&*engine, id(1, 5)), []);
    assert_eq!(engine.segments(GroupId::new(1)).unwrap(), [id(1, 5)]);
    let again = frames(5..7, 70);
    engine.write(id(1, 5), &again).unwrap();
    assert_eq!(read_all(&*engine, id(1, 5)), all_stored(&again));
}

fn a_cut_is_there_after_reopening(make: Make) {
    let frames = frames(0..20, 100);
    let opened = Opened::with(make, id(1, 0), &frames);
    opened.engine.cut(id(1, 0), Some(index(4))).unwrap();
    let Opened { engine, dir: _dir, .. } = opened.reopen();
    let headers = engine.recover(id(1, 0), known(0, Some(4))).unwrap();
    assert_eq!(headers.len(), 5);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&frames[..5]));
}

fn a_sealed_segment_takes_writes_again_after_a_cut(make: Make) {
    let mut all = frames(0..20, 100);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &all);
    engine.create(id(1, 20), base_offset(20)).unwrap();
    engine.remove(id(1, 20)).unwrap();
    engine.cut(id(1, 0), Some(index(9))).unwrap();
    all.truncate(10);
    let more = frames(10..13, 300);
    engine.write(id(1, 0), &more).unwrap();
    engine.barrier(&[id(1, 0)]).unwrap();
    all.extend(more);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&all));
}

fn an_entry_larger_than_a_segment_fits(make: Make) {
    let large = SEGMENT_BYTES as usize * 3;
    let frames = [mixed(1, 100), mixed(2, large), mixed(3, 100)];
    let opened = Opened::with(make, id(1, 1), &frames);
    assert_eq!(read_all(&*opened.engine, id(1, 1)), all_stored(&frames));
    let one = opened.engine.read(id(1, 1), index(2), 1).unwrap();
    assert_eq!(one, all_stored(&frames[1..2]));
    let Opened { engine, dir: _dir, .. } = opened.reopen();
    engine.recover(id(1, 1), known(1, Some(3))).unwrap();
    assert_eq!(read_all(&*engine, id(1, 1)), all_stored(&frames));
}

fn a_barrier_covers_any_number_of_segments(make: Make) {
    let mut opened = Opened::new(make);
    let groups: Vec<SegmentId> = (0..12).map(|group| id(group, 0)).collect();
    let frames = frames(0..4, 300);
    for segment in &groups {
        opened.engine.create(*segment, Offset::ZERO).unwrap();
        opened.engine.write(*segment, &frames).unwrap();
    }
    for count in [0, 1, 4, 5, 12] {
        opened.engine.barrier(&groups[..count]).unwrap();
    }
    opened = opened.reopen();
    for segment in &groups {
        let headers = opened.engine.recover(*segment, known(0, Some(3))).unwrap();
        assert_eq!(headers.len(), 4);
    }
}

fn recovery_returns_every_header(make: Make) {
    let frames = frames(3..40, 777);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 3), &frames).reopen();
    let headers = engine.recover(id(1, 3), known(3, None)).unwrap();
    assert_eq!(headers, frames.iter().map(|frame| frame.header).collect::<Vec<_>>());
    assert_eq!(read_all(&*engine, id(1, 3)), all_stored(&frames));
    let more = [mixed(40, 99)];
    engine.write(id(1, 3), &more).unwrap();
    assert_eq!(engine.read(id(1, 3), index(40), 1).unwrap(), all_stored(&more));
}

fn recovery_refuses_when_durable_entries_are_gone(make: Make) {
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 3), &frames(3..6, 70)).reopen();
    let error = engine.recover(id(1, 3), known(3, Some(6))).unwrap_err().to_string();
    assert!(error.contains('6'), "{error}");
}

fn a_sealed_segment_opens_without_a_scan_and_reads(make: Make) {
    let (old, new) = (frames(0..50, 2000), frames(50..52, 100));
    let opened = Opened::with(make, id(1, 0), &old);
    opened.engine.create(id(1, 50), base_offset(50)).unwrap();
    opened.engine.write(id(1, 50), &new).unwrap();
    assert_eq!(read_all(&*opened.engine, id(1, 0)), all_stored(&old));
    opened.engine.barrier(&[id(1, 0), id(1, 50)]).unwrap();
    let Opened { engine, dir: _dir, .. } = opened.reopen();
    engine.open_sealed(id(1, 0), Offset::ZERO).unwrap();
    engine.recover(id(1, 50), known(50, Some(51))).unwrap();
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&old));
    assert_eq!(engine.read(id(1, 0), index(33), 1).unwrap(), all_stored(&old[33..34]));
    assert_eq!(read_all(&*engine, id(1, 50)), all_stored(&new));
}

fn segments_and_groups_are_listed(make: Make) {
    let mut opened = Opened::new(make);
    assert_eq!(opened.engine.groups().unwrap(), []);
    assert_eq!(opened.engine.segments(GroupId::new(2)).unwrap(), []);
    for segment in [id(2, 0), id(10, 100), id(2, 9), id(2, 11)] {
        opened.engine.create(segment, Offset::ZERO).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(opened.engine.groups().unwrap(), [GroupId::new(2), GroupId::new(10)]);
        let segments = opened.engine.segments(GroupId::new(2)).unwrap();
        assert_eq!(segments, [id(2, 0), id(2, 9), id(2, 11)]);
        opened = opened.reopen();
    }
}

fn a_segment_that_exists_is_not_created(make: Make) {
    let frames = frames(0..2, 100);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames);
    let error = engine.create(id(1, 0), Offset::ZERO).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&frames));
}

fn a_removed_segment_is_gone(make: Make) {
    let frames = frames(0..2, 100);
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames);
    engine.create(id(1, 2), base_offset(2)).unwrap();
    engine.remove(id(1, 0)).unwrap();
    assert_eq!(engine.segments(GroupId::new(1)).unwrap(), [id(1, 2)]);
    assert!(engine.read(id(1, 0), index(0), 1).is_err());
    // The name is free again, and nothing of the former entries shows.
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    assert_eq!(read_all(&*engine, id(1, 0)), []);
}

fn a_removed_group_is_gone(make: Make) {
    let Opened { engine, dir: _dir, .. } = Opened::with(make, id(1, 0), &frames(0..60, 4000));
    let kept = frames(0..2, 100);
    engine.create(id(2, 0), Offset::ZERO).unwrap();
    engine.write(id(2, 0), &kept).unwrap();
    engine.barrier(&[id(2, 0)]).unwrap();
    assert!(engine.disk_bytes(GroupId::new(1)).unwrap() >= 240_000);
    engine.remove_group(GroupId::new(1)).unwrap();
    assert_eq!(engine.groups().unwrap(), [GroupId::new(2)]);
    assert_eq!(engine.disk_bytes(GroupId::new(1)).unwrap(), 0);
    assert_eq!(read_all(&*engine, id(2, 0)), all_stored(&kept));
}

/// The same entries with payloads of other lengths: the even data entries shrink, the odd ones stay.
fn compacted(frames: &[Frame]) -> Vec<Frame> {
    let shrink = |frame: &Frame| {
        let index = frame.header.position.index.get();
        if frame.header.kind != EntryKind::Data || !index.is_multiple_of(2) {
            return frame.clone();
        }
        let mut frame = Frame { payload: frame.payload.slice(..61), ..frame.clone() };
        frame.header.payload_len = 61;
        frame.header.max_timestamp = -1;
        frame
    };
    frames.iter().map(shrink).collect()
}

/// Hands the frames over a few at a time, then fails if it is to.
fn replace(
    engine: &dyn Engine,
    segment: SegmentId,
    frames: &[Frame],
    fails: bool,
) -> io::Result<()> {
    let mut pieces = frames.chunks(7);
    engine.replace(segment, &mut || match pieces.next() {
        Some(piece) => Ok(piece.to_vec()),
        None if fails => Err(io::Error::other("the source fails")),
        None => Ok(Vec::new()),
    })
}

/// A log of two segments, of which the first is replaced.
fn replaced(make: Make, old: &[Frame], new: &[Frame]) -> Opened {
    let first = old[0].header.position.index.get();
    let next = old.last().unwrap().header.position.index.get() + 1;
    let opened = Opened::with(make, id(1, first), old);
    opened.engine.create(id(1, next), base_offset(next)).unwrap();
    assert_eq!(read_all(&*opened.engine, id(1, first)), all_stored(old));
    replace(&*opened.engine, id(1, first), new, false).unwrap();
    opened
}

fn a_replaced_segment_reads_as_its_replacement(make: Make) {
    for len in [100, 5000] {
        let old = frames(7..57, len);
        let new = compacted(&old);
        let Opened { engine, dir: _dir, .. } = replaced(make, &old, &new);
        assert_eq!(read_all(&*engine, id(1, 7)), all_stored(&new));
        for from in [7, 8, 30, 56] {
            let read = engine.read(id(1, 7), index(from), usize::MAX).unwrap();
            assert_eq!(read, all_stored(&new[from as usize - 7..]));
        }
        let headers = engine.headers(id(1, 7), index(7), usize::MAX).unwrap();
        assert!(headers.iter().map(|entry| entry.header).eq(new.iter().map(|f| f.header)));
        // And once more.
        replace(&*engine, id(1, 7), &old, false).unwrap();
        assert_eq!(read_all(&*engine, id(1, 7)), all_stored(&old));
    }
}

fn a_replacement_is_there_after_reopening(make: Make) {
    let old = frames(0..50, 3000);
    let new = compacted(&old);
    for scans in [false, true] {
        let Opened { engine, dir: _dir, .. } = replaced(make, &old, &new).reopen();
        if scans {
            let headers = engine.recover(id(1, 0), known(0, Some(49))).unwrap();
            assert!(headers.into_iter().eq(new.iter().map(|frame| frame.header)));
        } else {
            engine.open_sealed(id(1, 0), Offset::ZERO).unwrap();
        }
        engine.recover(id(1, 50), known(50, None)).unwrap();
        assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&new));
    }
}

fn the_last_segment_is_replaced_too_and_appends_go_on_after_it(make: Make) {
    let old = frames(0..20, 500);
    let new = compacted(&old);
    let opened = Opened::with(make, id(1, 0), &old);
    replace(&*opened.engine, id(1, 0), &new, false).unwrap();
    assert_eq!(read_all(&*opened.engine, id(1, 0)), all_stored(&new));
    opened.engine.create(id(1, 20), base_offset(20)).unwrap();
    let more = frames(20..25, 500);
    opened.engine.write(id(1, 20), &more).unwrap();
    opened.engine.barrier(&[id(1, 0), id(1, 20)]).unwrap();
    let Opened { engine, dir: _dir, .. } = opened.reopen();
    engine.open_sealed(id(1, 0), Offset::ZERO).unwrap();
    engine.recover(id(1, 20), known(20, Some(24))).unwrap();
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&new));
    assert_eq!(read_all(&*engine, id(1, 20)), all_stored(&more));
}

fn a_replacement_of_other_entries_is_refused(make: Make) {
    let old = frames(0..20, 500);
    let Opened { engine, dir: _dir, .. } = replaced(make, &old, &old);
    let beyond = frames(0..21, 500);
    let error = replace(&*engine, id(1, 0), &beyond, false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&old));
}

fn a_replacement_that_fails_half_way_leaves_each_entry_old_or_new(make: Make) {
    let old = frames(0..50, 3000);
    let new = compacted(&old);
    let opened = replaced(make, &old, &old);
    let error = replace(&*opened.engine, id(1, 0), &new[..21], true).unwrap_err();
    assert_eq!(error.to_string(), "the source fails");
    let is_either = |engine: &dyn Engine| {
        let read = read_all(engine, id(1, 0));
        let either = all_stored(&old).into_iter().zip(all_stored(&new));
        read.len() == 50
            && read.iter().zip(either).all(|(read, (old, new))| *read == old || *read == new)
    };
    assert!(is_either(&*opened.engine));
    let Opened { engine, dir: _dir, .. } = opened.reopen();
    engine.open_sealed(id(1, 0), Offset::ZERO).unwrap();
    engine.recover(id(1, 50), known(50, None)).unwrap();
    assert!(is_either(&*engine));
    replace(&*engine, id(1, 0), &new, false).unwrap();
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&new));
}

fn a_segment_that_is_gone_is_not_replaced(make: Make) {
    let old = frames(0..20, 3000);
    let opened = Opened::with(make, id(1, 0), &old);
    let engine = &*opened.engine;
    engine.create(id(1, 20), base_offset(20)).unwrap();
    let mut pieces = old.chunks(7);
    let error = engine.replace(id(1, 0), &mut || {
        // It goes while it is replaced.
        if engine.segments(GroupId::new(1)).unwrap().len() == 2 {
            engine.remove(id(1, 0)).unwrap();
        }
        Ok(pieces.next().unwrap_or_default().to_vec())
    });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(engine.segments(GroupId::new(1)).unwrap(), [id(1, 20)]);
    engine.remove_group(GroupId::new(1)).unwrap();
    assert_eq!(replace(engine, id(1, 20), &[], false).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(engine.disk_bytes(GroupId::new(1)).unwrap(), 0);
}

fn a_replacement_gives_its_space_back(make: Make) {
    let old = frames(0..60, 4000);
    let opened = Opened::with(make, id(1, 0), &old);
    opened.engine.create(id(1, 60), base_offset(60)).unwrap();
    let before = opened.engine.disk_bytes(GroupId::new(1)).unwrap();
    replace(&*opened.engine, id(1, 0), &compacted(&old), false).unwrap();
    let after = opened.engine.disk_bytes(GroupId::new(1)).unwrap();
    assert!(after + 60_000 < before, "{before} before, {after} after");
}

fn a_replaced_segment_can_be_cut_and_removed(make: Make) {
    let old = frames(0..20, 1000);
    let mut all = compacted(&old);
    let Opened { engine, dir: _dir, .. } = replaced(make, &old, &all);
    engine.remove(id(1, 20)).unwrap();
    engine.cut(id(1, 0), Some(index(9))).unwrap();
    all.truncate(10);
    let more = frames(10..13, 300);
    engine.write(id(1, 0), &more).unwrap();
    all.extend(more);
    assert_eq!(read_all(&*engine, id(1, 0)), all_stored(&all));
    engine.remove(id(1, 0)).unwrap();
    assert_eq!(engine.segments(GroupId::new(1)).unwrap(), []);
}
