//! A disk that fails: nobody is told that it did not, and nothing acknowledged is lost.

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

use logs::{append, batch, data, done, options};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use storage::disk::{FaultyDisk, RealDisk};
use storage::{EngineKind, FlushPolicy, GroupId, Index, Log, Store};

const DEADLINE: Duration = Duration::from_secs(30);

fn start(dir: &Path, disk: &FaultyDisk) -> Store {
    Store::open(options(dir, EngineKind::Segment, Arc::new(disk.clone()))).unwrap()
}

fn put(log: &Log, index: u64) -> mpsc::Receiver<std::io::Result<()>> {
    let (done, told) = done();
    log.append(vec![data(1, index, batch(1, 100, index))], done).unwrap();
    told
}

fn last(log: &Log) -> Option<Index> {
    log.state().last.map(|last| last.index)
}

#[test]
fn a_failed_sync_breaks_the_log_and_only_it() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new(1));
    let store = start(dir.path(), &disk);
    let (log, other) = (store.log(GroupId::new(1)).unwrap(), store.log(GroupId::new(2)).unwrap());
    append(&log, vec![data(1, 0, batch(1, 100, 0))]);
    append(&other, vec![data(1, 0, batch(1, 100, 0))]);

    disk.fail_syncs(1);
    let refused = put(&log, 1).recv_timeout(DEADLINE).unwrap().unwrap_err().to_string();
    assert!(refused.contains("log of group 1 is broken"), "{refused}");
    assert_eq!(log.failure().as_ref(), Some(&refused));

    let (done, told) = done();
    let again = log.append(vec![data(1, 2, batch(1, 100, 2))], done).unwrap_err().to_string();
    assert!(again.contains("broken"), "{again}");
    told.recv_timeout(DEADLINE).unwrap().unwrap_err();
    let (done, told) = logs::done();
    log.save_vote(vec![1], done).unwrap_err();
    told.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert!(store.log(GroupId::new(1)).is_err(), "a broken log is not handed out");

    append(&other, vec![data(1, 1, batch(1, 100, 1))]);
    assert_eq!(store.failure(), None);
}

#[test]
fn nothing_acknowledged_is_lost_after_a_failed_sync() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new(2));
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    for index in 0..5 {
        append(&log, vec![data(1, index, batch(1, 100, index))]);
    }
    disk.fail_syncs(1);
    put(&log, 5).recv_timeout(DEADLINE).unwrap().unwrap_err();
    drop((log, store));
    let disk = disk.power_cut();
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    assert!(last(&log) >= Some(Index::new(4)), "{:?}", last(&log));
    let next = log.state().last.unwrap().index.get() + 1;
    append(&log, vec![data(2, next, batch(1, 100, 9))]);
}

#[test]
fn a_full_disk_breaks_the_log_with_a_clear_message() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new(3));
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    append(&log, vec![data(1, 0, batch(1, 100, 0))]);
    disk.limit_space(Some(0));
    let refused = put(&log, 1).recv_timeout(DEADLINE).unwrap().unwrap_err().to_string();
    assert!(refused.contains("log of group 1 is broken"), "{refused}");
    assert!(refused.to_lowercase().contains("no space"), "{refused}");
    drop((log, store));
    disk.limit_space(None);
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    assert_eq!(last(&log), Some(Index::ZERO));
    append(&log, vec![data(1, 1, batch(1, 100, 1))]);
}

#[test]
fn a_short_write_breaks_the_log_and_is_cut_at_the_next_start() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new(4));
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    append(&log, vec![data(1, 0, batch(1, 100, 0))]);
    disk.shorten_next_write(20);
    put(&log, 1).recv_timeout(DEADLINE).unwrap().unwrap_err();
    drop((log, store));
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    assert_eq!(last(&log), Some(Index::ZERO));
    append(&log, vec![data(1, 1, batch(1, 100, 1))]);
}

