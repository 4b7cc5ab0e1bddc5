//! The first line: what a reader must know before the first event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Key;

/// The version of the format that this crate writes.
pub(super) const FORMAT: u32 = 1;

/// Which partition a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
}

/// How consumers came by their partitions. Skips and repeats between polls are errors only under `assign`:
/// a rebalance moves a subscriber's position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscribedBy {
    /// They chose them.
    #[default]
    Assign,
    /// The group's coordinator did.
    Subscribe,
}

/// When an old generation stops being valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupProtocol {
    /// With the first sign of a newer one.
    Eager,
    /// For a member, when it has acknowledged a newer one; for a partition, when it has another owner.
    #[default]
    Cooperative,
}

/// What takes records away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Retention as well as trims, so a log may start anywhere.
    #[default]
    Limited,
    /// Only trims that a client asks for.
    UntilTrimmed,
}

impl Kept {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_limited(&self) -> bool {
        *self == Self::Limited
    }
}

/// What a reader must know of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The version of the format.
    pub history: u32,
    /// All choices of the run follow from it.
    pub seed: u64,
    /// What was run: `log`, `group`, `idempotent`, `topics`.
    pub workload: String,
    /// Where it ran: environment, kernel, commit, binary, engine, file system; free words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What the keys stand for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<Key, Partition>,
    /// How consumers came by their partitions.
    pub subscribed_by: SubscribedBy,
    /// When an old generation stops being valid.
    pub group_protocol: GroupProtocol,
    /// Whether offsets give an order between writes when looking for cycles.
    pub ww_deps: bool,
    /// Faults that must have had an effect, or the run proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_faults: Vec<String>,
    /// How many keys the records of a partition have, if only compaction takes any away: the record of a value
    /// has that value modulo this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compacted: Option<u64>,
    /// What takes records away.
    #[serde(skip_serializing_if = "Kept::is_limited")]
    pub kept: Kept,
    /// How many replicas of each partition are read at the end; 0 if the run plans no final reads.
    pub final_replicas: u32,
}

impl Default for Header {
    fn default() -> Header {
        Header {
            history: FORMAT,
            seed: 0,
            workload: "log".to_owned(),
            environment: BTreeMap::new(),
            nodes: Vec::new(),
            keys: BTreeMap::new(),
            subscribed_by: SubscribedBy::Assign,
            group_protocol: GroupProtocol::Cooperative,
            ww_deps: true,
            required_faults: Vec::new(),
            compacted: None,
            kept: Kept::Limited,
            final_replicas: 0,
        }
    }
}

impl Header {
    /// A key as a person names it: `orders/3`, or `partition 3`.
    pub fn name_of(&self, key: Key) -> String {
        match self.keys.get(&key) {
            Some(Partition { topic, partition }) => format!("{topic}/{partition}"),
            None => format!("partition {key}"),
        }
    }
}
