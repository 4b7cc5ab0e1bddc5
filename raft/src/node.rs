//! All groups of a process.

use crate::transport::Handler;
use crate::{CallError, Group, GroupSpec, Machine, NodeId};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use storage::{GroupId, Store};
use tokio::net::TcpListener;
use tokio::time::Instant;
use uuid::Uuid;

/// Raft's clock. `heartbeat < election_min < election_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// The longest.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(600),
            election_max: Duration::from_millis(1000),
        }
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct NodeOptions {
    /// This node.
    pub id: NodeId,
    /// The identity of its data directory.
    pub disk: Uuid,
    /// The cluster, nil before it belongs to one.
    pub cluster: Uuid,
    /// Its logs.
    pub store: Store,
    /// Raft's clock.
    pub timing: Timing,
    /// The most payload bytes that wait to be committed over all groups; beyond it: `Busy`.
    pub proposal_bytes_max: usize,
}

/// The node; clones are the same node.
#[derive(Clone)]
pub struct Node {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Node {
    /// Starts transport and ticker. `upper` admits peers and serves the `Call` lane.
    pub async fn start(
        options: NodeOptions,
        listener: TcpListener,
        upper: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        todo!()
    }
    /// This node's id.
    pub fn id(&self) -> NodeId {
        todo!()
    }
    /// Opens a group: recovers its log, starts its Raft core. A corrupt log is an error here, and
    /// the group is listed as broken; other groups go on.
    pub async fn open(&self, spec: GroupSpec, machine: Box<dyn Machine>) -> io::Result<Group> {
        todo!()
    }
    /// A group that is open here.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        todo!()
    }
    /// All groups that are open here.
    pub fn groups(&self) -> Vec<Group> {
        todo!()
    }
    /// Groups that could not be opened or stopped, with the reason.
    pub fn broken(&self) -> Vec<(GroupId, String)> {
        todo!()
    }
    /// Stops a group and deletes its log; its disk space returns.
    pub async fn remove(&self, id: GroupId) -> io::Result<()> {
        todo!()
    }
    /// Tells where a peer is reached.
    pub fn set_peer(&self, node: NodeId, address: &str) {
        todo!()
    }
    /// From now on we say this cluster to peers.
    pub fn set_cluster(&self, cluster: Uuid) {
        todo!()
    }
    /// Whether the peer can be reached, with the last error if not.
    pub fn reachable(&self, node: NodeId) -> Result<(), String> {
        todo!()
    }
    /// Calls the floor above on another node (its `Handler`), on the `Call` lane.
    pub async fn call(
        &self,
        to: NodeId,
        kind: u8,
        group: GroupId,
        body: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        todo!()
    }
    /// Hands leaderships over where it can, stops every group, closes connections and joins tasks.
    pub async fn shutdown(&self) {
        todo!()
    }
}
