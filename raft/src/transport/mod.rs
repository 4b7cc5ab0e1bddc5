//! Framed TCP between nodes. Each node dials each peer once per lane; a dialled connection carries the
//! dialler's requests and the peer's replies. A frame packs every message that waits, so the
//! heartbeats of hundreds of groups leave in one write.

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use storage::GroupId;
use tokio::net::TcpListener;
use tokio::time::Instant;
use uuid::Uuid;

/// Names a node of the cluster, from 1.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which connection a request takes; a slow one never holds up another lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes, heartbeats, leadership transfer: small and urgent.
    Control,
    /// AppendEntries with payload, markers.
    Data,
    /// Calls of the floors above: forwarded produce and fetch, status.
    Call,
}

/// What the peer said of itself when it connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who dials.
    pub from: NodeId,
    /// Whom it means to reach.
    pub to: NodeId,
    /// Its cluster, nil before it belongs to one.
    pub cluster: Uuid,
    /// The identity of its disk: made once per data directory.
    pub disk: Uuid,
}

/// A request from a peer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who sent it.
    pub from: NodeId,
    /// The lane it came by.
    pub lane: Lane,
    /// What it is: the floor that speaks on this lane knows.
    pub kind: u8,
    /// The group it is for.
    pub group: GroupId,
    /// The body, a slice of the connection's read buffer.
    pub body: Bytes,
}

/// Serves what peers ask. Each request runs as a task of its own.
pub trait Handler: Send + Sync + 'static {
    /// Whether the peer may talk to us; the text says why not and is sent to it.
    fn admit(&self, hello: &Hello) -> Result<(), String>;
    /// Answers one request; the reply's pieces are written without joining them.
    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>>;
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// It never left this node: the peer has certainly not seen it.
    #[error("node {to}: not sent: {why}")]
    NotSent {
        /// The peer.
        to: NodeId,
        /// Why.
        why: String,
    },
    /// It may have been served.
    #[error("node {to}: no answer: {why}")]
    Unanswered {
        /// The peer.
        to: NodeId,
        /// Why.
        why: String,
    },
}

/// Who we are to peers.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// This node.
    pub node: NodeId,
    /// The identity of our data directory.
    pub disk: Uuid,
    /// Our cluster, nil before we belong to one.
    pub cluster: Uuid,
}

/// All connections of a node; clones are the same transport.
#[derive(Clone)]
pub struct Transport {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Transport {
    /// Listens and serves.
    pub fn start(
        options: TransportOptions,
        listener: TcpListener,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        todo!()
    }
    /// Tells where a peer is reached (`host:port`); replaces an older address.
    pub fn set_peer(&self, node: NodeId, address: &str) {
        todo!()
    }
    /// From now on we say this cluster in our greeting.
    pub fn set_cluster(&self, cluster: Uuid) {
        todo!()
    }
    /// Our own listening address.
    pub fn local_address(&self) -> SocketAddr {
        todo!()
    }
    /// Whether a connection to the peer is up or could be had lately, and its last error if not.
    pub fn reachable(&self, node: NodeId) -> Result<(), String> {
        todo!()
    }
    /// Sends a request and waits for its reply until `deadline`.
    pub async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        kind: u8,
        group: GroupId,
        body: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        todo!()
    }
    /// Closes every connection and joins every task.
    pub async fn shutdown(&self) {
        todo!()
    }
}
