//! What a partition remembers of its idempotent producers, so that a batch that is sent again is never
//! appended again.
//!
//! ```text
//!   id     ── which producer: allocated, named, or the one-shot producer behind an Idempotency-Key
//!   table  ── what committed batches say: the replicated state, pure, bounded
//!   ledger ── the table with what this leader has proposed and not yet committed; who may go next
//! ```
//!
//! The rules are Kafka's (`ProducerAppendInfo`, KIP-98, KIP-360), with one-shot producers beside them.
//! Sequence numbers count records, from 0, and wrap from `i32::MAX` to 0.

mod id;
mod ledger;
mod table;

pub use id::{KEY_BYTES_MAX, NAME_BYTES_MAX, ProducerId};
pub use ledger::{Change, Claim, Claimed, Ledger, Patience};
pub use table::{REMEMBERED, Refusal, Stored, Table};
