//! Why bytes are not a batch that we take. All are rejections: the sender's fault, and definite.

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
    /// A transactional or control batch, a wrong count, or a block that does not inflate.
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
