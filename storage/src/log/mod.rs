//! One log: positions, offsets, tail cache and the catalogue of its segments.
//!
//! ```text
//!   append ──► memory (tail, catalogue, terms) ──► queue ──► commit thread ──► engine
//!   read   ◄── tail, else ◄───────────────────────────────────────────────────── engine
//! ```
//!
//! Invariants: indices and offsets are dense; an entry's base offset is a function of the log before
//! it and nothing else; every entry is in the tail or written to the engine, or both.

mod catalogue;
mod checkpoint;
mod core;
mod open;
mod read;
mod rewrite;
mod tail;
mod terms;
mod watermarks;
mod write;

pub(crate) use self::core::Core;
use catalogue::Active;
pub(crate) use catalogue::{Cut, Sealed};
pub(crate) use open::{half_removed, remove_group};
pub(crate) use tail::Budget;

use crate::backing::group_key;
use crate::commit::{Completion, Work};
use crate::{
    Entry, FlushPolicy, GroupId, Header, Index, Marker, Offset, Position, Roll, StoredEntry, Table,
    Term, codec, planted,
};
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

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
    pub(crate) core: Arc<Core>,
}

impl Log {
    /// The group it belongs to.
    pub fn group(&self) -> GroupId {
        self.core.group()
    }
    /// Where it stands.
    pub fn state(&self) -> LogState {
        self.core.state()
    }
    /// Changes when appends count as flushed, from the next append on.
    pub fn set_flush(&self, policy: FlushPolicy) {
        self.core.set_flush(policy);
    }
    /// Changes when it begins its next segment, from the next append on.
    pub fn set_roll(&self, roll: Roll) {
        self.core.lock().roll = roll;
    }
    /// Appends entries after the last; they are readable on return. Returns their headers (offsets
    /// assigned). `done` is called exactly once, from the commit thread: when they and everything
    /// before them are flushed, or with an error; also when this call itself fails. Waits while too
    /// many bytes are queued.
    ///
    /// # Errors
    /// If an earlier write failed: the log is broken until the store is opened again. If a data
    /// payload is no record batch.
    ///
    /// # Panics
    /// If the first index does not follow the last entry.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> io::Result<Vec<Header>> {
        self.core.append(entries, Completion::new(done))
    }
    /// Removes every entry after `last` (all that are not purged, if `None`). Ordered before later
    /// appends; the offsets go back with it.
    pub fn truncate_after(&self, last: Option<Index>) -> io::Result<()> {
        self.core.truncate_after(last)
    }
    /// Removes every entry up to and including the marker's, whole segments of them; the marker may
    /// lie beyond the last entry (the log is then empty and begins after it). Durable on return.
    pub fn purge(&self, marker: Marker) -> io::Result<()> {
        self.core.purge(marker)
    }
    /// Entries of the range with payload: at least one if the log has any of them, then until
    /// `bytes_max` payload bytes. The range is clipped to what the log has. A data payload may or may
    /// not be stamped: who needs that has the header, or uses [`Log::read`].
    pub fn entries(&self, range: Range<Index>, bytes_max: usize) -> io::Result<Vec<StoredEntry>> {
        self.core.entries(range, bytes_max)
    }
    /// Entries of the range, whole but for data payloads, of which only the batch's header comes
    /// ([`crate::batch::HEADER_BYTES`]; base offset and leader epoch in it may not be stamped): what
    /// apply needs. At least one if the range is not empty.
    pub fn headers(&self, range: Range<Index>, count_max: usize) -> io::Result<Vec<StoredEntry>> {
        self.core.headers(range, count_max)
    }
    /// The header at an index, if it is in the log.
    pub fn header(&self, index: Index) -> io::Result<Option<Header>> {
        self.core.header(index)
    }
    /// The last index of each term, ascending.
    pub fn terms(&self) -> Vec<(Term, Index)> {
        self.core.terms()
    }
    /// The offset of the first record after `index` (the purge point's when `index` is purged).
    pub fn next_offset_after(&self, index: Index) -> io::Result<Offset> {
        self.core.next_offset_after(index)
    }
    /// Whole record batches that hold offsets `from..below` in order: the first may begin before
    /// `from`. Never one that ends beyond `below`. At least one batch with records if there is one, then
    /// until `bytes_max`. Batches of which compaction left no record are passed over; only where they are
    /// the last before `below` or `bytes_max`, the last of them comes too, and says how far was read. `from` below the log's first offset is the caller's mistake: empty.
    pub fn read(&self, from: Offset, below: Offset, bytes_max: usize) -> io::Result<Vec<Bytes>> {
        self.core.read(from, below, bytes_max)
    }
    /// Ends the segment that takes entries, if it has any: durable and sealed on return. The next append
    /// begins one.
    pub fn seal(&self) -> io::Result<()> {
        self.core.seal()
    }
    /// Gives every data entry of the sealed segment that ends at `end` to `edit`, once and in order, and
    /// puts what it returns in the entry's place: another batch of the same offsets. Returns how many
    /// bytes that took off the disk. A crash leaves each entry as it was or as it is now, durable either
    /// way. Readers may see the former entries while this runs, not after it returned. Nothing happens
    /// to a segment that is no longer there, or not sealed.
    ///
    /// # Errors
    /// Of `edit`, of the disk, or if a batch takes other offsets than the one it replaces.
    pub fn rewrite(
        &self,
        end: Index,
        edit: &mut dyn FnMut(&StoredEntry) -> io::Result<Option<Bytes>>,
    ) -> io::Result<u64> {
        self.core.rewrite(end, edit)
    }
    /// The header of the first data entry that ends after `from` and whose max timestamp is at least
    /// `timestamp` (ms).
    pub fn find_timestamp(&self, timestamp: i64, from: Offset) -> io::Result<Option<Header>> {
        self.core.find_timestamp(timestamp, from)
    }
    /// Stores the vote durably, after every earlier append of this log; then calls `done`.
    pub fn save_vote(&self, vote: Vec<u8>, done: Done) -> io::Result<()> {
        self.core.save_vote(vote, Completion::new(done))
    }
    /// The vote last stored.
    pub fn vote(&self) -> io::Result<Option<Vec<u8>>> {
        self.core.backing.state.get(Table::Votes, &group_key(self.group()))
    }
    /// Notes lazily how far the group has committed.
    pub fn save_committed(&self, committed: Option<Position>) -> io::Result<()> {
        self.core.save_committed(committed)
    }
    /// How far it had surely committed. The note is not ordered with the log: after a power cut it may speak of
    /// entries that the log has lost, while the log has a tail that they had replaced. That tail is never taken
    /// for committed: openraft would not let a leader replace it again.
    pub fn committed(&self) -> io::Result<Option<Position>> {
        self.core.committed()
    }
    /// Stores the state machine's checkpoint as of `position` durably. Any size up to 16 MiB.
    pub fn put_checkpoint(&self, position: Position, state: &[u8]) -> io::Result<()> {
        self.core.put_checkpoint(position, state)
    }
    /// The checkpoints that are stored, ascending: at most one per sealed segment, and the purge
    /// point's.
    pub fn checkpoints(&self) -> io::Result<Vec<(Position, Vec<u8>)>> {
        self.core.checkpoints()
    }
    /// Forgets checkpoints at an index below `index`.
    pub fn drop_checkpoints_below(&self, index: Index) -> io::Result<()> {
        self.core.drop_checkpoints_below(index)
    }
    /// The ends of sealed segments, ascending.
    pub fn sealed_ends(&self) -> Vec<SealedEnd> {
        self.core.sealed_ends()
    }
    /// The ends of sealed segments, and what the active one's end would be were it sealed now; as of one
    /// moment.
    pub fn segment_ends(&self) -> (Vec<SealedEnd>, Option<SealedEnd>) {
        self.core.segment_ends()
    }
    /// Bytes on disk.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        self.core.backing.engine.disk_bytes(self.group())
    }
    /// Waits until everything appended so far is durable whatever the policy (clean shutdown).
    pub fn sync(&self) -> io::Result<()> {
        self.core.push_and_wait(Work::Sync)()
    }

    /// Why the log is broken, if it is.
    pub fn failure(&self) -> Option<String> {
        self.core.failure().map(str::to_owned)
    }
}

