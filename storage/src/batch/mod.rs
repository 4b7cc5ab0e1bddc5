//! Kafka's `RecordBatch` v2: the only layout a record ever has, from the door to the disk and back.
//! (KIP-98; `DefaultRecordBatch.java`.)
//!
//! ```text
//!   RecordBatch ── some bytes that were checked: fields readable, cheap to clone and to pass on
//!     ├── header   ── the 61 bytes in front, frame and CRC-32C; what a log stamps
//!     ├── Records  ── its records, inflated if need be: `iter` borrows, `RecordBatch::records` owns
//!     │     └── RecordRef, Record ── one record, borrowed or owned
//!     └── Compression ── the codec: `inflate` (bounded) and `deflate`, snappy's framing in `xerial`
//!   BatchBuilder ── the way from records to a batch; one buffer
//!   varint ── the zigzag numbers of a record
//! ```
//!
//! Invariants:
//! - decoding is total: any bytes give records or an error, never a panic;
//! - no number found in a batch makes an allocation that the bytes at hand, or the limit given for
//!   what they inflate to, do not justify;
//! - keys and values are slices of the batch, or of the one buffer it was inflated into;
//! - a batch takes as many offsets as it was built with; compaction leaves holes among its records, or no
//!   record at all, but never another span;
//! - base offset and leader epoch lie outside the checksum, so that a log stamps them with 16 bytes.

mod build;
mod compression;
mod deflate;
mod error;
mod header;
mod inflate;
mod record;
mod record_batch;
mod records;
mod varint;
mod xerial;

pub use build::BatchBuilder;
pub use compression::{Compression, UnknownCompression};
pub use error::BatchError;
pub use header::{HEADER_BYTES, Sequenced, is_empty, stamped_head, summary};
pub use record::{HeaderRefs, Record, RecordHeader, RecordRef};
pub use record_batch::RecordBatch;
pub use records::{RecordIter, Records};
