//! The end of a log in memory: what was not written yet, and what was written lately.
//!
//! ```text
//!   begin ........ tail.first ....... written ....... next
//!     engine only  |  engine and memory  |  memory only  |
//! ```
//!
//! Only written entries are ever evicted, the oldest of the node first (the commit thread keeps the
//! order), so what is memory-only is bounded by the queue to that thread, the rest by [`Budget`].
//!
//! A small payload gets memory of its own, since the buffer that it came in, from a socket, is larger than
//! what is counted here. A large one is kept as it came; if it is data it is stamped in place where the log
//! holds the only reference, else on the first consumer's read, which pays the one copy and leaves it for
//! the next. A replica that nobody consumes from never copies large ones.

use crate::batch::stamped_head;
use crate::{EntryKind, Header, Index, Offset, StoredEntry};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an entry costs in memory beside its payload.
const ENTRY_BYTES: usize = 128;
/// A payload up to so long is copied. What came in one read of a socket is at least as long.
const COPIED_BYTES_MAX: usize = 16 << 10;
/// One log may keep this part of the node's budget.
const SHARE_MAX: usize = 2;

/// How many bytes all tails of a node keep.
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether something has to go.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.max
    }
}

/// A cached entry.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) header: Header,
    pub(crate) payload: Bytes,
    pub(crate) stamped: bool,
}

impl Cached {
    /// Keeps an entry; stamps it unless that costs the copy of a large payload.
    pub(crate) fn new(header: Header, payload: Bytes) -> Self {
        let payload = if payload.len() <= COPIED_BYTES_MAX {
            Ok(BytesMut::from(payload.as_ref()))
        } else {
            payload.try_into_mut()
        };
        if header.kind != EntryKind::Data {
            let payload = payload.map_or_else(|payload| payload, BytesMut::freeze);
            return Self { header, payload, stamped: true };
        }
        match payload {
            Ok(mut payload) => {
                stamp(&header, &mut payload);
                Self { header, payload: payload.freeze(), stamped: true }
            }
            Err(payload) => Self { header, payload, stamped: false },
        }
    }

    /// The same entry with its payload stamped; copies if it has to.
    pub(crate) fn into_stamped(self) -> Self {
        if self.stamped {
            return self;
        }
        let mut payload = BytesMut::from(self.payload.as_ref());
        stamp(&self.header, &mut payload);
        Self { header: self.header, payload: payload.freeze(), stamped: true }
    }

    fn cost(&self) -> usize {
        self.payload.len() + ENTRY_BYTES
    }
}

fn stamp(header: &Header, payload: &mut BytesMut) {
    let head = stamped_head(payload, header.base_offset.get().cast_signed(), header.leader_epoch());
    if let Some(place) = payload.get_mut(..head.len()) {
        place.copy_from_slice(&head);
    }
}

/// The cached end of one log, dense, up to its last entry.
pub(crate) struct Tail {
    first: Index,
    entries: VecDeque<Cached>,
    bytes: usize,
    budget: Arc<Budget>,
}

impl Tail {
    /// An empty tail of a log whose next entry is `next`.
    pub(crate) fn new(next: Index, budget: Arc<Budget>) -> Self {
        Self { first: next, entries: VecDeque::new(), bytes: 0, budget }
    }

    /// The first cached index; the log's next one when nothing is cached.
    pub(crate) fn first(&self) -> Index {
        self.first
    }

    /// An entry of it.
    pub(crate) fn get(&self, index: Index) -> Option<&Cached> {
        self.entries.get(self.place(index)?)
    }

    /// Entries from `from` on, which must not lie before [`Tail::first`].
    pub(crate) fn from(&self, from: Index) -> impl Iterator<Item = &Cached> {
        self.entries.iter().skip(self.place(from).unwrap_or(usize::MAX))
    }

