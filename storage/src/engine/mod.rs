//! Where frames live. Two engines behind one small trait, and one contract suite that both pass.
//!
//! The log above decides *what* is appended, cut, sealed, replaced and dropped, and keeps the catalogue;
//! an engine only keeps bytes. Writes to one log come from the commit thread alone, but for the
//! replacement of sealed segments; reads come from any thread at any time.

use crate::{GroupId, Header, Index, Offset, StoredEntry};
use bytes::Bytes;
use std::io;

pub mod segment;
pub mod sled;

/// Names one segment of one log: the group and the index of its first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The log.
    pub group: GroupId,
    /// The first entry's index; also the file's name.
    pub first: Index,
}

/// One entry on its way to disk.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What the log decided about it, offsets included.
    pub header: Header,
    /// The payload as it came; the engine stamps base offset and leader epoch into a data payload.
    pub payload: Bytes,
    /// All entries up to here (inclusive) were durable when the frame was made: a bad frame at or
    /// below it is corruption, never a torn tail.
    pub durable: Option<Index>,
}

/// What recovery is told about a segment before it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The base offset of the segment's first entry.
    pub base_offset: Offset,
    /// Entries up to here (inclusive) are known to have been durable, from elsewhere (a clean
    /// shutdown's mark, a sealed row, a later segment).
    pub durable: Option<Index>,
}

/// What a log's disk can refuse to do. The message names the file, the byte and the reason.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something that was durable is gone or damaged: the log must not open.
    #[error("{place}: {why}")]
    Corrupt {
        /// File (or key) and byte.
        place: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Gives the next frames, none after the last.
pub type NextFrames<'a> = &'a mut dyn FnMut() -> io::Result<Vec<Frame>>;

/// The seam: a dozen methods, synchronous. Errors are the disk's own.
pub trait Engine: Send + Sync + 'static {
    /// The segments of a group that exist on disk, ascending.
    fn segments(&self, group: GroupId) -> io::Result<Vec<SegmentId>>;

    /// Every group that has at least one segment.
    fn groups(&self) -> io::Result<Vec<GroupId>>;

    /// Makes an empty segment; its existence is durable on return. It is the group's active one from
    /// now on: the one before it is sealed and takes no more writes (its barrier is still due).
    fn create(&self, segment: SegmentId, base_offset: Offset) -> io::Result<()>;

    /// Reads a segment's frames in order, decides its tail by `segment::tail` (whole, cut, refuse),
    /// cuts what is torn, and opens it for writes after the last whole frame.
    fn recover(&self, segment: SegmentId, known: Known) -> Result<Vec<Header>, RecoverError>;

    /// Opens a sealed segment for reads without scanning it; checks no more than its size.
    fn open_sealed(&self, segment: SegmentId, base_offset: Offset) -> Result<(), RecoverError>;

    /// Writes frames after the segment's last. In the page cache on return, not durable.
    fn write(&self, segment: SegmentId, frames: &[Frame]) -> io::Result<()>;

    /// Makes all earlier writes to these segments durable with as few device flushes as it can. A
    /// segment that was removed meanwhile is passed over.
    fn barrier(&self, dirty: &[SegmentId]) -> io::Result<()>;

    /// Removes every entry after `last` (all, if `None`) from the segment; durable on return.
    /// Cutting a sealed segment, even to its own end, makes it the active one again.
    fn cut(&self, segment: SegmentId, last: Option<Index>) -> io::Result<()>;

    /// Puts other frames, of the same entries, in the place of all that a sealed segment holds; durable
    /// on return. A crash leaves each entry as it was or as it is now. One at a time per segment, beside
    /// reads and the commit thread's work: `NotFound` if the segment is removed meanwhile.
    fn replace(&self, segment: SegmentId, frames: NextFrames<'_>) -> io::Result<()>;

    /// Removes a segment, durably (none if it is not there); its space returns to the file system or to the spare pool.
    fn remove(&self, segment: SegmentId) -> io::Result<()>;

    /// Removes all that is left of a group, and returns its space to the file system.
    fn remove_group(&self, group: GroupId) -> io::Result<()>;

    /// Entries from `from` on (at least one if it exists in this segment), until `bytes_max` payload
    /// bytes or the end of the segment; payloads checked against their frame's CRC.
    fn read(
        &self,
        segment: SegmentId,
        from: Index,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEntry>>;

    /// Headers from `from` on, at most `count_max`, with the payload of non-data entries; of a data
    /// entry only its batch's own header, which alone is not checked against the frame's CRC.
    fn headers(
        &self,
        segment: SegmentId,
        from: Index,
        count_max: usize,
    ) -> io::Result<Vec<StoredEntry>>;

    /// Bytes the group takes on disk (what `du` would say, not the apparent size).
    fn disk_bytes(&self, group: GroupId) -> io::Result<u64>;
}
