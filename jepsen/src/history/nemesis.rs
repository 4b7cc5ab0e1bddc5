//! What was done to the cluster, and what was seen of it from outside.
//!
//! A fault measures its own effect: a kill that advanced no term, a power cut that discarded no byte and a
//! cut link that dropped no packet have proved nothing, and the run is `unknown`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Key;

/// What a line of the nemesis tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultStage {
    /// The fault begins to act.
    Inject,
    /// It no longer acts.
    Heal,
    /// It came and went in one instant.
    Once,
    /// Nothing was done: the environment cannot, or no target fitted.
    Skip,
}

/// One act of the nemesis; its name is the event's `f`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The fault's name: `kill-leader`, `power-cut`, `slow-link`, …
    #[serde(skip)]
    pub name: String,
    /// Which injection this belongs to: `inject` and `heal` of one fault share it.
    #[serde(default)]
    pub id: u64,
    /// Beginning, end, or neither.
    pub stage: FaultStage,
    /// The nodes it hits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The partitions it aims at, as their leader or their coordinator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// What it measurably did, with the unit in the name: `terms_advanced`, `bytes_discarded`,
    /// `packets_dropped`, `syscalls_failed`. Told with the heal, or with the injection if it is `once`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effect: BTreeMap<String, u64>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How a node looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Its process runs and nothing is done to it.
    Up,
    /// It has no process.
    Down,
    /// Its process is stopped.
    Paused,
    /// Some of its links are cut, slow or lossy.
    Cut,
    /// Its disk fails, lies, is full or is slow.
    DiskFault,
}

/// Who leads a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The leader, if any is known.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
}

/// What the observer saw since its last line: only what changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Nodes whose state changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, NodeState>,
    /// Partitions whose leader changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaders: BTreeMap<Key, Leadership>,
}
