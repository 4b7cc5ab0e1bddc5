//! A handle on one Raft group of this node.

use crate::{Acks, NodeId, Outcome, ReadRefused, Role, Watermark};
use bytes::Bytes;
use storage::{EntryKind, FlushPolicy, GroupId, Header, Index, Log, Offset};
use tokio::sync::watch;
use tokio::time::Instant;

/// How a group is opened on a node.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    /// The group.
    pub id: GroupId,
    /// The voters of a new group; the first is the preferred leader, and stands for election first.
    /// Ignored once the group has a membership in its log. Empty: wait to be added by its leader.
    pub voters: Vec<NodeId>,
    /// When its log is flushed.
    pub flush: FlushPolicy,
}

/// Something to append.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// `Data` (one checked record batch), `Trim` (encoded by [`Group::trim`]) or `Command`.
    pub kind: EntryKind,
    /// The payload.
    pub payload: Bytes,
    /// When it is answered.
    pub acks: Acks,
    /// Append only if the next record would get exactly this offset.
    pub expected_end: Option<Offset>,
}

/// How far a follower is, as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaProgress {
    /// The replica.
    pub node: NodeId,
    /// Whether it votes.
    pub voter: bool,
    /// The last entry it is known to hold.
    pub matching: Option<Index>,
    /// Whether it holds everything that is committed, or was heard of lately and is about to.
    pub in_sync: bool,
}

/// Whether a group works on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupHealth {
    /// It does.
    Running,
    /// It stopped: the text says why. The process lives on for its other groups.
    Broken(String),
}

/// The handle; clones are the same group.
#[derive(Clone)]
pub struct Group {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Group {
    /// Which one.
    pub fn id(&self) -> GroupId {
        todo!()
    }
    /// The replica's role now.
    pub fn role(&self) -> Role {
        todo!()
    }
    /// The replica's role as it changes.
    pub fn watch_role(&self) -> watch::Receiver<Role> {
        todo!()
    }
    /// Who leads, if known (this node included).
    pub fn leader(&self) -> Option<NodeId> {
        todo!()
    }
    /// The watermark now.
    pub fn watermark(&self) -> Watermark {
        todo!()
    }
    /// The watermark as it moves.
    pub fn watch_watermark(&self) -> watch::Receiver<Watermark> {
        todo!()
    }
    /// Whether it works.
    pub fn health(&self) -> GroupHealth {
        todo!()
    }
    /// Voters and learners as of the newest membership in the log.
    pub fn members(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        todo!()
    }
    /// The group's log, for reads of committed records and sizes.
    pub fn log(&self) -> &Log {
        todo!()
    }
    /// Proposes; answers by `deadline` at the latest. Dropping the future does not withdraw it.
    pub async fn propose(&self, proposal: Proposal, deadline: Instant) -> Outcome {
        todo!()
    }
    /// Proposes that the log start at `offset`; every replica then purges whole segments below it.
    pub async fn trim(&self, offset: Offset, deadline: Instant) -> Outcome {
        todo!()
    }
    /// Confirms that this replica leads now and has applied everything committed before the call
    /// (Raft §6.4, ReadIndex): the watermark then is linearizable.
    pub async fn linearize(&self, deadline: Instant) -> Result<Watermark, ReadRefused> {
        todo!()
    }
    /// Committed record batches from the one that holds `from` on, at least one if there is one
    /// below the high watermark, then until `bytes_max`.
    pub async fn read(&self, from: Offset, bytes_max: usize) -> std::io::Result<Vec<Bytes>> {
        todo!()
    }
    /// The header of the first committed data entry whose max timestamp is at least `timestamp`.
    pub async fn find_timestamp(&self, timestamp: i64) -> std::io::Result<Option<Header>> {
        todo!()
    }
    /// Hands leadership to a follower that has everything; returns once it was asked.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ReadRefused> {
        todo!()
    }
    /// The followers, as this leader sees them; `None` if this replica does not lead.
    pub fn replicas(&self) -> Option<Vec<ReplicaProgress>> {
        todo!()
    }
    /// Adds a learner and waits until it has caught up, or `deadline`.
    pub async fn add_learner(&self, node: NodeId, deadline: Instant) -> Result<(), String> {
        todo!()
    }
    /// Makes exactly these nodes the voters (joint consensus); others become learners or leave.
    pub async fn change_voters(&self, voters: &[NodeId], deadline: Instant) -> Result<(), String> {
        todo!()
    }
}
