//! What was said to groups, topics and settings.

use super::OpId;
use crate::history::Key;

/// Something said to a group, and its answer.
#[derive(Clone, Debug)]
pub struct GroupAct {
    /// In which operation.
    pub op: OpId,
    /// Which group.
    pub group: u32,
    /// Which member; `None` for a caller outside it.
    pub member: Option<u32>,
    /// The generation that the caller said.
    pub said: Option<u64>,
    /// What exactly.
    pub body: GroupBody,
}

/// What exactly was said to a group.
#[derive(Clone, Debug)]
pub enum GroupBody {
    /// A join or heartbeat; what the answer granted.
    Hold {
        /// The generation told.
        generation: Option<u64>,
        /// The partitions granted.
        assigned: Vec<Key>,
    },
    /// A leave.
    Leave,
    /// The coordinator's view.
    View {
        /// The generation told.
        generation: Option<u64>,
        /// Whether every member has taken what was meant for it.
        stable: bool,
        /// What is meant for each.
        members: Vec<(u32, Vec<Key>)>,
        /// What is subscribed to.
        subscribed: Vec<Key>,
    },
    /// A commit of offsets.
    Commit {
        /// The next offset to read, per partition.
        offsets: Vec<(Key, u64)>,
        /// It may go back.
        reset: bool,
    },
    /// The answer to a question for them.
    Committed {
        /// What was committed, per partition.
        offsets: Vec<(Key, Option<u64>)>,
    },
}

/// Something done to a topic, a setting or a log's start.
#[derive(Clone, Debug)]
pub struct MetadataAct {
    /// In which operation.
    pub op: OpId,
    /// What exactly.
    pub body: MetadataBody,
}

/// What exactly was done.
#[derive(Clone, Debug)]
pub enum MetadataBody {
    /// A topic came to be, or ceased to.
    Exists {
        /// The topic.
        topic: u32,
        /// Whether it exists from then on.
        exists: bool,
    },
    /// A topic was looked for.
    Described {
        /// The topic.
        topic: u32,
        /// Whether it was there; `None` if the answer does not say.
        exists: Option<bool>,
    },
    /// A setting was written; the number names topic and setting.
    Set {
        /// Topic and setting.
        setting: u32,
        /// Its value.
        value: Option<u64>,
    },
    /// A setting was read.
    Got {
        /// Topic and setting.
        setting: u32,
        /// Its value.
        value: Option<u64>,
    },
    /// A log was trimmed.
    Trimmed {
        /// Which.
        key: Key,
        /// Nothing below is kept.
        offset: u64,
    },
}
