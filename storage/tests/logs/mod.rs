//! A log's model, and what the log tests need to build one.

use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use storage::batch::{Compression, HEADER_BYTES, Record, RecordBatch};
use storage::disk::{Disk, RealDisk};
use storage::{
    Done, EngineKind, Entry, EntryKind, Header, Index, Log, Marker, Offset, Position, Store,
    StoreOptions, StoredEntry, Term,
};

/// Small, so that few entries fill several segments.
pub const SEGMENT_BYTES: u64 = 16 << 10;

pub fn options(dir: &Path, engine: EngineKind, disk: Arc<dyn Disk>) -> StoreOptions {
    StoreOptions {
        dir: dir.to_path_buf(),
        engine,
        disk,
        segment_bytes: SEGMENT_BYTES,
        tail_cache_bytes: 8 << 10,
    }
}

pub fn open(dir: &Path, engine: EngineKind) -> Store {
    Store::open(options(dir, engine, Arc::new(RealDisk))).unwrap()
}

/// A batch of `records` records in about `bytes` bytes, told from others by `seed`.
pub fn batch(records: u32, bytes: usize, seed: u64) -> Bytes {
    let each = bytes / records as usize + 1;
    let records: Vec<Record> = (0..records)
        .map(|record| Record {
            timestamp: 1_000 + (seed % 977) as i64 + i64::from(record),
            key: None,
            value: Some(Bytes::from(format!("{seed:016x}{record:08x}").repeat(each / 24 + 1))),
            headers: Vec::new(),
        })
        .collect();
    RecordBatch::build(&records, Compression::None).into_bytes()
}

pub fn data(term: u64, index: u64, payload: Bytes) -> Entry {
    Entry { position: position(term, index), kind: EntryKind::Data, payload }
}

pub fn position(term: u64, index: u64) -> Position {
    Position::new(Term::new(term), Index::new(index))
}

/// A callback and where its result arrives.
pub fn done() -> (Done, mpsc::Receiver<std::io::Result<()>>) {
    let (tell, told) = mpsc::sync_channel(1);
    (Box::new(move |result| tell.send(result).unwrap()), told)
}

/// Appends and waits until it is flushed.
pub fn append(log: &Log, entries: Vec<Entry>) -> Vec<Header> {
    let (done, told) = done();
    let headers = log.append(entries, done).unwrap();
    told.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
    headers
}

/// What a log should be.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub purged: Option<Marker>,
    /// The entries above the purge point, payloads as they came.
    pub entries: Vec<(Header, Bytes)>,
}

impl Model {
    pub fn begin(&self) -> u64 {
        self.purged.map_or(0, |marker| marker.first_kept().get())
    }

    pub fn next(&self) -> u64 {
        self.begin() + self.entries.len() as u64
    }

    pub fn next_offset(&self) -> Offset {
        let last = self.entries.last().map(|(header, _)| header.next_offset());
        last.or(self.purged.map(|marker| marker.next_offset)).unwrap_or_default()
    }

    pub fn last(&self) -> Option<Position> {
        let last = self.entries.last().map(|(header, _)| header.position);
        last.or(self.purged.map(|marker| marker.position))
    }

    /// Takes the entries in; returns the headers they should get.
    pub fn append(&mut self, entries: &[Entry]) -> Vec<Header> {
        let mut headers = Vec::new();
        for entry in entries {
            let summary = match entry.kind {
                EntryKind::Data => storage::batch::summary(&entry.payload).unwrap(),
                _ => (0, -1),
            };
            let header = Header {
                position: entry.position,
                kind: entry.kind,
                base_offset: self.next_offset(),
                record_count: summary.0,
                max_timestamp: summary.1,
                payload_len: entry.payload.len() as u32,
            };
            self.entries.push((header, entry.payload.clone()));
            headers.push(header);
        }
        headers
    }

    pub fn truncate(&mut self, next: u64) {
        self.entries.truncate((next - self.begin()) as usize);
    }

    pub fn purge(&mut self, marker: Marker) {
        let gone = (marker.first_kept().get() - self.begin()).min(self.entries.len() as u64);
        self.entries.drain(..gone as usize);
        self.purged = Some(marker);
    }

    /// Takes records from the data entries up to `end` of the segment that begins at `first`, as `edit`
    /// does; the log does the same.
    pub fn rewrite(&mut self, end: u64, log: &Log, edit: impl Fn(u64, &Bytes) -> Option<Bytes>) {
        let sealed = log.sealed_ends();
        let place = sealed.iter().position(|sealed| sealed.marker.position.index.get() == end);
        let before = place.and_then(|place| place.checked_sub(1));
        let first = before.map_or(0, |before| sealed[before].marker.position.index.get() + 1);
        // What of a segment was purged stays in it.
        for (header, payload) in &mut self.entries {
            let index = header.position.index.get();
            let is_in = place.is_some() && (first..=end).contains(&index);
            if header.kind == EntryKind::Data
                && is_in
                && let Some(edited) = edit(index, payload)
            {
                header.max_timestamp = storage::batch::summary(&edited).unwrap().1;
                header.payload_len = edited.len() as u32;
                *payload = edited;
            }
        }
        log.rewrite(Index::new(end), &mut |entry| {
            Ok(edit(entry.header.position.index.get(), &entry.payload))
        })
        .unwrap();
    }

