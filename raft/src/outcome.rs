//! What became of a proposal, and why a read was refused. Never wrong about it.

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
