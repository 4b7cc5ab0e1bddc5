//! Putting other batches in the place of those of a sealed segment: what compaction does to a log.
//!
//! Invariants: indices, terms and offsets stay as they are; only sealed segments change, and only whole
//! ones at a time. The commit thread has no part in it: what is sealed is written and durable, nobody
//! appends to it, and the engine minds those who remove it meanwhile.

use super::catalogue::{Row, Sealed};
use super::core::Core;
use crate::backing::about;
use crate::batch;
use crate::engine::segment::frame_bytes;
use crate::engine::{Frame, SegmentId};
use crate::{EntryKind, Index, StoredEntry};
use bytes::Bytes;
use std::io;

/// What is read, and what is handed to the engine, at once.
const PIECE_BYTES: usize = 1 << 20;

type Edit<'a> = &'a mut dyn FnMut(&StoredEntry) -> io::Result<Option<Bytes>>;

/// A segment being gone through.
struct Pass<'a> {
    core: &'a Core,
    segment: SegmentId,
    /// Its last entry.
    last: Index,
    /// The next entry.
    next: Index,
}

impl Core {
    pub(super) fn rewrite(&self, end: Index, edit: Edit<'_>) -> io::Result<u64> {
        self.check()?;
        let Some(sealed) = self.sealed_at(end) else { return Ok(0) };
        self.rewrite_sealed(&sealed, edit).or_else(|error| match self.sealed_at(end) {
            Some(_) => Err(about(self.group(), &error)),
            // Removed meanwhile.
            None => Ok(0),
        })
    }

    /// The sealed segment that ends at `end`, once the commit thread has made it durable.
    fn sealed_at(&self, end: Index) -> Option<Sealed> {
        let inner = self.lock();
        let found = inner.catalogue.sealed.iter().find(|sealed| sealed.end.position.index == end);
        found.filter(|_| end < inner.marks.durable()).cloned()
    }

    fn rewrite_sealed(&self, sealed: &Sealed, edit: Edit<'_>) -> io::Result<u64> {
        let segment = SegmentId { group: self.group(), first: sealed.first };
        let last = sealed.end.position.index;
        let begin = || Pass { core: self, segment, last, next: sealed.first };
        // Most segments do not change a second time: nothing is written before something does.
        let Some((changed, replacement)) = begin().first_change(edit)? else { return Ok(0) };
        let mut replacement = Some(replacement);
        let mut pass = begin();
        let (mut bytes, mut max_timestamp) = (0, -1);
        self.backing.engine.replace(segment, &mut || {
            let mut frames = Vec::new();
            for entry in pass.piece()? {
                let index = entry.header.position.index;
                let edited = match entry.header.kind {
                    EntryKind::Data if index == changed => replacement.take(),
                    EntryKind::Data if index > changed => edit(&entry)?,
                    EntryKind::Data
                    | EntryKind::Blank
                    | EntryKind::Membership
                    | EntryKind::Trim
                    | EntryKind::Command => None,
                };
                let frame = frame(entry, edited)?;
                bytes += frame_bytes(frame.header.payload_len);
                max_timestamp = frame.header.max_timestamp.max(max_timestamp);
                frames.push(frame);
            }
            Ok(frames)
        })?;
        self.rewrote(Sealed { max_timestamp, bytes, ..sealed.clone() })?;
        Ok(sealed.bytes.saturating_sub(bytes))
    }

    /// Takes note of a segment that has other batches now: those that are cached are not its own any more.
    fn rewrote(&self, now: Sealed) -> io::Result<()> {
        let mut inner = self.lock();
        let last = now.end.position.index;
        let below = last.next().min(inner.marks.written());
        inner.tail.evict(below);
        let known = inner.catalogue.sealed.iter_mut().find(|sealed| sealed.end == now.end);
        let Some(known) = known.filter(|_| self.failure().is_none()) else { return Ok(()) };
        *known = now.clone();
        // Under the lock: who removes the segment has to take it out of the catalogue first, and removes
        // the row after this one was written.
        self.put_row(now.first, &Row::Sealed(now))
    }
}

impl Pass<'_> {
    /// The next entries; none at the end of the segment.
    fn piece(&mut self) -> io::Result<Vec<StoredEntry>> {
        if self.next > self.last {
            return Ok(Vec::new());
        }
        let engine = self.core.backing.engine.as_ref();
        let mut entries = engine.read(self.segment, self.next, PIECE_BYTES)?;
        entries.retain(|entry| entry.header.position.index <= self.last);
        let Some(read) = entries.last() else {
            let why = format!("no entry {} in segment {}", self.next, self.segment.first);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        self.next = read.header.position.index.next();
        Ok(entries)
    }

    /// The first entry that is edited, and what comes in its place.
    fn first_change(mut self, edit: Edit<'_>) -> io::Result<Option<(Index, Bytes)>> {
        loop {
            let entries = self.piece()?;
            if entries.is_empty() {
                return Ok(None);
            }
            for entry in entries.iter().filter(|entry| entry.header.kind == EntryKind::Data) {
                if let Some(edited) = edit(entry)? {
                    return Ok(Some((entry.header.position.index, edited)));
                }
            }
        }
    }
}

/// The entry as it is to be written. What it claims to be durable ends before it, although all of its
/// segment was: what follows may be truncated, and a frame that stays must not miss it then.
fn frame(entry: StoredEntry, edited: Option<Bytes>) -> io::Result<Frame> {
    let StoredEntry { mut header, payload } = entry;
    let payload = match edited {
        None => payload,
        Some(edited) => {
            let invalid = |why: String| {
                let index = header.position.index;
                io::Error::new(io::ErrorKind::InvalidData, format!("entry {index}: {why}"))
            };
            let (span, max_timestamp) =
                batch::summary(&edited).map_err(|error| invalid(error.to_string()))?;
            if span != header.record_count {
                let why = format!("{span} offsets in place of {}", header.record_count);
                return Err(invalid(why));
            }
            header.max_timestamp = max_timestamp;
            header.payload_len = u32::try_from(edited.len())
                .map_err(|_too_long| invalid(format!("{} bytes of payload", edited.len())))?;
            edited
        }
    };
    Ok(Frame { header, payload, durable: header.position.index.previous() })
}
