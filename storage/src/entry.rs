//! What a log holds: entries, and the headers that can be read without their payload.

use crate::{Index, Offset, Position};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What an entry is to the layers above. Only [`EntryKind::Data`] takes offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EntryKind {
    /// A new leader's first entry; no payload.
    Blank = 0,
    /// Who is a member of the group.
    Membership = 1,
    /// One record batch (Kafka's RecordBatch v2), opaque here but for its 61-byte header.
    Data = 2,
    /// A replicated trim: the new log start offset, 8 bytes big-endian. One that leaves no record begins
    /// a segment, so that all before it can be purged.
    Trim = 3,
    /// A command of the group's own state machine.
    Command = 4,
}

/// An entry to append: the log itself assigns its offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Term and index, given by the leader.
    pub position: Position,
    /// What the payload is.
    pub kind: EntryKind,
    /// The payload. Of a data entry: exactly one record batch, already checked at the door.
    pub payload: Bytes,
}

/// What is known of a stored entry without reading its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Term and index.
    pub position: Position,
    /// What the payload is.
    pub kind: EntryKind,
    /// The offset of its first record; of a non-data entry, the next record's offset.
    pub base_offset: Offset,
    /// Offsets it takes: those of its records, and of those that were compacted away; 0 for a non-data
    /// entry.
    pub record_count: u32,
    /// The largest record timestamp in ms since the Unix epoch; -1 without records.
    pub max_timestamp: i64,
    /// Bytes of payload.
    pub payload_len: u32,
}

impl Header {
    /// The offset of the first record after this entry.
    ///
    /// # Panics
    /// Past `u64::MAX`, which no log reaches.
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(u64::from(self.record_count))
    }

    /// The term as Kafka's leader epoch, which has 31 bits.
    pub fn leader_epoch(&self) -> i32 {
        i32::try_from(self.position.term.get()).unwrap_or(i32::MAX)
    }
}

/// An entry as read back. A data payload has its base offset and leader epoch stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// What stands before the payload.
    pub header: Header,
    /// The payload; where only headers were asked for and the kind is data, only the batch's header.
    pub payload: Bytes,
}

/// Where a log begins after a purge: all a replica needs in place of what was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The last purged entry (its true term).
    pub position: Position,
    /// The offset of the first record after it.
    pub next_offset: Offset,
}

impl Marker {
    /// The first index that is kept.
    pub fn first_kept(&self) -> Index {
        self.position.index.next()
    }
}
