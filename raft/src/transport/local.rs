//! What every task of one transport shares.

use super::counters::Traffic;
use super::greeting::Hello;
use super::lane::{Lane, PerLane};
use super::limits::Limits;
use super::node_id::NodeId;
use super::peer::PeerEvent;
use super::tasks::Tasks;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, broadcast};
use uuid::Uuid;

/// Events that a slow listener may fall behind; more than a cluster has nodes.
const EVENTS_MAX: usize = 256;

/// Who we are, what bounds us, what we count and whom we tell.
pub(super) struct Local {
    pub(super) node: NodeId,
    pub(super) disk: Uuid,
    cluster: Mutex<Uuid>,
    pub(super) limits: Limits,
    pub(super) traffic: Arc<Traffic>,
    pub(super) events: broadcast::Sender<PeerEvent>,
    pub(super) tasks: Tasks,
    /// Bytes of request bodies that may still be taken in.
    pub(super) request_bytes: PerLane<Arc<Semaphore>>,
}

impl Local {
    pub(super) fn new(node: NodeId, disk: Uuid, cluster: Uuid, limits: Limits) -> Self {
        let bytes = |lane: Lane| Arc::new(Semaphore::new(*limits.request_bytes_max.of(lane)));
        Self {
            node,
            disk,
            cluster: Mutex::new(cluster),
            limits,
            traffic: Arc::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
            tasks: Tasks::default(),
            request_bytes: PerLane::from_fn(bytes),
        }
    }

    pub(super) fn cluster(&self) -> Uuid {
        *self.cluster.lock().expect("nothing panics under this lock")
    }

    pub(super) fn set_cluster(&self, cluster: Uuid) {
        *self.cluster.lock().expect("nothing panics under this lock") = cluster;
    }

    /// How we greet a peer now.
    pub(super) fn hello(&self, to: NodeId, to_disk: Uuid) -> Hello {
        Hello { from: self.node, to, to_disk, cluster: self.cluster(), disk: self.disk }
    }
}
