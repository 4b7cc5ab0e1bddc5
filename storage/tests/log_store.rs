//! The store around the logs: who may open it, what stays, what goes, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::wildcard_enum_match_arm,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod logs;

use bytes::Bytes;
use logs::{append, batch, data, done, open, options, position};
use std::sync::Arc;
use storage::batch::{Compression, Record, RecordBatch};
use storage::disk::RealDisk;
use storage::{
    EngineKind, Entry, EntryKind, GroupId, Index, Log, Marker, Offset, Roll, Store, StoreOptions,
    Table,
};

const ENGINES: [EngineKind; 2] = [EngineKind::Segment, EngineKind::Sled];
const GROUP: GroupId = GroupId::new(5);

/// Appends so many entries of 4 KB: four fill a segment.
fn fill(log: &Log, entries: u64) {
    let next = log.state().last.map_or(0, |last| last.index.get() + 1);
    for index in next..next + entries {
        append(log, vec![data(1, index, batch(3, 4000, index))]);
    }
}

#[test]
fn a_directory_of_another_engine_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), EngineKind::Sled));
    let wrong = Store::open(options(dir.path(), EngineKind::Segment, Arc::new(RealDisk)));
    let refused = wrong.err().unwrap().to_string();
    assert!(refused.contains("engine sled, not segment"), "{refused}");
    drop(open(dir.path(), EngineKind::Sled));
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), EngineKind::Segment);
    let second = Store::open(options(dir.path(), EngineKind::Segment, Arc::new(RealDisk)));
    let refused = second.err().unwrap().to_string();
    assert!(refused.contains("in use") && refused.contains(&dir.path().display().to_string()));
    drop(store);
    drop(open(dir.path(), EngineKind::Segment));
}

#[test]
fn a_removed_group_is_gone_and_its_id_is_free() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 20);
        log.put_checkpoint(log.state().last.unwrap(), b"state").unwrap();
        log.save_committed(log.state().last).unwrap();
        log.purge(marker(&log, 6)).unwrap();
        assert_eq!(store.groups().unwrap(), [GROUP]);
        let full = log.disk_bytes().unwrap();
        assert!(full > 0);

        store.remove(GROUP).unwrap();
        assert_eq!(store.groups().unwrap(), []);
        assert!(log.append(Vec::new(), Box::new(drop)).is_err(), "the old handle is dead");
        assert_eq!(store.remove(GROUP).err().map(|error| error.to_string()), None, "twice is once");

        drop(log);
        let log = store.log(GROUP).unwrap();
        assert_eq!((log.state().last, log.state().purged), (None, None));
        assert_eq!(log.checkpoints().unwrap(), []);
        assert_eq!(log.committed().unwrap(), None);
        fill(&log, 1);
        assert!(log.disk_bytes().unwrap() < full);
        drop((log, store));
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        assert_eq!(log.state().next_offset, Offset::new(3));
    }
}

#[test]
fn a_removal_that_a_crash_interrupted_is_finished() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        fill(&store.log(GROUP).unwrap(), 9);
        let row = [b"removing/".as_slice(), &GROUP.get().to_be_bytes()].concat();
        store.state().put(Table::Node, &row, &[]).unwrap();
        store.state().durable_flush().unwrap();
        drop(store);
        let store = open(dir.path(), engine);
        assert_eq!(store.groups().unwrap(), []);
        assert_eq!(store.log(GROUP).unwrap().state().last, None);
    }
}

fn marker(log: &Log, index: u64) -> Marker {
    let header = log.header(Index::new(index)).unwrap().unwrap();
    Marker { position: header.position, next_offset: header.next_offset() }
}

#[test]
fn a_purge_at_a_sealed_end_returns_the_space() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 40);
        log.sync().unwrap();
        let full = log.disk_bytes().unwrap();
        let ends = log.sealed_ends();
        assert!(ends.len() >= 5, "{}", ends.len());
        log.purge(ends[ends.len() - 2].marker).unwrap();
        assert_eq!(log.sealed_ends().len(), 1);
        assert!(log.disk_bytes().unwrap() < full / 2, "{full}");
        log.purge(ends[0].marker).unwrap();
        assert_eq!(log.state().purged, Some(ends[ends.len() - 2].marker), "never backwards");
        let wrong = Marker { next_offset: Offset::new(1), ..ends[ends.len() - 1].marker };
        assert!(log.purge(wrong).unwrap_err().to_string().contains("next offset"));
    }
}