impl Core {
    fn set_flush(&self, policy: FlushPolicy) {
        self.lock().policy = policy;
    }

    fn terms(&self) -> Vec<(Term, Index)> {
        self.lock().terms.as_slice().to_vec()
    }

    fn sealed_ends(&self) -> Vec<SealedEnd> {
        self.lock().catalogue.sealed.iter().map(Sealed::sealed_end).collect()
    }

    fn segment_ends(&self) -> (Vec<SealedEnd>, Option<SealedEnd>) {
        let inner = self.lock();
        let sealed = inner.catalogue.sealed.iter().map(Sealed::sealed_end).collect();
        (sealed, inner.catalogue.active.as_ref().and_then(Active::sealed_end))
    }

    fn save_vote(self: &Arc<Self>, vote: Vec<u8>, done: Completion) -> io::Result<()> {
        if let Err(error) = self.check() {
            done.complete(Err(io::Error::new(error.kind(), error.to_string())));
            return Err(error);
        }
        self.push(Work::Vote(vote), 0, done);
        Ok(())
    }

    fn save_committed(&self, committed: Option<Position>) -> io::Result<()> {
        let key = group_key(self.group());
        match committed {
            Some(committed) => {
                self.backing.state.put(Table::Committed, &key, &codec::encode(&committed))
            }
            None => self.backing.state.delete(Table::Committed, &key),
        }
    }

    fn committed(&self) -> io::Result<Option<Position>> {
        let row = self.backing.state.get(Table::Committed, &group_key(self.group()))?;
        let Some(row) = row else { return Ok(None) };
        let committed: Position = codec::decode(&row)?;
        let inner = self.lock();
        if planted!(TailCommitted) {
            return Ok(Some(committed).min(inner.last));
        }
        let purged = inner.purged.map(|purged| purged.position);
        Ok(inner.terms.surely_committed(committed).or(purged))
    }
}
