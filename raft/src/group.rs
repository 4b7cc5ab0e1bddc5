//! A handle on one Raft group of this node.

use crate::adapter::config::Raft;
use crate::adapter::log_store::blocking;
use crate::adapter::machine::trim_payload;
use crate::adapter::replica::Replica;
use crate::proposal::{Ordered, Proposal, Room, leading_term, propose};
use crate::pulse::Pulse;
use crate::{Acks, NodeId, NotAppended, Outcome, ReadRefused, Role, Timing, Watermark};
use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::impls::EmptyNode;
use openraft::{Instant as _, ReadPolicy};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use storage::{EntryKind, FlushPolicy, GroupId, Header, Index, Log, Offset, Roll, Term, planted};
use tokio::sync::{RwLock, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Entries a follower may lack and still be about to have everything: a few full AppendEntries.
const IN_SYNC_LAG_MAX: u64 = 4096;

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
    /// When its log begins a segment.
    pub roll: Roll,
}

/// How far a follower is, as its leader sees it.
#[expect(clippy::struct_excessive_bools, reason = "two facts, independent of each other")]
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
pub struct Group {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of a group share.
pub(crate) struct Inner {
    pub(crate) id: GroupId,
    pub(crate) node: NodeId,
    pub(crate) timing: Timing,
    pub(crate) log: Log,
    pub(crate) raft: Raft,
    pub(crate) replica: Arc<Replica>,
    pub(crate) role: watch::Sender<Role>,
    pub(crate) broken: Mutex<Option<String>>,
    /// Bytes in flight, of all groups.
    pub(crate) room: Room,
    /// Who may append data: many, or one that knows the end.
    pub(crate) turns: Arc<RwLock<()>>,
    pub(crate) pulse: Pulse,
    pub(crate) closing: CancellationToken,
}

impl Inner {
    pub(crate) fn health(&self) -> GroupHealth {
        match self.broken.lock().expect("nobody panics with it").clone() {
            Some(why) => GroupHealth::Broken(why),
            None => GroupHealth::Running,
        }
    }

    /// Why its core takes nothing any more.
    pub(crate) fn stopped(&self) -> NotAppended {
        match self.health() {
            GroupHealth::Broken(why) => NotAppended::Broken(why),
            GroupHealth::Running if self.closing.is_cancelled() => NotAppended::ShuttingDown,
            GroupHealth::Running => NotAppended::Broken("its core has stopped".into()),
        }
    }
}

impl Group {
    /// Which one.
    pub fn id(&self) -> GroupId {
        self.inner.id
    }

    /// The replica's role now.
    pub fn role(&self) -> Role {
        *self.inner.role.borrow()
    }

    /// The replica's role as it changes.
    pub fn watch_role(&self) -> watch::Receiver<Role> {
        self.inner.role.subscribe()
    }

    /// Who leads, if known (this node included).
    pub fn leader(&self) -> Option<NodeId> {
        match self.role() {
            Role::Following { leader, .. } => leader,
            Role::Electing { .. } => None,
            Role::Taking { .. } | Role::Leading { .. } => Some(self.inner.node),
        }
    }

    /// The watermark now.
    pub fn watermark(&self) -> Watermark {
        let watermark = *self.inner.replica.watermark.borrow();
        if planted!(ServeUncommitted) {
            let high_watermark = self.inner.log.state().next_offset;
            return Watermark { high_watermark, ..watermark };
        }
        watermark
    }

    /// The watermark as it moves.
    pub fn watch_watermark(&self) -> watch::Receiver<Watermark> {
        self.inner.replica.watermark.subscribe()
    }

    /// Whether it works.
    pub fn health(&self) -> GroupHealth {
        self.inner.health()
    }

    /// Voters and learners as of the newest membership in the log.
    pub fn members(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters = membership.voter_ids().map(NodeId).collect();
        (voters, membership.learner_ids().map(NodeId).collect())
    }

    /// The group's log, for reads of committed records and sizes.
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Proposes; answers by `deadline` at the latest. Dropping the future does not withdraw it.
    ///
    /// # Panics
    /// If a data payload is no record batch: the doors check them, and one that got by would stop the
    /// group on every replica.
    pub async fn propose(&self, proposal: Proposal, deadline: Instant) -> Outcome {
        propose(&self.inner, proposal, None, deadline).await
    }

    /// The same for one that keeps an order with others. Its witness hears of it to its end, whether or
    /// not this future is still there.
    pub async fn propose_ordered(
        &self,
        proposal: Proposal,
        ordered: Ordered,
        deadline: Instant,
    ) -> Outcome {
        propose(&self.inner, proposal, Some(ordered), deadline).await
    }

    /// The term this replica leads, ready to serve: everything that was committed before it is applied.
    /// Waits while it is taking leadership.
    pub async fn leading(&self, deadline: Instant) -> Result<Term, NotAppended> {
        leading_term(&self.inner, deadline).await
    }