#[test]
fn a_trim_of_everything_begins_a_segment() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 2);
        let (sealed, active) = log.segment_ends();
        let end = active.unwrap();
        assert_eq!((end.marker, sealed.len()), (marker(&log, 1), 0));
        assert!(end.max_timestamp >= 1_000 && end.bytes > 0);
        let trim = |index: u64, to: u64| {
            let payload = Bytes::copy_from_slice(&to.to_be_bytes());
            let entry = Entry { position: position(1, index), kind: EntryKind::Trim, payload };
            append(&log, vec![entry]);
            log.sealed_ends().len()
        };
        let next = log.state().next_offset.get();
        assert_eq!(trim(2, next - 1), 0, "a record stays");
        assert_eq!(trim(3, next), 1, "all records lie in a segment that can go");
        assert_eq!(trim(4, next + 1), 1, "there was no record since");
        assert_eq!(log.sealed_ends()[0].marker.position.index, Index::new(2));
    }
}

#[test]
fn a_lost_segment_refuses_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), EngineKind::Segment);
    let log = store.log(GROUP).unwrap();
    fill(&log, 12);
    store.close().unwrap();
    drop((log, store));
    let group = dir.path().join("segments").join(GROUP.to_string());
    let mut files: Vec<_> = std::fs::read_dir(group).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    std::fs::remove_file(&files[1]).unwrap();
    let refused = open(dir.path(), EngineKind::Segment).log(GROUP).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    assert!(refused.to_string().contains("group 5"), "{refused}");
}

#[test]
fn a_log_shorter_than_its_clean_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), EngineKind::Sled);
    let log = store.log(GROUP).unwrap();
    fill(&log, 3);
    // As if the log had been at index 8 when it was closed.
    let key = [b"durable/".as_slice(), &GROUP.get().to_be_bytes()].concat();
    drop(log);
    store.close().unwrap();
    store.state().put(Table::Node, &key, &storage::codec::encode(&Index::new(9))).unwrap();
    store.state().durable_flush().unwrap();
    drop(store);
    let refused = open(dir.path(), EngineKind::Sled).log(GROUP).err().unwrap().to_string();
    assert!(refused.contains("durable"), "{refused}");
}

#[test]
fn checkpoints_come_back_whole_or_not_at_all() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 6);
        let large: Vec<u8> = (0_u32..300_000).flat_map(u32::to_be_bytes).collect();
        log.put_checkpoint(position(1, 1), b"small").unwrap();
        log.put_checkpoint(position(1, 3), &large).unwrap();
        log.put_checkpoint(position(1, 4), b"").unwrap();
        let all = vec![
            (position(1, 1), b"small".to_vec()),
            (position(1, 3), large.clone()),
            (position(1, 4), Vec::new()),
        ];
        assert_eq!(log.checkpoints().unwrap(), all);
        log.put_checkpoint(position(1, 3), b"shorter").unwrap();
        assert_eq!(log.checkpoints().unwrap()[1], (position(1, 3), b"shorter".to_vec()));
        log.put_checkpoint(position(1, 3), &large).unwrap();
        log.drop_checkpoints_below(Index::new(3)).unwrap();
        assert_eq!(log.checkpoints().unwrap(), all[1..]);

        let rows = store.state().scan(Table::Checkpoints, &GROUP.get().to_be_bytes()).unwrap();
        store.state().delete(Table::Checkpoints, &rows[7].0).unwrap();
        assert_eq!(log.checkpoints().unwrap(), all[2..], "a piece of the large one is missing");

        let too_large = vec![0; (16 << 20) + 1];
        let refused = log.put_checkpoint(position(1, 5), &too_large).unwrap_err().to_string();
        assert!(refused.contains("16777217"), "{refused}");
    }
}

/// A power cut may leave the note of what was committed and lose the entries it speaks of, with the cut that made
/// room for them. What an older leader had left there was never committed.
#[test]
fn a_tail_of_an_older_term_is_not_taken_for_committed() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 3);
        log.save_committed(Some(position(2, 8))).unwrap();
        drop((log, store));
        let store = open(dir.path(), engine);
        assert_eq!(store.log(GROUP).unwrap().committed().unwrap(), None);
    }
}