    /// The marker of a purge up to `index`.
    pub fn marker(&self, index: u64) -> Marker {
        if let Some((header, _)) = self.entries.get((index - self.begin()) as usize) {
            return Marker { position: header.position, next_offset: header.next_offset() };
        }
        let term = self.last().map_or(1, |last| last.term.get());
        Marker { position: position(term, index), next_offset: self.next_offset().plus(7) }
    }

    /// Panics at the first difference.
    pub fn check(&self, log: &Log) {
        let state = log.state();
        assert_eq!(state.purged, self.purged);
        assert_eq!(state.last, self.last());
        assert_eq!(state.next_offset, self.next_offset());
        self.check_terms(log);
        self.check_entries(log);
        self.check_records(log);
    }

    fn check_terms(&self, log: &Log) {
        let mut terms: Vec<(Term, Index)> = Vec::new();
        for (header, _) in &self.entries {
            terms.retain(|(term, _)| *term != header.position.term);
            terms.push((header.position.term, header.position.index));
        }
        assert_eq!(log.terms(), terms);
    }

    fn check_entries(&self, log: &Log) {
        let all = Index::ZERO..Index::new(u64::MAX);
        let stored = read_all(|from| log.entries(from..all.end, 4000).unwrap());
        assert_eq!(stored.len(), self.entries.len());
        for (stored, (header, payload)) in stored.iter().zip(&self.entries) {
            assert_eq!(stored.header, *header);
            assert_eq!(unstamped(&stored.payload, header), unstamped(payload, header));
        }
        let headers = read_all(|from| log.headers(from..all.end, 7).unwrap());
        assert_eq!(headers.len(), self.entries.len());
        for (stored, (header, payload)) in headers.iter().zip(&self.entries) {
            assert_eq!(stored.header, *header);
            match header.kind {
                EntryKind::Data => {
                    let (found, whole) = (&stored.payload, payload);
                    assert_eq!(found.len(), HEADER_BYTES);
                    assert_eq!(found[16..], whole[16..HEADER_BYTES], "the batch's own header");
                }
                _ => assert_eq!(stored.payload, *payload),
            }
            assert_eq!(log.header(header.position.index).unwrap(), Some(*header));
            let after = log.next_offset_after(header.position.index).unwrap();
            assert_eq!(after, header.next_offset());
        }
    }

    fn check_records(&self, log: &Log) {
        let batches: Vec<&(Header, Bytes)> =
            self.entries.iter().filter(|(header, _)| header.kind == EntryKind::Data).collect();
        let mut at = self.purged.map_or(Offset::ZERO, |marker| marker.next_offset);
        let mut read = Vec::new();
        loop {
            let some = log.read(at, self.next_offset(), 3000).unwrap();
            let Some(last) = some.last() else { break };
            let last = RecordBatch::stored(last.clone()).unwrap();
            at = Offset::new(last.next_offset() as u64);
            read.extend(some.into_iter().filter(|batch| !storage::batch::is_empty(batch)));
        }
        assert!(at == self.next_offset() || batches.is_empty(), "read to {at}");
        let batches: Vec<&&(Header, Bytes)> =
            batches.iter().filter(|(_, batch)| !storage::batch::is_empty(batch)).collect();
        assert_eq!(read.len(), batches.len());
        for (read, (header, payload)) in read.iter().zip(&batches) {
            let batch = RecordBatch::stored(read.clone()).unwrap();
            assert_eq!(batch.base_offset() as u64, header.base_offset.get());
            assert_eq!(batch.leader_epoch() as u64, header.position.term.get());
            assert_eq!(unstamped(read, header), unstamped(payload, header));
            let timestamp = header.max_timestamp;
            let first = batches.iter().find(|(first, _)| first.max_timestamp >= timestamp).unwrap();
            assert_eq!(log.find_timestamp(timestamp, Offset::ZERO).unwrap(), Some(first.0));
        }
    }
}

/// A payload without what a log stamps.
fn unstamped(payload: &Bytes, header: &Header) -> (Bytes, Bytes) {
    if header.kind != EntryKind::Data {
        return (Bytes::new(), payload.clone());
    }
    (payload.slice(8..12), payload.slice(16..))
}

fn read_all(read: impl Fn(Index) -> Vec<StoredEntry>) -> Vec<StoredEntry> {
    let mut all: Vec<StoredEntry> = Vec::new();
    loop {
        let from = all.last().map_or(Index::ZERO, |last| last.header.position.index.next());
        let some = read(from);
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}
