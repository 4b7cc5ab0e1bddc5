//! What the floor above does with requests of peers.

use super::greeting::Hello;
use super::lane::Lane;
use super::node_id::NodeId;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use storage::GroupId;

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
    /// The body, a slice of the connection's read buffer: who keeps a few bytes of it for long
    /// copies them, or keeps the whole frame.
    pub body: Bytes,
}

/// Serves what peers ask. Each request runs as a task of its own: two requests of one connection may
/// overtake each other. The task runs to its end even if the connection is lost, but is dropped when
/// the transport shuts down.
pub trait Handler: Send + Sync + 'static {
    /// Whether the peer may talk to us; the text says why not and is sent to it.
    fn admit(&self, hello: &Hello) -> Result<(), String>;
    /// Answers one request; the reply's pieces are written without joining them.
    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>>;
}
