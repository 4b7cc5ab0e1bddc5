//! What was done: the `f` and `v` of an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Commit, Committed, Fault, GroupView, Key, Membership, Micro, Replica, State};

/// A topic that is created, deleted or looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub topic: String,
    /// Whether it exists: the answer to a description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// A topic's setting that is written or read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The topic.
    pub topic: String,
    /// The setting.
    pub name: String,
    /// Its value; `None` if it is asked for, or has none.
    #[serde(default)]
    pub value: Option<u64>,
}

/// What was done. The comment gives the `f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `assign`: read these partitions from now on.
    Assign(Vec<Key>),
    /// `subscribe`: be given partitions of the topics that contain these.
    Subscribe(Vec<Key>),
    /// `send`: only sends.
    Send(Vec<Micro>),
    /// `poll`: only polls.
    Poll(Vec<Micro>),
    /// `txn`: both.
    Txn(Vec<Micro>),
    /// `crash`: the client throws itself away.
    Crash,
    /// `debug-topic-partitions`: an admin's look, for the log only.
    DebugTopicPartitions(Vec<Key>),
    /// `latest`: the end of each log, leadership confirmed.
    Latest(BTreeMap<Key, u64>),
    /// `trim`: nothing below these offsets is kept.
    Trim(BTreeMap<Key, u64>),
    /// `join`
    Join(Membership),
    /// `heartbeat`
    Heartbeat(Membership),
    /// `leave`
    Leave(Membership),
    /// `describe-group`
    DescribeGroup(GroupView),
    /// `commit`
    Commit(Commit),
    /// `committed`
    Committed(Committed),
    /// `create-topic`
    CreateTopic(Topic),
    /// `delete-topic`
    DeleteTopic(Topic),
    /// `describe-topic`
    DescribeTopic(Topic),
    /// `set-config`
    SetConfig(Setting),
    /// `get-config`
    GetConfig(Setting),
    /// `final-read`: a replica's copy, as it serves it.
    FinalRead(Replica),
    /// `replica-dump`: a replica's copy, as it lies on its disk.
    ReplicaDump(Replica),
    /// Any other `f` of the process `nemesis`.
    Fault(Fault),
    /// `state` of the process `observer`.
    State(State),
}

impl Operation {
    /// The `f`.
    pub fn name(&self) -> &str {
        match self {
            Operation::Assign(_) => "assign",
            Operation::Subscribe(_) => "subscribe",
            Operation::Send(_) => "send",
            Operation::Poll(_) => "poll",
            Operation::Txn(_) => "txn",
            Operation::Crash => "crash",
            Operation::DebugTopicPartitions(_) => "debug-topic-partitions",
            Operation::Latest(_) => "latest",
            Operation::Trim(_) => "trim",
            Operation::Join(_) => "join",
            Operation::Heartbeat(_) => "heartbeat",
            Operation::Leave(_) => "leave",
            Operation::DescribeGroup(_) => "describe-group",
            Operation::Commit(_) => "commit",
            Operation::Committed(_) => "committed",
            Operation::CreateTopic(_) => "create-topic",
            Operation::DeleteTopic(_) => "delete-topic",
            Operation::DescribeTopic(_) => "describe-topic",
            Operation::SetConfig(_) => "set-config",
            Operation::GetConfig(_) => "get-config",
            Operation::FinalRead(_) => "final-read",
            Operation::ReplicaDump(_) => "replica-dump",
            Operation::Fault(fault) => &fault.name,
            Operation::State(_) => "state",
        }
    }

    /// The micro-operations of a send, poll or transaction.
    pub fn micros(&self) -> Option<&[Micro]> {
        if let Operation::Send(micros) | Operation::Poll(micros) | Operation::Txn(micros) = self {
            Some(micros)
        } else {
            None
        }
    }
}
