//! What consumers say to their group and hear from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Key;

/// A join, heartbeat or leave: who asked, and on completion what was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// The member; empty before the coordinator has named it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub member: String,
    /// The generation that the caller said (invocation) or was told (completion).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The partitions the member may read from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assigned: Vec<Key>,
}

/// The coordinator's own view of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// The group.
    pub group: String,
    /// Its generation; `None` in an invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Whether every member has taken what was meant for it.
    #[serde(default)]
    pub stable: bool,
    /// What is meant for each member in this generation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, Vec<Key>>,
    /// What the members have subscribed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribed: Vec<Key>,
}

/// A commit of offsets: the next offset to read, per partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// Who commits; empty for a caller outside the group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub member: String,
    /// The generation the member believes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The next offset to read, per partition.
    pub offsets: BTreeMap<Key, u64>,
    /// An explicit reset, which may go back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// A question for committed offsets; answered with `None` for a partition that has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The group.
    pub group: String,
    /// What was committed, per partition; empty in an invocation.
    #[serde(default)]
    pub offsets: BTreeMap<Key, Option<u64>>,
}
