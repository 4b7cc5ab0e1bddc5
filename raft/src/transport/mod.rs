//! Framed TCP between nodes. Each node dials each peer once per lane; a dialled connection carries the
//! dialler's requests and the peer's replies. A frame packs every message that waits, so the
//! heartbeats of hundreds of groups leave in one write.
//!
//! ```text
//! Transport::call ─▶ Calls ─▶ dialler ══ greeting, frames ══▶ listener ─▶ serving ─▶ Handler
//!                      ▲         │                                          │
//!                      ╰─ reply ─┴═════════════════ frames ═════════════════╯
//! ```
//!
//! | file        | noun                                                                |
//! |-------------|---------------------------------------------------------------------|
//! | `frame`     | the bytes of messages, packed and taken apart                       |
//! | `greeting`  | the first exchange on a connection                                  |
//! | `wire`      | a socket in frames                                                  |
//! | `calls`     | what waits for the socket or for a reply; decides what a call was   |
//! | `dialler`   | keeps a lane connected and uses it                                  |
//! | `listener`  | accepts and admits                                                  |
//! | `serving`   | requests of one inbound connection, with back-pressure              |
//! | `peer`      | a peer's address, lanes and `presence`                              |
//! | `local`     | what all tasks share: identity, `limits`, `counters`, `tasks`       |
//!
//! Invariants: every queue is bounded (`limits`); `CallError::NotSent` means that no byte of the
//! request was handed to a socket; nothing of ours waits for a peer without a deadline.

mod backoff;
mod call_error;
mod calls;
mod counters;
mod dialler;
mod frame;
mod greeting;
mod handler;
mod lane;
mod limits;
mod listener;
mod local;
mod node_id;
mod peer;
mod presence;
mod serving;
mod tasks;
mod wire;

pub use call_error::CallError;
pub use counters::Counters;
pub use frame::MESSAGE_BYTES_MAX;
pub use greeting::Hello;
pub use handler::{Handler, Request};
pub use lane::{Lane, PerLane};
pub use limits::*;
pub use node_id::NodeId;
pub use peer::PeerEvent;

use bytes::Bytes;
use calls::Ask;
use listener::Listener;
use local::Local;
use peer::Peers;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use storage::GroupId;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::Instant;
use uuid::Uuid;

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
pub struct Transport {
    local: Arc<Local>,
    peers: Arc<Peers>,
    address: SocketAddr,
}

impl Transport {
    /// Listens and serves, within the default [`Limits`]. Must be called inside a tokio runtime.
    pub fn start(
        options: TransportOptions,
        listener: TcpListener,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        Self::start_within(Limits::default(), options, listener, handler)
    }

    /// Listens and serves within these limits.
    #[expect(clippy::needless_pass_by_value, reason = "a start consumes its options")]
    pub fn start_within(
        limits: Limits,
        options: TransportOptions,
        listener: TcpListener,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let TransportOptions { node, disk, cluster } = options;
        let local = Arc::new(Local::new(node, disk, cluster, limits));
        let peers = Arc::new(Peers::default());
        let accepting = Listener::new(Arc::clone(&local), Arc::clone(&peers), handler);
        local.tasks.spawn("listener", Arc::new(accepting).run(listener));
        Ok(Self { local, peers, address })
    }

    /// Tells where a peer is reached (`host:port`) and dials it; replaces an older address. This node
    /// itself is no peer and is ignored.
    pub fn set_peer(&self, node: NodeId, address: &str) {
        if node != self.local.node {
            self.peers.set(&self.local, node, address, None);
        }
    }

    /// The same for a peer whose disk is known: from now on only a node with that disk is talked to.
    pub fn set_peer_with_disk(&self, node: NodeId, address: &str, disk: Uuid) {
        if node != self.local.node {
            self.peers.set(&self.local, node, address, Some(disk));
        }
    }

    /// From now on we say this cluster in our greeting.
    pub fn set_cluster(&self, cluster: Uuid) {
        self.local.set_cluster(cluster);
    }

    /// Our own listening address.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a connection to the peer is up, and what went wrong last if none is.
    pub fn reachable(&self, node: NodeId) -> Result<(), String> {
        match self.peers.get(node) {
            Some(peer) => peer.reachable(),
            None => Err("its address is unknown".into()),
        }
    }

    /// The peer's words, if it refused our greeting when it was last dialled.
    pub fn refused_by(&self, node: NodeId) -> Option<String> {
        self.peers.get(node)?.refusal()
    }

    /// Tells of peers that come and go from now on. `Down` means that the process is gone, well
    /// before an election timeout; silence means nothing.
    pub fn peer_events(&self) -> broadcast::Receiver<PeerEvent> {
        self.local.events.subscribe()
    }

    /// What was sent and received since the start.
    pub fn counters(&self) -> Counters {
        self.local.traffic.snapshot()
    }

    /// Sends a request and waits for its reply until `deadline`. Dropped, it is forgotten; the peer
    /// may serve it all the same.
    #[expect(clippy::too_many_arguments, reason = "each is one part of the request")]
    pub async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        kind: u8,
        group: GroupId,
        body: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let Some(peer) = self.peers.get(to) else {
            return Err(CallError::NotSent { to, why: "its address is unknown".into() });
        };
        let ticket = peer.calls.of(lane).enqueue(Ask { kind, group, body }, deadline)?;
        ticket.wait(deadline).await
    }

    /// Closes every connection, settles every call and joins every task.
    pub async fn shutdown(&self) {
        self.local.tasks.stop().await;
        self.peers.close();
    }
}