#[test]
fn a_failed_vote_is_not_stored() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new(5));
    let store = start(dir.path(), &disk);
    let log = store.log(GroupId::new(1)).unwrap();
    log.set_flush(FlushPolicy::Os);
    append(&log, vec![data(1, 0, batch(1, 100, 0))]);
    disk.fail_syncs(1);
    // The append asked for no barrier: the vote does, for everything before it.
    let (done, told) = done();
    log.save_vote(vec![9], done).unwrap();
    told.recv_timeout(DEADLINE).unwrap().unwrap_err();
    assert_eq!(log.vote().unwrap(), None);
}

/// Holds the commit thread in a callback until the returned sender is used or dropped.
fn hold(log: &Log, index: u64) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (holding, holds) = mpsc::channel();
    let done = Box::new(move |result: std::io::Result<()>| {
        result.unwrap();
        holding.send(()).unwrap();
        let _released = held.recv();
    });
    log.append(vec![data(1, index, batch(1, 100, index))], done).unwrap();
    holds.recv_timeout(DEADLINE).unwrap();
    release
}

#[test]
fn appends_of_many_logs_share_one_barrier() {
    for engine in [EngineKind::Segment, EngineKind::Sled] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(options(dir.path(), engine, Arc::new(RealDisk))).unwrap();
        let logs: Vec<Log> = (0..40).map(|id| store.log(GroupId::new(id)).unwrap()).collect();
        for log in &logs {
            append(log, vec![data(1, 0, batch(1, 100, 0))]);
        }
        let release = hold(&logs[0], 1);
        let before = store.counters();
        let told: Vec<_> = logs[1..].iter().map(|log| put(log, 1)).collect();
        assert_eq!(store.counters().queue_depth, 39);
        drop(release);
        for told in told {
            told.recv_timeout(DEADLINE).unwrap().unwrap();
        }
        let after = store.counters();
        assert_eq!(after.entries - before.entries, 39);
        assert_eq!(after.barriers - before.barriers, 1, "engine {engine}");
        assert_eq!(after.group_commits - before.group_commits, 1);
        assert_eq!((after.queue_depth, after.queue_bytes), (0, 0));
        store.close().unwrap();
    }
}

#[test]
fn an_interval_counts_records_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Segment, Arc::new(RealDisk))).unwrap();
    let log = store.log(GroupId::new(1)).unwrap();
    let hour = Duration::from_hours(1);
    log.set_flush(FlushPolicy::Interval { every: hour, messages: 3 });
    for index in 0..2 {
        append(&log, vec![data(1, index, batch(1, 100, index))]);
    }
    assert_eq!(store.counters().barriers, 0, "neither the hour nor three records have passed");
    append(&log, vec![data(1, 2, batch(1, 100, 2))]);
    assert_eq!(store.counters().barriers, 1, "the third record");

    log.set_flush(FlushPolicy::Interval { every: Duration::from_millis(1), messages: 1000 });
    append(&log, vec![data(1, 3, batch(1, 100, 3))]);
    let deadline = std::time::Instant::now() + DEADLINE;
    while store.counters().barriers < 2 {
        assert!(std::time::Instant::now() < deadline, "no barrier after the interval");
        std::thread::yield_now();
    }
}

#[test]
fn callbacks_left_behind_are_called_when_the_store_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path(), EngineKind::Segment, Arc::new(RealDisk))).unwrap();
    let log = store.log(GroupId::new(1)).unwrap();
    let release = hold(&log, 0);
    let told: Vec<_> = (1..20).map(|index| put(&log, index)).collect();
    drop(release);
    drop(store);
    for told in told {
        told.recv_timeout(DEADLINE).unwrap().unwrap();
    }
    let (done, told) = done();
    log.append(vec![data(1, 20, batch(1, 100, 20))], done).unwrap_err();
    assert!(told.recv_timeout(DEADLINE).unwrap().is_err());
}
