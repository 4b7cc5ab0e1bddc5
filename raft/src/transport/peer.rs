//! Another node as this one sees it: where it is dialled, what waits for it, whether it is there.

use super::calls::Calls;
use super::dialler;
use super::lane::{Lane, PerLane};
use super::local::Local;
use super::node_id::NodeId;
use super::presence::{Arrival, Presence};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use tokio::sync::watch;
use uuid::Uuid;

/// A peer came or went, as far as its connections tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEvent {
    /// We are connected to it, for the first time or after it was down.
    Up(NodeId),
    /// Its process is gone: an established connection closed and its port refuses a new one. A peer
    /// that is slow, stopped or cut off is not reported.
    Down(NodeId),
}

/// All peers by id.
#[derive(Default)]
pub(super) struct Peers {
    by_id: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
}

impl Peers {
    pub(super) fn get(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.by_id.read().expect("nothing panics under this lock").get(&node).map(Arc::clone)
    }

    /// Sets or replaces the address and dials a new peer on every lane.
    pub(super) fn set(&self, local: &Arc<Local>, node: NodeId, address: &str, disk: Option<Uuid>) {
        let mut by_id = self.by_id.write().expect("nothing panics under this lock");
        if let Some(peer) = by_id.get(&node) {
            peer.target.send_if_modified(|target| {
                let moved = target.address != address;
                address.clone_into(&mut target.address);
                target.disk = disk.unwrap_or(target.disk);
                moved
            });
            return;
        }
        let peer = Arc::new(Peer::new(local, node, address, disk));
        by_id.insert(node, Arc::clone(&peer));
        for lane in Lane::ALL {
            let dialling = dialler::run(Arc::clone(local), Arc::clone(&peer), lane);
            local.tasks.spawn("dialler", dialling);
        }
    }

    /// Settles every call: nothing will be sent any more.
    pub(super) fn close(&self) {
        for peer in self.by_id.read().expect("nothing panics under this lock").values() {
            for lane in Lane::ALL {
                peer.calls.of(lane).close();
            }
        }
    }
}

/// Where to dial a peer; each change is a reason to do so at once.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: String,
    /// The disk it is known with, nil if none.
    disk: Uuid,
    greetings: u64,
}

/// One peer.
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) calls: PerLane<Arc<Calls>>,
    target: watch::Sender<Target>,
    presence: Mutex<Presence>,
}

impl Peer {
    fn new(local: &Local, node: NodeId, address: &str, disk: Option<Uuid>) -> Self {
        let disk = disk.unwrap_or_default();
        let queue = &local.limits.queue_bytes_max;
        Self {
            node,
            calls: PerLane::from_fn(|lane| Arc::new(Calls::new(node, *queue.of(lane)))),
            target: watch::Sender::new(Target { address: address.to_owned(), disk, greetings: 0 }),
            presence: Mutex::default(),
        }
    }

    /// Where to dial it, and when that changes.
    pub(super) fn target(&self) -> watch::Receiver<Target> {
        self.target.subscribe()
    }

    /// The disk it is known with, nil if none.
    pub(super) fn disk(&self) -> Uuid {
        self.target.borrow().disk
    }

    /// It has greeted us, so it can surely be dialled.
    pub(super) fn greeted(&self) {
        self.target.send_modify(|target| target.greetings += 1);
    }

    pub(super) fn reachable(&self) -> Result<(), String> {
        self.presence().reachable()
    }

    pub(super) fn refusal(&self) -> Option<String> {
        self.presence().refusal().map(str::to_owned)
    }

    pub(super) fn connected(&self, local: &Local, lane: Lane) {
        let node = self.node;
        match self.presence().connected(lane) {
            Arrival::Peer => {
                tracing::info!(peer = %node, "connected to node {node}");
                // No one may be listening.
                drop(local.events.send(PeerEvent::Up(node)));
            }
            Arrival::Contact => tracing::info!(peer = %node, "connected to node {node} again"),
            Arrival::Lane => tracing::debug!(peer = %node, ?lane, "lane connected"),
        }
    }

    pub(super) fn disconnected(&self, lane: Lane, why: &io::Error) {
        let last = self.presence().broken(lane, &why.to_string());
        let telling = [io::ErrorKind::InvalidData, io::ErrorKind::TimedOut].contains(&why.kind());
        if last || telling {
            tracing::warn!(peer = %self.node, ?lane, "connection to node {} lost: {why}", self.node);
        } else {
            tracing::debug!(peer = %self.node, ?lane, "lane lost: {why}");
        }
    }

    pub(super) fn failed(&self, lane: Lane, why: &str) {
        self.presence().broken(lane, why);
        tracing::debug!(peer = %self.node, ?lane, "dial failed: {why}");
    }

    pub(super) fn refused(&self, lane: Lane, why: &str) {
        if self.presence().refused(lane, why) {
            tracing::warn!(peer = %self.node, "node {} refuses us: {why}", self.node);
        } else {
            tracing::debug!(peer = %self.node, ?lane, "refused again");
        }
    }

    pub(super) fn gone(&self, local: &Local) {
        if self.presence().gone() {
            tracing::debug!(peer = %self.node, "its process is gone");
            // No one may be listening.
            drop(local.events.send(PeerEvent::Down(self.node)));
        }
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().expect("nothing panics under this lock")
    }
}
