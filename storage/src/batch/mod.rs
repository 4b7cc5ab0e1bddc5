//! Kafka's RecordBatch v2: the only layout a record ever has, from the door to the disk and back.
//! (KIP-98; `DefaultRecordBatch.java`.)

use bytes::Bytes;

/// Bytes before the records of a batch.
pub const HEADER_BYTES: usize = 61;

/// How the records of a batch are compressed (attributes, bits 0–2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// snappy (xerial framing is read and written, raw is read).
    Snappy = 2,
    /// lz4 frame format.
    Lz4 = 3,
    /// zstd.
    Zstd = 4,
}

/// One record to be put into a batch, or taken out of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order, duplicates kept; names are UTF-8 by Kafka's rule.
    pub headers: Vec<RecordHeader>,
}

/// A record's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Option<Bytes>,
}

/// Why bytes are not a batch we take. Each names the byte or the number that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Shorter than its own length field or than a header.
    #[error("record batch: {have} bytes where {need} are needed")]
    Short {
        /// What is needed.
        need: usize,
        /// What is there.
        have: usize,
    },
    /// More bytes than one batch.
    #[error("record batch: {0} bytes after its end; exactly one batch is taken")]
    Trailing(usize),
    /// Not magic 2.
    #[error("record batch: magic {0}; only magic 2 is supported")]
    Magic(i8),
    /// The checksum does not match.
    #[error("record batch: CRC-32C is {found:#010x}, its header says {expected:#010x}")]
    Crc {
        /// What its header says.
        expected: u32,
        /// What the bytes give.
        found: u32,
    },
    /// An unknown codec.
    #[error("record batch: unknown compression codec {0}")]
    Codec(u8),
    /// A transactional or control batch, or a wrong count.
    #[error("record batch: {0}")]
    Invalid(String),
    /// A record that cannot be read.
    #[error("record batch: record {record}: {why}")]
    Record {
        /// Which one, from 0.
        record: usize,
        /// What is wrong.
        why: String,
    },
    /// Inflates to more than is allowed.
    #[error("record batch: inflates to more than {0} bytes")]
    TooLarge(usize),
}

/// A checked batch: header fields readable, records decodable. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl RecordBatch {
    /// Checks frame, magic, CRC, codec, counts of a batch that came from outside (exactly one, no
    /// transactional or control bits): the rules of a leader's append. Does not inflate.
    pub fn check(bytes: Bytes) -> Result<Self, BatchError> {
        todo!()
    }
    /// Wraps bytes that came from our own log: checks only that the header is there.
    pub fn stored(bytes: Bytes) -> Result<Self, BatchError> {
        todo!()
    }
    /// Splits concatenated batches, each checked by [`RecordBatch::check`].
    pub fn split(bytes: Bytes) -> Result<Vec<Self>, BatchError> {
        todo!()
    }
    /// Builds a batch with base offset 0.
    ///
    /// # Panics
    /// Without records, or with more than `i32::MAX` of them.
    pub fn build(records: &[Record], compression: Compression) -> Self {
        todo!()
    }
    /// Decodes the records, inflating at most `inflated_bytes_max`. Total: any bytes give records or
    /// an error, never a panic, never an allocation beyond the limit.
    pub fn records(&self, inflated_bytes_max: usize) -> Result<Vec<Record>, BatchError> {
        todo!()
    }
    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// The bytes, consuming.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
    /// The stamped base offset.
    pub fn base_offset(&self) -> i64 {
        todo!()
    }
    /// The stamped leader epoch.
    pub fn leader_epoch(&self) -> i32 {
        todo!()
    }
    /// How many records.
    pub fn record_count(&self) -> u32 {
        todo!()
    }
    /// The largest timestamp in ms.
    pub fn max_timestamp(&self) -> i64 {
        todo!()
    }
    /// The codec.
    pub fn compression(&self) -> Compression {
        todo!()
    }
    /// The idempotent producer's id, -1 for none.
    pub fn producer_id(&self) -> i64 {
        todo!()
    }
    /// The idempotent producer's epoch, -1 for none.
    pub fn producer_epoch(&self) -> i16 {
        todo!()
    }
    /// The first record's sequence number, -1 for none.
    pub fn base_sequence(&self) -> i32 {
        todo!()
    }
}

/// The first 16 bytes of a batch (base offset, length, leader epoch) as they are to be stored: what a
/// log stamps. They lie outside the checksum.
#[allow(unused_variables, clippy::todo, reason = "skeleton")]
pub fn stamped_head(batch: &[u8], base_offset: i64, leader_epoch: i32) -> [u8; 16] {
    todo!()
}

/// What a log needs of a batch's header: record count and largest timestamp. Reads 61 bytes.
#[allow(unused_variables, clippy::todo, reason = "skeleton")]
pub fn summary(batch: &[u8]) -> Result<(u32, i64), BatchError> {
    todo!()
}
