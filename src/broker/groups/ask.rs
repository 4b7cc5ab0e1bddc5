//! What brokers ask of each other about consumer groups: of the leader of the group's coordinator.
//!
//! All of it can be asked again when an answer was lost: a join names its attempt, a draw and a delivery
//! their ticket, a commit the offsets it ends with; the others end in the same state. A change whose
//! answer never comes has an unknown outcome all the same.

use super::deliveries::{Denied, Draw, Move};
use super::describe::{Described, Row};
use super::request::OffsetReset;
use crate::coordinator::{
    Allotment, Committed, Committer, GroupName, MemberId, MemberSpec, OffsetCommit, Partitions,
    Subscription, TopicPartition,
};
use raft::NodeId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request about consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) enum GroupAsk {
    /// A member comes.
    Join { group: GroupName, spec: MemberSpec },
    /// A member lives; the answer waits for news up to `wait`.
    Beat { group: GroupName, member: MemberId, generation: Option<u32>, wait: Duration },
    /// A member wants other topics.
    Subscribe { group: GroupName, member: MemberId, subscription: Subscription },
    /// A member goes; what it has received is committed if it commits so.
    Leave { group: GroupName, member: MemberId },
    /// Offsets are to be stored.
    Commit { group: GroupName, by: Committer, offsets: Vec<OffsetCommit>, metadata_revision: u64 },
    /// What a member has received is to be stored.
    CommitReceived { group: GroupName, member: MemberId },
    /// Stored offsets are to go.
    DeleteOffsets { group: GroupName, partitions: Partitions },
    /// A group without members is to go.
    DeleteGroup { group: GroupName },
    /// The groups of the coordinator.
    List,
    /// A group and what it has stored.
    Describe { group: GroupName },
    /// What a group has stored: for these partitions, or all.
    Committed { group: GroupName, partitions: Option<Vec<TopicPartition>> },
    /// What a member's poll is to read.
    Draw { group: GroupName, member: MemberId, received: Option<u64> },
    /// What a member's poll has read is to be given to it.
    Deliver { group: GroupName, member: MemberId, ticket: u64, moves: Vec<Move> },
    /// A member is to read elsewhere.
    Seek { group: GroupName, member: MemberId, to: Vec<(TopicPartition, u64)> },
    /// Where a member is.
    Positions { group: GroupName, member: MemberId },
}

impl GroupAsk {
    /// Whether it changes what is replicated.
    pub(in crate::broker) fn is_change(&self) -> bool {
        match self {
            Self::Join { .. }
            | Self::Subscribe { .. }
            | Self::Leave { .. }
            | Self::Commit { .. }
            | Self::CommitReceived { .. }
            | Self::DeleteOffsets { .. }
            | Self::DeleteGroup { .. } => true,
            // What they change in passing, a later one of them does.
            Self::Beat { .. }
            | Self::Draw { .. }
            | Self::Deliver { .. }
            | Self::Seek { .. }
            | Self::Positions { .. }
            | Self::List
            | Self::Describe { .. }
            | Self::Committed { .. } => false,
        }
    }

    /// How long it may wait by itself before it is answered.
    pub(in crate::broker) fn wait(&self) -> Duration {
        if let Self::Beat { wait, .. } = self { *wait } else { Duration::ZERO }
    }
}

/// What a request about consumer groups got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) enum GroupReply {
    /// It is done.
    Done,
    /// What a member has.
    Allotment(Allotment),
    /// The groups of a coordinator.
    Groups { leader: NodeId, rows: Vec<Row> },
    /// A group, whole.
    Group { leader: NodeId, described: Box<Described> },
    /// Stored offsets.
    Committed(Vec<(TopicPartition, Option<Committed>)>),
    /// What a poll is to read.
    Drawn(Drawn),
    /// The number of the delivery, or why nothing was given.
    Delivered(Result<u64, Denied>),
    /// Where a member is.
    Positions(Vec<(TopicPartition, Option<u64>)>),
}

/// What a poll is to read, for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Drawn {
    /// What the member has.
    pub(super) allotment: Allotment,
    /// What is to be read.
    pub(super) draw: Draw,
    /// Where to begin where nothing is known.
    pub(super) reset: OffsetReset,
    /// How often the member is to be heard.
    pub(super) beat_every: Duration,
}
