//! The name of a node.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a node of the cluster, from 1.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl NodeId {
    /// Whoever listens at an address: to greet a node whose id is not known yet. No node has it.
    pub const WHOEVER: Self = Self(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
