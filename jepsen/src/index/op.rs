//! One operation, both ends.

use std::ops::Range;

use crate::history::{Attempt, Key, Outcome, ProducerStamp};

/// An operation's place in [`Index::ops`](super::Index::ops): the order of completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u32);

impl OpId {
    /// The id of a place.
    pub fn at(place: usize) -> OpId {
        OpId(u32::try_from(place).expect("fewer operations than events, which are u32"))
    }

    /// The place of this id.
    pub fn place(self) -> usize {
        usize::try_from(self.0).expect("a u32 fits a usize here")
    }
}

/// What kind of operation this was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Only sends.
    Send,
    /// Only polls; also every part of a copy that is read at the end.
    Poll,
    /// Both.
    Txn,
    /// A manual assignment.
    Assign,
    /// A subscription.
    Subscribe,
    /// The end of a log, asked for.
    Latest,
    /// Something said to a group.
    Group,
    /// Something done to topics, settings or a log's start.
    Metadata,
    /// Anything that no check of records looks at.
    Other,
}

impl Act {
    /// Whether it may carry micro-operations.
    pub fn is_micro(self) -> bool {
        matches!(self, Act::Send | Act::Poll | Act::Txn)
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Op {
    /// Which client.
    pub process: u32,
    /// What kind.
    pub act: Act,
    /// How it ended; one that never ended is `Info`.
    pub outcome: Outcome,
    /// The event that began it.
    pub invoked: u32,
    /// The event that ended it.
    pub completed: Option<u32>,
    /// When it began.
    pub began: u64,
    /// When it ended; when it began if it never did.
    pub ended: u64,
    /// Whether it promised no more than what the asked node knows.
    pub local: bool,
    pub(super) sends: Range<usize>,
    pub(super) readings: Range<usize>,
}

impl Op {
    /// Whether this was over before `later` began.
    pub fn precedes(&self, later: &Op) -> bool {
        self.completed.is_some_and(|completed| completed < later.invoked)
    }
}

/// One record that was sent.
#[derive(Clone, Copy, Debug)]
pub struct SentAt {
    /// To where.
    pub key: Key,
    /// CRC-32C of its bytes, if told.
    pub crc: Option<u32>,
    /// What.
    pub value: u64,
    /// Where the broker said it went.
    pub offset: Option<u64>,
}

/// What is special about a send.
#[derive(Clone, Debug, Default)]
pub struct SendNote {
    /// It was idempotent.
    pub stamp: Option<ProducerStamp>,
    /// The records of one key are one atomic batch.
    pub batch: bool,
    /// The tries it took.
    pub attempts: Vec<Attempt>,
}

/// Which end of a log an answer told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// The first offset that is not committed.
    HighWatermark,
    /// The first offset that is still there.
    LogStart,
}

/// One end of a log that came with an answer.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// With which answer.
    pub op: OpId,
    /// Of which log.
    pub key: Key,
    /// Which end.
    pub kind: MarkKind,
    /// The offset.
    pub offset: u64,
    /// From which node, if told.
    pub node: Option<u32>,
}
