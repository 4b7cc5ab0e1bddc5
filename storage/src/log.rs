//! One log: positions, offsets, tail cache and the catalogue of its segments.

use crate::{
    Entry, FlushPolicy, GroupId, Header, Index, Marker, Offset, Position, StoredEntry, Term,
};
use bytes::Bytes;
use std::io;
use std::ops::Range;

/// Called once when an operation is flushed (by the log's policy), from the commit thread.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The purge point, if anything was purged.
    pub purged: Option<Marker>,
    /// The last entry (readable, perhaps not durable yet); the purge point when empty.
    pub last: Option<Position>,
    /// The last flushed entry by the log's policy; `flushed <= last`.
    pub flushed: Option<Index>,
    /// The offset the next record will get.
    pub next_offset: Offset,
}

/// The end of a sealed segment: the only places where a log is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedEnd {
    /// What a purge up to here would leave as the log's beginning.
    pub marker: Marker,
    /// The largest record timestamp in the segment, -1 without records.
    pub max_timestamp: i64,
    /// Payload and frame bytes of the segment.
    pub bytes: u64,
}

/// A handle on one group's log; clones are the same log.
#[derive(Clone)]
pub struct Log {
    // Arc<…>
}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Log {
    /// The group it belongs to.
    pub fn group(&self) -> GroupId {
        todo!()
    }
    /// Where it stands.
    pub fn state(&self) -> LogState {
        todo!()
    }
    /// Changes when appends count as flushed, from the next append on.
    pub fn set_flush(&self, policy: FlushPolicy) {
        todo!()
    }
    /// Appends entries after the last; they are readable on return. Returns their headers (offsets
    /// assigned). `done` is called once, when they and everything before them are flushed.
    ///
    /// # Errors
    /// If an earlier write failed: the log is broken until it is opened again.
    ///
    /// # Panics
    /// If the first index does not follow the last entry.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> io::Result<Vec<Header>> {
        todo!()
    }
    /// Removes every entry after `last` (all that are not purged, if `None`). Ordered before later
    /// appends; the offsets go back with it.
    pub fn truncate_after(&self, last: Option<Index>) -> io::Result<()> {
        todo!()
    }
    /// Removes every entry up to and including the marker's, whole segments of them; the marker may
    /// lie beyond the last entry (the log is then empty and begins after it). Durable on return.
    pub fn purge(&self, marker: Marker) -> io::Result<()> {
        todo!()
    }
    /// Entries of the range with payload: at least one if the range is not empty, then until
    /// `bytes_max` payload bytes.
    pub fn entries(&self, range: Range<Index>, bytes_max: usize) -> io::Result<Vec<StoredEntry>> {
        todo!()
    }
    /// Entries of the range, payloads only of non-data kinds: what apply needs. At least one if the
    /// range is not empty.
    pub fn headers(&self, range: Range<Index>, count_max: usize) -> io::Result<Vec<StoredEntry>> {
        todo!()
    }
    /// The header at an index, if it is in the log.
    pub fn header(&self, index: Index) -> io::Result<Option<Header>> {
        todo!()
    }
    /// The last index of each term, ascending.
    pub fn terms(&self) -> Vec<(Term, Index)> {
        todo!()
    }
    /// The offset of the first record after `index` (the purge point's when `index` is purged).
    pub fn next_offset_after(&self, index: Index) -> io::Result<Offset> {
        todo!()
    }
    /// Whole record batches that hold offsets `from..below` in order: the first may begin before
    /// `from`. Never one that ends beyond `below`. At least one batch if there is one, then until
    /// `bytes_max`. `from` below the log's first offset is the caller's mistake: empty.
    pub fn read(&self, from: Offset, below: Offset, bytes_max: usize) -> io::Result<Vec<Bytes>> {
        todo!()
    }
    /// The header of the first data entry whose max timestamp is at least `timestamp` (ms).
    pub fn find_timestamp(&self, timestamp: i64) -> io::Result<Option<Header>> {
        todo!()
    }
    /// Stores the vote durably, after every earlier append of this log; then calls `done`.
    pub fn save_vote(&self, vote: Vec<u8>, done: Done) -> io::Result<()> {
        todo!()
    }
    /// The vote last stored.
    pub fn vote(&self) -> io::Result<Option<Vec<u8>>> {
        todo!()
    }
    /// Notes lazily how far the group has committed.
    pub fn save_committed(&self, committed: Option<Position>) -> io::Result<()> {
        todo!()
    }
    /// How far it had committed, never beyond the last entry of the log.
    pub fn committed(&self) -> io::Result<Option<Position>> {
        todo!()
    }
    /// Stores the state machine's checkpoint as of `position` durably. Any size up to 16 MiB.
    pub fn put_checkpoint(&self, position: Position, state: &[u8]) -> io::Result<()> {
        todo!()
    }
    /// The checkpoints that are stored, ascending: at most one per sealed segment, and the purge
    /// point's.
    pub fn checkpoints(&self) -> io::Result<Vec<(Position, Vec<u8>)>> {
        todo!()
    }
    /// Forgets checkpoints at an index below `index`.
    pub fn drop_checkpoints_below(&self, index: Index) -> io::Result<()> {
        todo!()
    }
    /// The ends of sealed segments, ascending.
    pub fn sealed_ends(&self) -> Vec<SealedEnd> {
        todo!()
    }
    /// Bytes on disk.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        todo!()
    }
    /// Waits until everything appended so far is durable whatever the policy (clean shutdown).
    pub fn sync(&self) -> io::Result<()> {
        todo!()
    }
}
