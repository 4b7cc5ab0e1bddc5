//! What the segment engine promises beyond the contract: files, faults, recovery.
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
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use storage::disk::{FaultyDisk, RealDisk};
use storage::engine::segment::{HEADER_BYTES, SegmentEngine, frame_bytes};
use storage::engine::{Engine, Frame, Known, RecoverError, SegmentId};
use storage::{EntryKind, GroupId, Header, Index, Offset, Position, Term};

const SEGMENT_BYTES: u64 = 64 << 10;
const LEN: usize = 1000;

fn id(group: u64, first: u64) -> SegmentId {
    SegmentId { group: GroupId::new(group), first: Index::new(first) }
}

fn frame(index: u64, term: u64, len: usize) -> Frame {
    let payload: Bytes =
        (0..len).map(|at| (index as usize * 3 + term as usize + at) as u8).collect();
    let header = Header {
        position: Position::new(Term::new(term), Index::new(index)),
        kind: EntryKind::Command,
        base_offset: Offset::ZERO,
        record_count: 0,
        max_timestamp: -1,
        payload_len: len as u32,
    };
    Frame { header, payload, durable: None }
}

fn frames(indices: std::ops::Range<u64>) -> Vec<Frame> {
    indices.map(|index| frame(index, 1, LEN)).collect()
}

fn open_at(dir: &Path) -> SegmentEngine {
    SegmentEngine::open(Arc::new(RealDisk), dir, SEGMENT_BYTES).unwrap()
}

fn open_on(disk: &FaultyDisk) -> SegmentEngine {
    SegmentEngine::open(Arc::new(disk.clone()), Path::new("/data"), SEGMENT_BYTES).unwrap()
}

fn path(dir: &Path, segment: SegmentId) -> PathBuf {
    dir.join(format!("segments/{}/{:020}.log", segment.group, segment.first.get()))
}

/// Where the n-th of equal frames begins.
fn at(nth: u64) -> u64 {
    HEADER_BYTES + nth * frame_bytes(LEN as u32)
}

const UNKNOWN: Known = Known { base_offset: Offset::ZERO, durable: None };

fn known(durable: u64) -> Known {
    Known { durable: Some(Index::new(durable)), ..UNKNOWN }
}

fn indices(headers: &[Header]) -> Vec<(u64, u64)> {
    headers.iter().map(|h| (h.position.index.get(), h.position.term.get())).collect()
}

/// A closed directory with one segment whose frames 0, 1, 2 were written; `damage` is then done.
fn damaged(damage: impl Fn(&File), claim: Option<u64>) -> (tempfile::TempDir, SegmentEngine) {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    let mut frames = frames(0..3);
    frames[2].durable = claim.map(Index::new);
    engine.write(id(1, 0), &frames).unwrap();
    drop(engine);
    damage(&File::options().write(true).open(path(dir.path(), id(1, 0))).unwrap());
    let engine = open_at(dir.path());
    (dir, engine)
}

fn lose_frame_1(file: &File) {
    file.write_all_at(&vec![0; frame_bytes(LEN as u32) as usize], at(1)).unwrap();
}

#[test]
fn what_lay_behind_a_hole_does_not_come_back_when_the_hole_is_filled() {
    let (dir, engine) = damaged(lose_frame_1, None);
    assert_eq!(indices(&engine.recover(id(1, 0), UNKNOWN).unwrap()), [(0, 1)]);
    engine.write(id(1, 0), &[frame(1, 2, LEN)]).unwrap();
    engine.barrier(&[id(1, 0)]).unwrap();
    drop(engine);
    let engine = open_at(dir.path());
    assert_eq!(indices(&engine.recover(id(1, 0), UNKNOWN).unwrap()), [(0, 1), (1, 2)]);
}

#[test]
fn a_frame_whose_records_do_not_begin_where_the_last_ones_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    let mut frames = frames(0..3);
    frames[2].header.base_offset = Offset::new(7);
    engine.write(id(1, 0), &frames).unwrap();
    drop(engine);
    let Err(RecoverError::Corrupt { why, .. }) = open_at(dir.path()).recover(id(1, 0), UNKNOWN)
    else {
        panic!("it was recovered")
    };
    let place = format!("byte {}", at(2));
    assert!(why.contains(&place) && why.contains("base offset at entry 2"), "{why}");
}

#[test]
fn a_hole_that_a_later_frame_says_was_durable_is_refused_with_file_and_byte() {
    let (_dir, engine) = damaged(lose_frame_1, Some(1));
    let Err(RecoverError::Corrupt { place, why }) = engine.recover(id(1, 0), UNKNOWN) else {
        panic!("a hole in durable entries was not refused")
    };
    assert!(place.ends_with("segments/1/00000000000000000000.log"), "{place}");
    assert!(why.contains(&format!("frame at byte {}:", at(1))), "{why}");
}