#[test]
fn nothing_is_reported_beyond_the_end_of_the_log() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 3);
        log.save_committed(Some(position(1, 8))).unwrap();
        assert_eq!(log.committed().unwrap(), Some(position(1, 2)));
        log.put_checkpoint(position(1, 2), b"at the end").unwrap();
        log.put_checkpoint(position(1, 3), b"beyond").unwrap();
        drop((log, store));
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        assert_eq!(log.checkpoints().unwrap(), [(position(1, 2), b"at the end".to_vec())]);
        assert_eq!(log.committed().unwrap(), Some(position(1, 2)));
    }
}

#[test]
fn what_is_no_batch_is_refused_before_anything_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), EngineKind::Segment);
    let log = store.log(GROUP).unwrap();
    let entries = vec![data(1, 0, batch(1, 10, 0)), data(1, 1, Bytes::from_static(b"no"))];
    let refused = log.append(entries, Box::new(drop)).unwrap_err().to_string();
    assert!(refused.contains("entry 1"), "{refused}");
    assert_eq!(log.state().last, None);
}

#[test]
fn the_tail_cache_keeps_to_its_budget() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 64 << 10;
    let options = options(dir.path(), EngineKind::Segment, Arc::new(RealDisk));
    let store = Store::open(StoreOptions { tail_cache_bytes: budget, ..options }).unwrap();
    let logs: Vec<Log> = (0..4).map(|id| store.log(GroupId::new(id)).unwrap()).collect();
    for log in &logs {
        fill(log, 10);
    }
    // A callback is called before its cycle evicts: the next cycle is over when this one answers.
    logs[0].sync().unwrap();
    let cached = store.counters().cache_bytes;
    assert!(cached <= budget as u64, "{cached} of {budget}");
    assert!(cached > 0);
    for log in &logs {
        assert_eq!(log.entries(Index::ZERO..Index::new(10), usize::MAX).unwrap().len(), 10);
    }
}

#[test]
fn consumers_read_from_the_middle_of_a_batch() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 10);
        let read = |from: u64, below: u64| {
            let batches = log.read(Offset::new(from), Offset::new(below), 1).unwrap();
            batches.first().map(|batch| RecordBatch::stored(batch.clone()).unwrap().base_offset())
        };
        assert_eq!(read(4, 30), Some(3), "batches hold three records");
        assert_eq!(read(28, 30), Some(27));
        assert_eq!(read(28, 29), None, "the batch ends beyond");
        assert_eq!(read(30, 31), None, "nothing there yet");
    }
}

/// How many entries the log's segments have, the last one's too.
fn segments(log: &Log) -> Vec<u64> {
    let (sealed, active) = log.segment_ends();
    let ends: Vec<u64> =
        sealed.iter().chain(&active).map(|end| end.marker.position.index.get() + 1).collect();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    ends.iter().zip(begins).map(|(end, begin)| end - begin).collect()
}

/// A batch of one record with a key, at a time.
fn record_at(timestamp: i64) -> Bytes {
    let record = Record { timestamp, key: Some("k".into()), ..Record::default() };
    RecordBatch::build(&[record], Compression::None).into_bytes()
}

#[test]
fn a_segment_ends_with_the_bytes_of_its_log() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 6);
        assert_eq!(segments(&log), [2, 2, 2], "as the store says");
        log.set_roll(Roll { bytes: Some(30 << 10), ms: None });
        fill(&log, 5);
        assert_eq!(segments(&log), [2, 2, 6, 1], "the log's own from now on");
        log.set_roll(Roll { bytes: Some(10 << 10), ms: None });
        fill(&log, 3);
        assert_eq!(segments(&log), [2, 2, 6, 1, 1, 1, 1]);
    }
}

#[test]
fn a_segment_ends_with_the_time_of_its_records() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        log.set_roll(Roll { bytes: None, ms: Some(100) });
        let times = [1000, 1100, 900, 1101, 1150, -1, 1202, i64::MAX, 1203];
        for (index, time) in (0..).zip(times) {
            append(&log, vec![data(1, index, record_at(time))]);
        }
        // A command has no time.
        let command =
            Entry { position: position(1, 9), kind: EntryKind::Command, payload: Bytes::new() };
        append(&log, vec![command]);
        assert_eq!(segments(&log), [3, 3, 1, 3]);
        drop((log, store));
        // The time of the segment's first record is known again.
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        log.set_roll(Roll { bytes: None, ms: Some(100) });
        append(&log, vec![data(1, 10, record_at(1204))]);
        assert_eq!(segments(&log), [3, 3, 1, 4]);
    }
}