    /// Proposes that the log start at `offset`; every replica then purges whole segments below it.
    pub async fn trim(&self, offset: Offset, deadline: Instant) -> Outcome {
        let proposal = Proposal {
            kind: EntryKind::Trim,
            payload: trim_payload(offset),
            acks: Acks::Quorum,
            expected_end: None,
        };
        self.propose(proposal, deadline).await
    }

    /// Confirms that this replica leads now and has applied everything committed before the call
    /// (Raft §6.4, ReadIndex): the watermark then is linearizable.
    pub async fn linearize(&self, deadline: Instant) -> Result<Watermark, ReadRefused> {
        if let GroupHealth::Broken(why) = self.health() {
            return Err(ReadRefused::Broken(why));
        }
        let leads = matches!(self.role(), Role::Leading { .. });
        if leads && (planted!(NoReadIndex) || planted!(ServeDeposed)) {
            return Ok(self.watermark());
        }
        let confirmed = self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match timeout_at(deadline, confirmed).await {
            Ok(Ok(_read_log_id)) => Ok(self.watermark()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(ReadRefused::NotLeader { leader: forward.leader_id.map(NodeId) })
            }
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) => {
                Err(ReadRefused::TimedOut)
            }
            Ok(Err(RaftError::Fatal(fatal))) => Err(ReadRefused::Broken(fatal.to_string())),
            Err(_elapsed) => Err(ReadRefused::TimedOut),
        }
    }

    /// Committed record batches from the one that holds `from` on, at least one if there is one
    /// below the high watermark, then until `bytes_max`. Below the log start there is nothing.
    pub async fn read(&self, from: Offset, bytes_max: usize) -> io::Result<Vec<Bytes>> {
        let watermark = self.watermark();
        if from < watermark.log_start || from >= watermark.high_watermark {
            return Ok(Vec::new());
        }
        let log = self.inner.log.clone();
        blocking(move || log.read(from, watermark.high_watermark, bytes_max)).await
    }

    /// The header of the first committed data entry that ends after `from` and whose max timestamp is
    /// at least `timestamp`.
    pub async fn find_timestamp(&self, timestamp: i64, from: Offset) -> io::Result<Option<Header>> {
        let watermark = self.watermark();
        let log = self.inner.log.clone();
        let found = blocking(move || log.find_timestamp(timestamp, from)).await?;
        Ok(found.filter(|header| header.next_offset() <= watermark.high_watermark))
    }

    /// Hands leadership to a follower that has everything; returns once it was asked.
    /// `TimedOut` if that follower is not in sync: nothing was done.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ReadRefused> {
        let Some(replicas) = self.replicas() else {
            return Err(ReadRefused::NotLeader { leader: self.leader() });
        };
        if !replicas.iter().any(|replica| replica.node == to && replica.voter && replica.in_sync) {
            return Err(ReadRefused::TimedOut);
        }
        let asked = self.inner.raft.trigger().transfer_leader(to.0).await;
        asked.map_err(|fatal| ReadRefused::Broken(fatal.to_string()))
    }

    /// The followers, as this leader sees them; `None` if this replica does not lead.
    pub fn replicas(&self) -> Option<Vec<ReplicaProgress>> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let committed = metrics.local_committed.map_or(0, |committed| committed.index);
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let lately = self.inner.timing.election_max;
        let heard = |node: &u64| {
            let at = metrics.heartbeat.as_ref().and_then(|all| all.get(node));
            at.and_then(Option::as_ref).is_some_and(|at| at.elapsed() < lately)
        };
        let followers = replication.iter().filter(|(node, _)| **node != self.inner.node.0);
        Some(
            followers
                .map(|(node, matching)| {
                    let matched = matching.map_or(0, |matching| matching.index);
                    let lag = committed.saturating_sub(matched);
                    ReplicaProgress {
                        node: NodeId(*node),
                        voter: voters.contains(node),
                        matching: matching.map(|matching| Index::new(matching.index)),
                        in_sync: heard(node) && matching.is_some() && lag <= IN_SYNC_LAG_MAX,
                    }
                })
                .collect(),
        )
    }

    /// Adds a learner and waits until it has caught up, or `deadline`.
    pub async fn add_learner(&self, node: NodeId, deadline: Instant) -> Result<(), String> {
        let added = self.inner.raft.add_learner(node.0, EmptyNode::default(), true);
        match timeout_at(deadline, added).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("learner {node} had not caught up by the deadline")),
        }
    }

    /// Makes exactly these nodes the voters (joint consensus); others become learners or leave.
    pub async fn change_voters(&self, voters: &[NodeId], deadline: Instant) -> Result<(), String> {
        let voters: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
        match timeout_at(deadline, self.inner.raft.change_membership(voters, false)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("the change of voters was not committed by the deadline".into()),
        }
    }
}
