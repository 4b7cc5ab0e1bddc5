//! The commit thread: one per node, the only writer of all logs.
//!
//! One cycle takes what the queue holds and does, for all groups together:
//!
//! ```text
//!   writes, per log in order                (rolls and cuts between them, each durable by itself)
//!   purge points, one state flush, removals (before anything later of the same logs is written)
//!   callbacks of logs that asked for no barrier
//!   one barrier over every segment that needs it
//!   votes, one state flush                  (so a vote is never durable before its log)
//!   all other callbacks, in the order of the queue
//! ```
//!
//! Invariants: a callback is called exactly once. None reports success for what the disk has refused:
//! an error breaks the log for good, and an `fsync` is never asked again, because a second one
//! reports success for pages that the first one lost.

mod cycle;
mod op;
mod queue;
mod stage;
mod thread;

pub(crate) use op::{Completion, Op, Step, Work};
pub(crate) use queue::Queue;
pub(crate) use thread::CommitThread;
