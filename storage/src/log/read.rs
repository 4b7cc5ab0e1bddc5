//! Reads: from the tail in memory where they can, else from the engine, segment by segment.
//!
//! The log is not locked while the engine reads. What the engine holds below `tail.first` is always
//! the log's own (see the tail's picture); if entries went meanwhile, the generation tells, and the
//! reader starts over or stops at what it has.

use super::core::Core;
use super::tail::Cached;
use crate::backing::about;
use crate::batch::{self, HEADER_BYTES};
use crate::engine::SegmentId;
use crate::{EntryKind, Header, Index, Offset, StoredEntry, planted};
use bytes::Bytes;
use std::io;
use std::ops::Range;

/// Headers read at a time in a search.
const SEARCH_HEADERS: usize = 1024;
/// Consumers whose place is remembered per log.
const CURSORS_MAX: usize = 32;

/// What a reader wants.
#[derive(Clone, Copy)]
enum Want {
    /// Entries with payload, so many bytes of it.
    Payloads(usize),
    /// The same, data payloads stamped.
    Batches(usize),
    /// So many entries; of data payloads only the batch's header.
    Headers(usize),
}

/// Consecutive entries that were read in one go.
struct Piece {
    entries: Vec<StoredEntry>,
    generation: u64,
}

impl Core {
    /// Entries of the range that are in the log, at least one if there is one.
    pub(super) fn entries(
        &self,
        range: Range<Index>,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let mut found: Vec<StoredEntry> = Vec::new();
        let mut left = bytes_max;
        let all = |entry: StoredEntry| {
            if !found.is_empty() && entry.payload.len() > left {
                return None;
            }
            left = left.saturating_sub(entry.payload.len());
            found.push(entry);
            Some(left)
        };
        self.walk(range, Want::Payloads(bytes_max), all)?;
        Ok(found)
    }

    pub(super) fn headers(
        &self,
        range: Range<Index>,
        count_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let mut found = Vec::new();
        let count_max = count_max.max(1);
        let all = |entry: StoredEntry| {
            found.push(entry);
            Some(count_max - found.len()).filter(|left| *left > 0)
        };
        self.walk(range, Want::Headers(count_max), all)?;
        Ok(found)
    }

    pub(super) fn header(&self, index: Index) -> io::Result<Option<Header>> {
        let piece = self.piece(index..index.next(), Want::Headers(1))?;
        Ok(piece.entries.first().map(|entry| entry.header))
    }

    pub(super) fn next_offset_after(&self, index: Index) -> io::Result<Offset> {
        let purged = self.lock().purged;
        match purged.filter(|purged| index <= purged.position.index) {
            Some(purged) => Ok(purged.next_offset),
            None => Ok(self.must_have(index)?.next_offset()),
        }
    }

    pub(super) fn read(
        &self,
        from: Offset,
        below: Offset,
        bytes_max: usize,
    ) -> io::Result<Vec<Bytes>> {
        let Some(start) = self.find_offset(from)? else { return Ok(Vec::new()) };
        let mut batches: Vec<Bytes> = Vec::new();
        let mut left = bytes_max;
        let mut stopped = None;
        // The last of the batches without records that come now.
        let mut passed = None;
        let end = self.lock().next();
        self.walk(start..end, Want::Batches(bytes_max), |entry| {
            let header = entry.header;
            if header.next_offset() > below {
                return None;
            }
            if header.kind != EntryKind::Data || header.next_offset() <= from {
                return Some(left);
            }
            let before = stopped;
            stopped = Some((header.next_offset(), header.position.index.next()));
            if batch::is_empty(&entry.payload) {
                passed = Some(entry.payload);
                return Some(left);
            }
            if !batches.is_empty() && entry.payload.len() > left {
                stopped = before;
                return None;
            }
            left = left.saturating_sub(entry.payload.len());
            passed = None;
            batches.push(entry.payload);
            Some(left)
        })?;
        batches.extend(passed);
        if let Some((offset, index)) = stopped {
            let index = if planted!(WrongCursor) { index.next() } else { index };
            self.remember(from, (offset, index));
        }
        Ok(batches)
    }