#[test]
fn a_torn_last_frame_is_cut_and_one_known_to_be_durable_refused() {
    let tear = |file: &File| file.write_all_at(b"torn", at(2) + 500).unwrap();
    let (_dir, engine) = damaged(tear, None);
    assert_eq!(engine.recover(id(1, 0), known(1)).unwrap().len(), 2);
    let (_dir, engine) = damaged(tear, None);
    assert!(matches!(engine.recover(id(1, 0), known(2)), Err(RecoverError::Corrupt { .. })));
}

#[test]
fn a_file_cut_short_gets_its_length_back() {
    let (dir, engine) = damaged(|file| file.set_len(at(2) + 9).unwrap(), None);
    assert_eq!(engine.recover(id(1, 0), known(1)).unwrap().len(), 2);
    assert_eq!(fs::metadata(path(dir.path(), id(1, 0))).unwrap().len(), SEGMENT_BYTES);
}

#[test]
fn a_blank_file_is_a_newborn_unless_it_held_durable_entries() {
    let blank = |file: &File| {
        file.set_len(0).unwrap();
        file.set_len(SEGMENT_BYTES).unwrap();
    };
    let (_dir, engine) = damaged(blank, None);
    assert!(matches!(engine.recover(id(1, 0), known(0)), Err(RecoverError::Corrupt { .. })));
    assert_eq!(engine.recover(id(1, 0), UNKNOWN).unwrap(), []);
    engine.write(id(1, 0), &frames(0..2)).unwrap();
    assert_eq!(engine.read(id(1, 0), Index::ZERO, usize::MAX).unwrap().len(), 2);
}

#[test]
fn a_damaged_or_missing_file_is_refused() {
    let (dir, engine) = damaged(|file| file.write_all_at(b"x", 20).unwrap(), None);
    let refused = engine.recover(id(1, 0), UNKNOWN).unwrap_err().to_string();
    assert!(refused.contains("header at byte 0: crc"), "{refused}");
    fs::remove_file(path(dir.path(), id(1, 0))).unwrap();
    assert!(matches!(engine.recover(id(1, 0), known(0)), Err(RecoverError::Corrupt { .. })));
    let sealed = engine.open_sealed(id(1, 0), Offset::ZERO);
    assert!(matches!(sealed, Err(RecoverError::Corrupt { .. })));
}

#[test]
fn another_base_offset_than_the_logs_own_is_refused() {
    let (_dir, engine) = damaged(|_| (), None);
    let known = Known { base_offset: Offset::new(5), durable: None };
    assert!(matches!(engine.recover(id(1, 0), known), Err(RecoverError::Corrupt { .. })));
}

#[test]
fn a_removed_file_is_used_again_and_its_former_frames_never_show() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    let inode = |segment| fs::metadata(path(dir.path(), segment)).unwrap().ino();
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    engine.write(id(1, 0), &frames(0..20)).unwrap();
    engine.barrier(&[id(1, 0)]).unwrap();
    let former = inode(id(1, 0));
    engine.create(id(1, 20), Offset::ZERO).unwrap();
    engine.remove(id(1, 0)).unwrap();
    let mut first = 20;
    while inode(id(1, first)) != former {
        first += 1;
        assert!(first < 30, "the file was not used again");
        engine.create(id(1, first), Offset::ZERO).unwrap();
    }
    drop(engine);
    let engine = open_at(dir.path());
    assert_eq!(engine.recover(id(1, first), UNKNOWN).unwrap(), []);
}

