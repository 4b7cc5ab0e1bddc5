//! Raft's safety properties, one file each. A test records a `History` while it does its worst, and
//! checks it at the end.

pub mod acknowledged;
pub mod dense_offsets;
pub mod election_safety;
pub mod log_matching;
pub mod state_machine_safety;
pub mod watermark_order;

use crate::harness::Cluster;
use raft::{GroupId, NodeId, Role, Watermark};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A watermark of a replica in one of its runs.
type Seen = (GroupId, NodeId, u64, Watermark);

/// What was seen while a test ran; clones are the same history.
#[derive(Debug, Clone, Default)]
pub struct History {
    runs: Arc<AtomicU64>,
    roles: Arc<Mutex<Vec<(GroupId, NodeId, Role)>>>,
    watermarks: Arc<Mutex<Vec<Seen>>>,
}

impl History {
    /// A name for one run of one replica: between two runs a watermark may go back.
    pub fn new_run(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::Relaxed)
    }

    pub fn role(&self, group: GroupId, node: NodeId, role: Role) {
        self.roles.lock().unwrap().push((group, node, role));
    }

    pub fn watermark(&self, group: GroupId, node: NodeId, run: u64, watermark: Watermark) {
        self.watermarks.lock().unwrap().push((group, node, run, watermark));
    }

    pub fn roles(&self) -> Vec<(GroupId, NodeId, Role)> {
        self.roles.lock().unwrap().clone()
    }

    pub fn watermarks(&self) -> Vec<Seen> {
        self.watermarks.lock().unwrap().clone()
    }
}

/// Checks everything that holds of any history and of the logs as they are now.
pub fn check(cluster: &Cluster, group: u64) {
    election_safety::check(&cluster.history);
    watermark_order::check(&cluster.history);
    let replicas = cluster.replicas(group);
    log_matching::check(&replicas);
    for replica in &replicas {
        dense_offsets::check(replica);
    }
}