    pub(super) fn find_timestamp(
        &self,
        timestamp: i64,
        from: Offset,
    ) -> io::Result<Option<Header>> {
        for range in self.stretches_with(timestamp) {
            let mut found = None;
            self.walk(range, Want::Headers(SEARCH_HEADERS), |entry| {
                let header = entry.header;
                let is_in_time = header.max_timestamp >= timestamp && header.next_offset() > from;
                if header.kind == EntryKind::Data && is_in_time {
                    found = Some(header);
                    return None;
                }
                Some(SEARCH_HEADERS)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The indices of segments that hold a timestamp at or above this one.
    fn stretches_with(&self, timestamp: i64) -> Vec<Range<Index>> {
        let inner = self.lock();
        let sealed = inner.catalogue.sealed.iter();
        let mut stretches: Vec<Range<Index>> = sealed
            .filter(|sealed| sealed.max_timestamp >= timestamp)
            .map(|sealed| sealed.first..sealed.end.position.index.next())
            .collect();
        if let Some(active) = &inner.catalogue.active
            && active.max_timestamp >= timestamp
        {
            stretches.push(active.first..inner.next());
        }
        stretches
    }

    /// The first entry that ends after `offset`, if the offset is in the log.
    fn find_offset(&self, offset: Offset) -> io::Result<Option<Index>> {
        let (mut low, mut high) = {
            let inner = self.lock();
            if offset < inner.begin_offset() || offset >= inner.next_offset {
                return Ok(None);
            }
            if let Some((_, index)) = inner.cursors.iter().find(|(at, _)| *at == offset) {
                return Ok(Some(*index));
            }
            let tail = inner.tail.get(inner.tail.first());
            if tail.is_some_and(|cached| cached.header.base_offset <= offset) {
                return Ok(inner.tail.find_offset(offset));
            }
            match (inner.catalogue.holding_offset(offset), &inner.catalogue.active) {
                (Some(sealed), _) => (sealed.first.max(inner.begin()), sealed.end.position.index),
                (None, Some(active)) => (active.first.max(inner.begin()), inner.next()),
                (None, None) => return Ok(None),
            }
        };
        while low < high {
            let middle = Index::new(low.get() + (high.get() - low.get()) / 2);
            match self.header(middle)? {
                Some(header) if header.next_offset() <= offset => low = middle.next(),
                Some(_) => high = middle,
                // The log changed under the search: what the offset named is gone.
                None => return Ok(None),
            }
        }
        Ok(Some(low))
    }

    /// Keeps a consumer's place: it read from one offset and stopped at another.
    fn remember(&self, from: Offset, stopped: (Offset, Index)) {
        let mut inner = self.lock();
        if stopped.1 < inner.begin() || stopped.1 > inner.next() {
            return;
        }
        inner.cursors.retain(|(at, _)| *at != from && *at != stopped.0);
        if inner.cursors.len() == CURSORS_MAX {
            inner.cursors.pop_front();
        }
        inner.cursors.push_back(stopped);
    }

    /// Gives the entries of a range to `take`, until it wants no more, the range ends, or entries of
    /// the log went meanwhile. `take` says how much it still wants.
    fn walk(
        &self,
        range: Range<Index>,
        mut want: Want,
        mut take: impl FnMut(StoredEntry) -> Option<usize>,
    ) -> io::Result<()> {
        let mut from = range.start;
        let mut generation = None;
        while from < range.end {
            let piece = self.piece(from..range.end, want)?;
            if *generation.get_or_insert(piece.generation) != piece.generation {
                return Ok(());
            }
            let Some(last) = piece.entries.last() else { return Ok(()) };
            from = last.header.position.index.next();
            for entry in piece.entries {
                let Some(left) = take(entry) else { return Ok(()) };
                want = match want {
                    Want::Payloads(_) => Want::Payloads(left),
                    Want::Batches(_) => Want::Batches(left),
                    Want::Headers(_) => Want::Headers(left),
                };
            }
        }
        Ok(())
    }

    /// The first entries of the range that lie together; none if the range has none.
    fn piece(&self, range: Range<Index>, want: Want) -> io::Result<Piece> {
        loop {
            let inner = self.lock();
            let generation = inner.generation;
            let from = range.start.max(inner.begin());
            let end = range.end.min(inner.next());
            if from >= end {
                return Ok(Piece { entries: Vec::new(), generation });
            }
            if from >= inner.tail.first() {
                let cached = take_cached(inner.tail.from(from), end, want);
                drop(inner);
                return Ok(Piece { entries: self.hand_out(cached, want), generation });
            }
            let below = end.min(inner.tail.first());
            let holding = inner.catalogue.holding(from);
            drop(inner);
            let first = holding.expect("the catalogue covers every entry of the log");
            let outcome = self.piece_of(SegmentId { group: self.group(), first }, from, want);
            let unchanged = self.lock().generation == generation;
            match outcome {
                Ok(mut entries) => {
                    entries.retain(|entry| entry.header.position.index < below);
                    if !entries.is_empty() {
                        return Ok(Piece { entries, generation });
                    }
                    if unchanged {
                        let why = format!("no entry {from} in the segment that begins at {first}");
                        let error = io::Error::new(io::ErrorKind::InvalidData, why);
                        return Err(about(self.group(), &error));
                    }
                }
                Err(error) if unchanged => return Err(about(self.group(), &error)),
                Err(_gone_meanwhile) => {}
            }
        }
    }

    fn piece_of(
        &self,
        segment: SegmentId,
        from: Index,
        want: Want,
    ) -> io::Result<Vec<StoredEntry>> {
        let engine = self.backing.engine.as_ref();
        match want {
            Want::Payloads(bytes) | Want::Batches(bytes) => engine.read(segment, from, bytes),
            Want::Headers(count) => engine.headers(segment, from, count),
        }
    }

    /// Cached entries as asked for. A stamped copy is left for the next reader.
    fn hand_out(&self, cached: Vec<Cached>, want: Want) -> Vec<StoredEntry> {
        let mut entries = Vec::with_capacity(cached.len());
        for cached in cached {
            entries.push(match want {
                Want::Headers(_) if cached.header.kind == EntryKind::Data => {
                    let Cached { header, mut payload, .. } = cached;
                    payload.truncate(HEADER_BYTES);
                    StoredEntry { header, payload }
                }
                Want::Batches(_) if !cached.stamped => {
                    let stamped = cached.into_stamped();
                    self.lock().tail.keep_stamped(&stamped);
                    stamped.into()
                }
                Want::Headers(_) | Want::Payloads(_) | Want::Batches(_) => cached.into(),
            });
        }
        entries
    }
}

/// Takes what is wanted from the tail: references, no payload is copied.
fn take_cached<'a>(tail: impl Iterator<Item = &'a Cached>, end: Index, want: Want) -> Vec<Cached> {
    let mut taken: Vec<Cached> = Vec::new();
    let mut bytes = 0;
    for cached in tail.take_while(|cached| cached.header.position.index < end) {
        bytes += cached.payload.len();
        let enough = match want {
            Want::Payloads(most) | Want::Batches(most) => bytes > most,
            Want::Headers(most) => taken.len() >= most,
        };
        if enough && !taken.is_empty() {
            break;
        }
        taken.push(cached.clone());
    }
    taken
}
