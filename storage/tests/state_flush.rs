//! A durable flush of the state reaches the device, which sled's own does not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use storage::{State, Table};

/// Flush requests that the device under `dir` has completed (`Documentation/block/stat.rst`).
fn device_flushes(dir: &Path) -> Option<u64> {
    let device = std::fs::metadata(dir).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    stat.split_whitespace().nth(15)?.parse().ok()
}

#[test]
fn every_durable_flush_reaches_the_device() {
    const FLUSHES: u64 = 50;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let state = State::open(dir.path()).unwrap();
    let device_before = device_flushes(dir.path());
    let before = state.flushes();
    for number in 0..FLUSHES {
        state.put(Table::Votes, b"group", &number.to_be_bytes()).unwrap();
        state.durable_flush().unwrap();
    }
    assert_eq!(state.flushes() - before, FLUSHES, "one fdatasync each");
    match (device_before, device_flushes(dir.path())) {
        (Some(before), Some(after)) => {
            let flushed = after - before;
            assert!(flushed >= FLUSHES, "{FLUSHES} durable flushes, {flushed} of the device");
        }
        // A file system without a device that counts (tmpfs, overlay): the calls were counted above.
        _ => println!(
            "{}: no device to ask; only fdatasync calls were counted",
            dir.path().display()
        ),
    }
}

#[test]
fn concurrent_flushes_are_shared() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let before = state.flushes();
    std::thread::scope(|scope| {
        for writer in 0_u64..16 {
            let state = &state;
            scope.spawn(move || {
                for round in 0_u64..10 {
                    state.put(Table::Node, &writer.to_be_bytes(), &round.to_be_bytes()).unwrap();
                    state.durable_flush().unwrap();
                }
            });
        }
    });
    let flushes = state.flushes() - before;
    assert!((10..=160).contains(&flushes), "{flushes}");
}

#[test]
fn rows_never_become_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let key_bytes = 8;
    for number in 0_u64..2000 {
        let value = vec![7; State::ROW_BYTES_MAX - key_bytes];
        state.put(Table::Checkpoints, &number.to_be_bytes(), &value).unwrap();
    }
    state.durable_flush().unwrap();
    let blobs = std::fs::read_dir(dir.path().join("blobs")).map_or(0, Iterator::count);
    assert_eq!(blobs, 0, "sled writes blobs without ever syncing them");
}

#[test]
#[should_panic(expected = "at most 4096")]
fn a_row_too_large_to_be_durable_is_a_bug() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let _unreached = state.put(Table::Node, b"k", &[0; State::ROW_BYTES_MAX]);
}

#[test]
fn tables_are_apart_and_scans_are_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    state.put(Table::Votes, b"a2", b"two").unwrap();
    state.put(Table::Votes, b"a1", b"one").unwrap();
    state.put(Table::Votes, b"b1", b"other").unwrap();
    let rows = vec![(b"a1".to_vec(), b"one".to_vec()), (b"a2".to_vec(), b"two".to_vec())];
    assert_eq!(state.scan(Table::Votes, b"a").unwrap(), rows);
    assert_eq!(state.scan(Table::Node, b"a").unwrap(), Vec::new());
    state
        .change(Table::Votes, vec![(b"a1".to_vec(), None), (b"a3".to_vec(), Some(vec![3]))])
        .unwrap();
    assert_eq!(state.get(Table::Votes, b"a1").unwrap(), None);
    assert_eq!(state.get(Table::Votes, b"a3").unwrap(), Some(vec![3]));
    state.delete(Table::Votes, b"a3").unwrap();
    assert_eq!(state.get(Table::Votes, b"a3").unwrap(), None);
}

#[test]
fn what_was_flushed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    state.put(Table::Committed, b"k", b"v").unwrap();
    state.durable_flush().unwrap();
    drop(state);
    let state = State::open(dir.path()).unwrap();
    assert_eq!(state.get(Table::Committed, b"k").unwrap(), Some(b"v".to_vec()));
}

#[test]
fn a_state_that_cannot_be_opened_names_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    drop(State::open(&path).unwrap());
    std::fs::write(path.join("conf"), b"not what sled wrote").unwrap();
    let refused = State::open(&path).err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains(&path.display().to_string()), "{refused}");
}

#[test]
fn a_state_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = State::open(dir.path()).unwrap();
    let refused = State::open(dir.path()).err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
}
