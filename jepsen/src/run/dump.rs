//! A replica's copy as it lies on its disk, read with the product's own storage while no process runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use storage::batch::{self, RecordBatch};
use storage::disk::RealDisk;
use storage::{EngineKind, EntryKind, Index, Log, Store, StoreOptions};

use crate::client::payload;
use crate::history::{Alien, Key, Replica, Seen, TermStart};

/// Read at a time.
const READ_BYTES: usize = 4 << 20;
/// A batch of ours inflates to no more.
const INFLATED_BYTES_MAX: usize = 64 << 20;
const SEGMENT_BYTES: u64 = 64 << 20;

/// A copy, with the records in it that are none of ours.
pub(super) type Copy = (Replica, Vec<Alien>);

/// The copies of all partitions of the main topic on a node's disk. A partition is known by its records: each
/// says which one it was written for.
pub(super) fn dump(node: &str, data: &Path, engine: &str) -> io::Result<Vec<Copy>> {
    let engine = if engine == "sled" { EngineKind::Sled } else { EngineKind::Segment };
    let store = Store::open(StoreOptions {
        dir: data.to_owned(),
        engine,
        disk: Arc::new(RealDisk),
        segment_bytes: SEGMENT_BYTES,
        tail_cache_bytes: READ_BYTES,
    })?;
    let mut copies: BTreeMap<Key, Copy> = BTreeMap::new();
    for group in store.groups()? {
        let log = store.log(group)?;
        if let Some((key, copy)) = copy(node, &log)? {
            copies.insert(key, copy);
        }
    }
    store.close()?;
    Ok(copies.into_values().collect())
}

fn copy(node: &str, log: &Log) -> io::Result<Option<(Key, Copy)>> {
    let state = log.state();
    let Some(last) = state.last else { return Ok(None) };
    let mut next = state.purged.map_or(Index::new(0), |purged| purged.first_kept());
    let mut texts: Vec<(u64, String)> = Vec::new();
    let mut terms: BTreeMap<u64, u64> = BTreeMap::new();
    while next <= last.index {
        let entries = log.entries(next..last.index.next(), READ_BYTES)?;
        let Some(end) = entries.last() else { break };
        next = end.header.position.index.next();
        for entry in &entries {
            let base = entry.header.base_offset.get();
            terms.entry(entry.header.position.term.get()).or_insert(base);
            if entry.header.kind == EntryKind::Data {
                texts.extend(records(entry.payload.clone())?);
            }
        }
    }
    let Some(key) = texts.iter().find_map(|(_, text)| key_of(text)) else { return Ok(None) };
    let mut aliens = Vec::new();
    let mut seen: Vec<Seen> = Vec::with_capacity(texts.len());
    for (offset, text) in &texts {
        match payload::read(key, *offset, text) {
            Ok(record) => seen.push(record),
            Err(alien) => aliens.push(alien),
        }
    }
    let committed = match log.committed()? {
        Some(position) => log.next_offset_after(position.index)?.get(),
        None => 0,
    };
    let replica = Replica {
        node: node.to_owned(),
        key,
        round: 0,
        log_start: state.purged.map_or(0, |purged| purged.next_offset.get()),
        high_watermark: committed,
        records: seen,
        terms: terms.into_iter().map(|(term, offset)| TermStart { term, offset }).collect(),
        complete: true,
    };
    Ok(Some((key, (replica, aliens))))
}

/// What a batch has, at its offsets: of a compacted one some are left out, or all.
fn records(payload: bytes::Bytes) -> io::Result<Vec<(u64, String)>> {
    if batch::is_empty(&payload) {
        return Ok(Vec::new());
    }
    let batch = RecordBatch::stored(payload).map_err(io::Error::other)?;
    let records = batch.decode(INFLATED_BYTES_MAX).map_err(io::Error::other)?;
    let each = records.iter().map(|record| {
        let record = record.map_err(io::Error::other)?;
        let text = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        Ok((u64::try_from(record.offset).map_err(io::Error::other)?, text))
    });
    each.collect()
}

fn key_of(text: &str) -> Option<Key> {
    let key = Key(text.split('/').next()?.parse().ok()?);
    payload::read(key, 0, text).ok().map(|_| key)
}