#[test]
fn a_file_that_somebody_reads_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    let (read, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for first in 0..40 {
                    match engine.read(id(1, first), Index::new(first), usize::MAX) {
                        Ok(entries) => {
                            let bytes = entries.iter().map(|entry| entry.payload.len() as u64);
                            read.fetch_add(bytes.sum(), Ordering::Relaxed);
                        }
                        Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
                    }
                }
            }
        });
        for first in 0..40 {
            engine.create(id(1, first), Offset::ZERO).unwrap();
            engine.write(id(1, first), &[frame(first, 1, 20_000)]).unwrap();
            if let Some(old) = first.checked_sub(2) {
                engine.remove(id(1, old)).unwrap();
            }
        }
        while read.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn readers_see_whole_entries_while_others_are_appended_and_cut() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            while !stop.load(Ordering::Relaxed) {
                let entries = engine.read(id(1, 0), Index::new(3), usize::MAX).unwrap();
                for (entry, index) in entries.iter().zip(3..) {
                    let position = entry.header.position;
                    let expected = frame(index, position.term.get(), entry.payload.len());
                    assert_eq!(entry.payload, expected.payload);
                }
                engine.headers(id(1, 0), Index::ZERO, usize::MAX).unwrap();
            }
        };
        scope.spawn(reader);
        for round in 1..40_u64 {
            let len = 500 + round as usize * 20;
            for index in 0..20 {
                engine.write(id(1, 0), &[frame(index, round, len)]).unwrap();
            }
            engine.cut(id(1, 0), None).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_full_disk_poisons_the_segment_until_it_is_recovered() {
    let disk = FaultyDisk::new(1);
    let engine = open_on(&disk);
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    engine.write(id(1, 0), &frames(0..3)).unwrap();
    disk.limit_space(Some(1500));
    let full = engine.write(id(1, 0), &frames(3..6)).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    disk.limit_space(None);
    let refused = engine.write(id(1, 0), &frames(3..6)).unwrap_err();
    assert!(refused.to_string().contains("recover it first"), "{refused}");
    assert_eq!(engine.read(id(1, 0), Index::ZERO, usize::MAX).unwrap().len(), 3);
    // One of the three frames was written whole.
    assert_eq!(engine.recover(id(1, 0), UNKNOWN).unwrap().len(), 4);
    engine.write(id(1, 0), &frames(4..6)).unwrap();
    engine.barrier(&[id(1, 0)]).unwrap();
    assert_eq!(open_on(&disk.power_cut()).recover(id(1, 0), known(5)).unwrap().len(), 6);
}

#[test]
fn a_short_write_leaves_nothing_of_its_entry() {
    let disk = FaultyDisk::new(1);
    let engine = open_on(&disk);
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    disk.shorten_next_write(700);
    engine.write(id(1, 0), &frames(0..1)).unwrap_err();
    assert_eq!(engine.recover(id(1, 0), UNKNOWN).unwrap(), []);
}

#[test]
fn a_barrier_syncs_as_often_as_its_plan_says() {
    for (mount, dirty, data, filesystem) in [(false, 4, 4, 0), (false, 5, 5, 0), (true, 9, 0, 1)] {
        let disk = FaultyDisk::new(1);
        disk.set_mount(mount);
        let engine = open_on(&disk);
        let segments: Vec<SegmentId> = (0..dirty).map(|group| id(group, 0)).collect();
        for segment in &segments {
            engine.create(*segment, Offset::ZERO).unwrap();
            engine.write(*segment, &frames(0..1)).unwrap();
        }
        let before = disk.counts();
        engine.barrier(&segments).unwrap();
        let after = disk.counts();
        assert_eq!(
            (after.data - before.data, after.filesystem - before.filesystem),
            (data, filesystem)
        );
        let after_cut = open_on(&disk.power_cut());
        for segment in segments {
            assert_eq!(after_cut.recover(segment, known(0)).unwrap().len(), 1);
        }
    }
}

#[test]
fn a_failed_syncfs_poisons_every_segment_it_was_for() {
    let disk = FaultyDisk::new(1);
    disk.set_mount(true);
    let engine = open_on(&disk);
    let segments: Vec<SegmentId> = (0..5).map(|group| id(group, 0)).collect();
    for segment in &segments {
        engine.create(*segment, Offset::ZERO).unwrap();
        engine.write(*segment, &frames(0..1)).unwrap();
    }
    disk.fail_syncs(1);
    engine.barrier(&segments).unwrap_err();
    for segment in segments {
        engine.write(segment, &frames(1..2)).unwrap_err();
        engine.barrier(&[segment]).unwrap_err();
    }
}

#[test]
fn a_segment_that_cannot_be_created_leaves_nothing_behind() {
    let disk = FaultyDisk::new(1);
    let engine = open_on(&disk);
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    disk.fail_syncs(1);
    engine.create(id(1, 5), Offset::ZERO).unwrap_err();
    assert_eq!(engine.segments(GroupId::new(1)).unwrap(), [id(1, 0)]);
    engine.create(id(1, 5), Offset::ZERO).unwrap();
    engine.write(id(1, 5), &frames(5..6)).unwrap();
}

#[test]
fn a_removed_group_returns_its_space_to_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    engine.write(id(1, 0), &[frame(0, 1, 1 << 20)]).unwrap();
    engine.barrier(&[id(1, 0)]).unwrap();
    let before = disk_usage(dir.path());
    assert!(before >= 1 << 20, "{before}");
    engine.remove_group(GroupId::new(1)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while disk_usage(dir.path()) + (1 << 20) > before {
        assert!(Instant::now() < deadline, "the space did not return");
        std::thread::yield_now();
    }
}

fn disk_usage(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_usage(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        // Removed meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[test]
fn entries_out_of_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_at(dir.path());
    engine.create(id(1, 0), Offset::ZERO).unwrap();
    engine.write(id(1, 0), &frames(0..2)).unwrap();
    for wrong in [frames(1..2), frames(3..4)] {
        let error = engine.write(id(1, 0), &wrong).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(engine.read(id(1, 0), Index::ZERO, usize::MAX).unwrap().len(), 2);
}
