//! One replica's copy of one partition, read at the end of a run.

use serde::{Deserialize, Serialize};

use super::{Key, Seen};

/// Where a term begins in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermStart {
    /// The term.
    pub term: u64,
    /// The first offset written in it.
    pub offset: u64,
}

/// A part of one replica's copy. A long copy comes in several events of ascending offsets; the last says
/// `complete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Whose copy.
    pub node: String,
    /// Of which partition.
    pub key: Key,
    /// 0 before the final restart of all nodes, 1 after it.
    #[serde(default)]
    pub round: u32,
    /// The first offset that is still there.
    #[serde(default)]
    pub log_start: u64,
    /// The first offset that is not committed, as this replica knows it.
    pub high_watermark: u64,
    /// The records, ascending.
    #[serde(default)]
    pub records: Vec<Seen>,
    /// Where terms begin, as this replica has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<TermStart>,
    /// Whether this is the last part.
    #[serde(default)]
    pub complete: bool,
}
