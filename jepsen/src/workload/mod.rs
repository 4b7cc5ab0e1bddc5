//! What clients do while harm is done to the cluster.

mod actor;
mod consumer;
mod load;
mod producer;
mod steward;
mod writer;

use std::fmt;

pub use load::Load;
pub(crate) use load::dice;
pub(crate) use writer::with;

use consumer::Consumer;
use steward::Steward;
use writer::Writer;

/// The group of the workload `group`.
pub const GROUP: &str = "jepsen";

/// Few enough that most records go, and enough that some stay long.
const RECORD_KEYS: u64 = 40;

/// What the clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// They append and read.
    #[default]
    Log,
    /// They append with sequence numbers, again and again until they are answered, and read.
    Idempotent,
    /// Half of them append and read, the others are members of a consumer group.
    Group,
    /// They append records of few keys to a topic that keeps the last of each, and read.
    Compacted,
    /// Most append and read, the others create and delete topics, trim logs and change how long they are kept.
    Topics,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Idempotent => "idempotent",
            Self::Group => "group",
            Self::Compacted => "compacted",
            Self::Topics => "topics",
        })
    }
}

impl Workload {
    /// How many keys the records of a partition have, if all but the last of each may go.
    pub fn record_keys(self) -> Option<u64> {
        (self == Self::Compacted).then_some(RECORD_KEYS)
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What.
    pub workload: Workload,
    /// How many clients.
    pub clients: u32,
    /// How many operations all of them begin in a second, at most.
    pub rate: u32,
    /// All choices follow from it.
    pub seed: u64,
}