    /// The first entry that ends after `offset`.
    pub(crate) fn find_offset(&self, offset: Offset) -> Option<Index> {
        let place = self.entries.partition_point(|cached| cached.header.next_offset() <= offset);
        self.entries.get(place).map(|cached| cached.header.position.index)
    }

    /// Adds the log's next entry.
    pub(crate) fn push(&mut self, entry: Cached) {
        debug_assert_eq!(Some(self.entries.len()), self.place(entry.header.position.index));
        self.charge(entry.cost());
        self.entries.push_back(entry);
    }

    /// Leaves a stamped payload for the next reader, if the same entry is still there.
    pub(crate) fn keep_stamped(&mut self, entry: &Cached) {
        let Some(place) = self.place(entry.header.position.index) else { return };
        if let Some(kept) = self.entries.get_mut(place).filter(|kept| kept.header == entry.header) {
            kept.payload = entry.payload.clone();
            kept.stamped = true;
        }
    }

    /// Forgets entries from `next` on, which is the log's next index now.
    pub(crate) fn truncate(&mut self, next: Index) {
        match self.place(next) {
            Some(kept) => {
                while self.entries.len() > kept {
                    let gone = self.entries.pop_back();
                    self.refund(gone.as_ref());
                }
            }
            None => self.reset(next),
        }
    }

    /// Empties the tail of a log that continues at `next`.
    pub(crate) fn reset(&mut self, next: Index) {
        self.entries.clear();
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
        self.first = next;
    }

    /// Forgets entries below `below`; the caller knows that they are written or purged.
    pub(crate) fn evict(&mut self, below: Index) {
        while self.first < below && !self.entries.is_empty() {
            let gone = self.entries.pop_front();
            self.refund(gone.as_ref());
            self.first = self.first.next();
        }
    }

    /// Forgets the oldest entries below `written` while this log keeps more than its share.
    pub(crate) fn evict_share(&mut self, written: Index) {
        while self.bytes > self.budget.max / SHARE_MAX && self.first < written {
            self.evict(self.first.next());
        }
    }

    fn place(&self, index: Index) -> Option<usize> {
        usize::try_from(index.get().checked_sub(self.first.get())?).ok()
    }

    fn charge(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn refund(&mut self, gone: Option<&Cached>) {
        let bytes = gone.map_or(0, Cached::cost);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl From<Cached> for StoredEntry {
    fn from(cached: Cached) -> Self {
        Self { header: cached.header, payload: cached.payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Compression};
    use crate::{Position, Term};

    fn cached(kind: EntryKind, payload: Bytes) -> Cached {
        let header = Header {
            position: Position::new(Term::new(1), Index::new(0)),
            kind,
            base_offset: Offset::new(40),
            record_count: u32::from(kind == EntryKind::Data),
            max_timestamp: 0,
            payload_len: u32::try_from(payload.len()).unwrap(),
        };
        Cached::new(header, payload)
    }

    fn batch(value: &[u8]) -> Bytes {
        let mut batch = BatchBuilder::new();
        batch.push(0, None, Some(value), []);
        batch.finish(Compression::None).into_bytes()
    }

    #[test]
    fn a_small_payload_does_not_keep_the_buffer_that_it_came_in() {
        for (kind, payload) in
            [(EntryKind::Data, batch(b"small")), (EntryKind::Command, Bytes::from_static(b"do"))]
        {
            let mut buffer = BytesMut::from(payload.as_ref());
            buffer.resize(64 << 10, 0);
            let buffer = buffer.freeze();
            let cached = cached(kind, buffer.slice(..payload.len()));
            assert!(buffer.is_unique(), "{kind:?}");
            assert_eq!(cached.payload.len(), payload.len());
            assert!(cached.stamped);
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let payload = batch(&vec![7; 2 * COPIED_BYTES_MAX]);
        let held = payload.clone();
        let cached = cached(EntryKind::Data, payload);
        assert!(!held.is_unique() && !cached.stamped);
        assert_ne!(cached.into_stamped().payload, held);
        assert!(held.is_unique());
    }
}
