//! What became of a proposal, and why a read was refused. Never wrong about it.
//!
//! Three sources are put together, each with one meaning:
//! - openraft's answer: `ForwardToLeader` is given before a proposal gets an index, so it is definite;
//!   `LogEntryDiscarded` is given when our entry is cut, and another leader may have committed it.
//! - the proposal's ticket, marked by our own log right before the entry is handed to it. When the core
//!   stops it drops its responders without a word; the mark says whether the log may have the entry.
//! - the deadline. A proposal that still waits in the core's queue cannot be called back, and the core
//!   would append it even if its proposer is gone: so a deadline is `Unknown`, ticket or not. Only while
//!   nothing is in the core's hands (waiting for bytes, for its turn, for the lease) is it definite.
//!
//! | what ended it | in the core's hands | handed to the log | outcome |
//! |---|---|---|---|
//! | not leading, broken, closing, busy, conflict | no | no | `NotAppended` |
//! | deadline, before it was in the core's hands | no | no | `NotAppended(Busy)`, or `NotLeader` if the lease is why |
//! | refused for a stale lease | no more | no | tried again, then `NotAppended(NotLeader)` |
//! | refused: other term, or leadership is being handed over | no more | no | `NotAppended(NotLeader)` |
//! | core stopped | no more | no | `NotAppended(Broken or ShuttingDown)` |
//! | core stopped | no more | yes | `Unknown` |
//! | entry discarded | no more | yes | `Unknown` |
//! | deadline | yes | either | `Unknown` |
//! | applied | no more | yes | `Appended` |

use crate::NodeId;
use serde::{Deserialize, Serialize};
use storage::{Offset, Position};

/// When a proposal is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Acks {
    /// Committed: flushed by the log's policy on a majority. The default.
    #[default]
    Quorum,
    /// Flushed (by the log's policy) on the leader alone.
    Leader,
    /// Handed to the leader's log.
    None,
}

/// Where a proposal went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The entry.
    pub position: Position,
    /// The offset of its first record (data), or the next record's offset.
    pub base_offset: Offset,
    /// The machine's answer to a command; empty for data and trims.
    pub answer: Vec<u8>,
}

/// Why a proposal certainly did not enter the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    /// Another node leads, or nobody does, or this one is not ready yet. Retry elsewhere or later.
    #[error("this replica does not lead (leader: {})", match leader { Some(node) => node.to_string(), None => "unknown".into() })]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The end of the log is not where the caller said.
    #[error("the log ends at offset {end}")]
    Conflict {
        /// The offset the next record would get.
        end: Offset,
    },
    /// Too many bytes are waiting to be committed. Retry later.
    #[error("the queue of proposals is full")]
    Busy,
    /// The group is broken on this node.
    #[error("the group is stopped: {0}")]
    Broken(String),
    /// The group or the node is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log, by the acknowledgement asked for.
    Appended(Appended),
    /// It is certainly not in the log, and never will be.
    NotAppended(NotAppended),
    /// It may be, or may become, committed: leadership was lost, or time ran out.
    Unknown(String),
}

/// Why a read cannot be served here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefused {
    /// Another node leads, or nobody does.
    #[error("this replica does not lead")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Leadership could not be confirmed in time.
    #[error("leadership could not be confirmed in time")]
    TimedOut,
    /// The group is broken on this node.
    #[error("the group is stopped: {0}")]
    Broken(String),
}
