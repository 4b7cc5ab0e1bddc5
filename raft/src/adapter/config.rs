//! The types openraft is run with.
//!
//! One leader per term (`leader_id_std`), so a log id is (term, index) and a partition's leader epoch
//! is the term.

use crate::adapter::machine::StateMachine;
use crate::adapter::ticket::{Completion, Ticket};
use bytes::Bytes;
use openraft::impls::{BoxedErrorSource, EmptyNode, TokioRuntime, Vote as RaftVote, leader_id_std};
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, OptionalSend};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use storage::{EntryKind, Index, Offset, Position, Term};

/// The configuration itself: a name without a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(crate) type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
pub(crate) type Vote = RaftVote<LeaderId>;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
pub(crate) type Payload = EntryPayload<Data, u64, EmptyNode>;
pub(crate) type Entry = openraft::Entry<CommittedLeaderId, Payload>;
pub(crate) type Membership = openraft::Membership<u64, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, EmptyNode>;
pub(crate) type Raft = openraft::Raft<Types, StateMachine>;

impl openraft::RaftTypeConfig for Types {
    type D = Data;
    type R = Answer;
    type NodeId = u64;
    type Node = EmptyNode;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Completion<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = Vec<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

/// What the log says of an entry that was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    /// The offset of its first record, or the next record's.
    pub(crate) base_offset: Offset,
    /// Records in it; 0 for what is not data.
    pub(crate) record_count: u32,
}

/// The data of a normal entry: what was proposed, on its way to the log or back from it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Data {
    /// `Data`, `Trim` or `Command`.
    pub(crate) kind: EntryKind,
    /// The payload; of a `Data` entry that is read to be applied only the batch's header.
    pub(crate) payload: Bytes,
    /// Where it stands, once the log has it.
    pub(crate) placed: Option<Placed>,
    /// The proposal it came from; only on the node that proposed it, only on the way to the log.
    #[serde(skip)]
    pub(crate) ticket: Option<Arc<Ticket>>,
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind, self.payload.len())
    }
}

/// What applying an entry answers to its proposer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The offset of the entry's first record, or the next record's.
    pub(crate) base_offset: Offset,
    /// The machine's answer to a command.
    pub(crate) answer: Vec<u8>,
}

/// openraft's name of a position.
pub(crate) fn log_id(position: Position) -> LogId {
    LogId::new_term_index(position.term.get(), position.index.get())
}

/// The position openraft names.
pub(crate) fn position(log_id: &LogId) -> Position {
    Position::new(Term::new(log_id.leader_id.term), Index::new(log_id.index))
}