#[test]
fn a_sealed_log_begins_a_segment_with_the_next_append() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        log.seal().unwrap();
        assert_eq!(segments(&log), [0; 0], "nothing is there to seal");
        fill(&log, 2);
        log.seal().unwrap();
        log.seal().unwrap();
        assert_eq!(log.sealed_ends().len(), 1);
        fill(&log, 1);
        assert_eq!(segments(&log), [2, 1]);
        log.seal().unwrap();
        drop((log, store));
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        assert_eq!(log.sealed_ends().len(), 2, "sealed it stays");
        fill(&log, 1);
        assert_eq!(segments(&log), [2, 1, 1]);
    }
}

#[test]
fn a_reader_passes_over_batches_without_records_and_learns_how_far_it_read() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 9);
        let keep = [2, 3, 7];
        for end in log.sealed_ends() {
            log.rewrite(end.marker.position.index, &mut |entry| {
                if keep.contains(&entry.header.position.index.get()) {
                    return Ok(None);
                }
                let batch = RecordBatch::stored(entry.payload.clone()).unwrap();
                Ok(batch.retain(1 << 20, |_| false).unwrap().map(RecordBatch::into_bytes))
            })
            .unwrap();
        }
        let read = |from, below, bytes_max| -> Vec<(i64, u32)> {
            let read = log.read(Offset::new(from), Offset::new(below), bytes_max).unwrap();
            let batches = read.into_iter().map(|batch| RecordBatch::stored(batch).unwrap());
            batches.map(|batch| (batch.base_offset(), batch.record_count())).collect()
        };
        // Three records each: entry 2 has offsets 6..9.
        assert_eq!(segments(&log), [2, 2, 2, 2, 1]);
        assert_eq!(read(0, 27, 1), [(6, 3)], "the first that has any");
        assert_eq!(read(0, 18, 1 << 20), [(6, 3), (9, 3), (15, 0)], "and where it ended");
        assert_eq!(read(12, 18, 1 << 20), [(15, 0)], "nothing but that");
        assert_eq!(read(13, 24, 1), [(21, 3)]);
        assert_eq!(read(0, 6, 1 << 20), [(3, 0)]);
    }
}

#[test]
fn a_batch_of_other_offsets_is_not_put_in_the_place_of_one() {
    for engine in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), engine);
        let log = store.log(GROUP).unwrap();
        fill(&log, 4);
        let other = batch(2, 100, 1);
        let error = log.rewrite(Index::new(1), &mut |_| Ok(Some(other.clone()))).unwrap_err();
        assert!(error.to_string().contains("entry 0: 2 offsets in place of 3"), "{error}");
        let last = log.rewrite(Index::new(3), &mut |_| Ok(Some(other.clone())));
        assert_eq!(last.unwrap(), 0, "the segment that takes entries is left alone");
    }
}

#[test]
fn compacted_entries_are_appended_elsewhere_with_the_same_offsets() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let stores =
        [open(dirs[0].path(), EngineKind::Segment), open(dirs[1].path(), EngineKind::Sled)];
    let log = stores[0].log(GROUP).unwrap();
    fill(&log, 7);
    for end in log.sealed_ends() {
        log.rewrite(end.marker.position.index, &mut |entry| {
            let batch = RecordBatch::stored(entry.payload.clone()).unwrap();
            let keep = entry.header.position.index.get() % 4;
            let base = batch.base_offset();
            let left = batch.retain(1 << 20, |r| r.offset < base + keep as i64);
            Ok(left.unwrap().map(RecordBatch::into_bytes))
        })
        .unwrap();
    }
    let follower = stores[1].log(GROUP).unwrap();
    let all = Index::ZERO..Index::new(7);
    let entries = log.entries(all.clone(), usize::MAX).unwrap();
    let same = entries.iter().map(|stored| Entry {
        position: stored.header.position,
        kind: stored.header.kind,
        payload: stored.payload.clone(),
    });
    let (tell, told) = done();
    let headers = follower.append(same.collect(), tell).unwrap();
    told.recv().unwrap().unwrap();
    assert!(headers.iter().eq(entries.iter().map(|stored| &stored.header)));
    assert_eq!(follower.state().next_offset, log.state().next_offset);
}
