//! When appended entries count as flushed.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When the commit thread completes an append, per log. Votes are always durable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FlushPolicy {
    /// After a barrier that made it durable: the safe default.
    #[default]
    Always,
    /// After the write; a barrier follows within `every`, or after `messages` records.
    Interval {
        /// The longest time between a write and its barrier.
        every: Duration,
        /// The most records between two barriers.
        messages: u64,
    },
    /// After the write; the operating system decides when it reaches the disk.
    Os,
}
