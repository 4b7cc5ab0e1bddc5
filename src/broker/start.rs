//! Bringing a broker up and down, in order.

use super::admission::Admission;
use super::gate::Gate;
use super::groups::WAITING_BEATS_MAX;
use super::membership::VOTERS_MAX;
use super::serve::Door;
use super::{Broker, Inner, default_partitioner};
use crate::config::{Bootstrap, Founder};
use crate::metadata::reconcile::Held;
use crate::metadata::settings::Tuning;
use crate::metadata::{METADATA_GROUP, MetadataMachine, Registration, identity};
use crate::tasks::Tasks;
use raft::{GroupSpec, Node, NodeId, NodeOptions, Timing};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How long the broker's own tasks may take to end.
const TASKS_PATIENCE: Duration = Duration::from_secs(5);

/// What one broker works on at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Fetches being answered or waiting.
    pub fetches_max: usize,
    /// Bytes of produce requests.
    pub produce_bytes_max: usize,
    /// Payload bytes that wait to be committed.
    pub proposal_bytes_max: usize,
}

/// How a broker is started.
pub struct BrokerOptions {
    /// Its id.
    pub id: NodeId,
    /// Its logs.
    pub store: Store,
    /// Raft's clock.
    pub timing: Timing,
    /// Where others are told to reach its HTTP interface.
    pub http: String,
    /// Where peers are told to reach it.
    pub peer: String,
    /// Its rack.
    pub rack: Option<String>,
    /// How it finds its cluster at its first start.
    pub bootstrap: Bootstrap,
    /// What it works on at most.
    pub limits: BrokerLimits,
    /// Between two looks at what retention removes; at what compaction does, if that is sooner than it
    /// looks by itself.
    pub retention_check: Duration,
    /// How many coordinators of consumer groups are made, when the first group comes.
    pub coordinators: u32,
    /// How long a consumer group that changed waits for more changes before it is assigned anew.
    pub rebalance_delay: Duration,
}

impl Broker {
    /// Starts the broker: identity, peers, metadata, then the tasks that follow it. It serves once
    /// [`Broker::ready`] says so.
    pub async fn start(options: BrokerOptions, listener: TcpListener) -> io::Result<Self> {
        let BrokerOptions { id, store, timing, http, peer, rack, bootstrap, .. } = options;
        let (limits, retention_check) = (options.limits, options.retention_check);
        let (coordinators_wanted, rebalance_delay) =
            (options.coordinators, options.rebalance_delay);
        let (founders, join) = beginnings(id, bootstrap);
        let founder_ids = founders.iter().map(|founder| NodeId(founder.id)).collect();
        let identity = identity::Identity::open(store.state(), id, founder_ids)?;
        let known = identity::peers(store.state())?;
        if identity.founders.is_empty() && join.is_empty() && known.is_empty() {
            let message = "the data directory belongs to a node that has not joined yet: \
                           say whom to join with --join";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (disk, cluster) = (identity.disk, identity.cluster);
        let voters = identity.founders.clone();
        let gate = Arc::new(Gate::new(identity, known.clone()));
        let door = Arc::new(Door::new(Arc::clone(&gate)));
        let node_options = NodeOptions {
            id,
            disk,
            cluster,
            store: store.clone(),
            timing,
            proposal_bytes_max: limits.proposal_bytes_max,
        };
        let handler: Arc<Door> = Arc::clone(&door);
        let node = Node::start(node_options, listener, handler).await?;
        introduce(&node, &known, &founders);
        let (machine, images) = MetadataMachine::new();
        let Tuning { flush, roll } = Tuning::of_commands(store.segment_bytes());
        let spec = GroupSpec { id: METADATA_GROUP, voters: voters.clone(), flush, roll };
        let metadata = node.open(spec, Box::new(machine)).await?;
        let mut on_disk = store.groups()?;
        on_disk.retain(|group| *group != METADATA_GROUP);
        let inner = Arc::new(Inner {
            me: Registration { id, http, peer, rack, disk },
            founders: voters,
            join,
            gate,
            metadata,
            images,
            held: watch::Sender::new(on_disk.into_iter().map(|id| (id, Held::Closed)).collect()),
            reconciled: watch::Sender::new(0),
            refused: watch::Sender::new(None),
            hints: super::route::Hints::default(),
            replicated: std::sync::Mutex::default(),
            producer_ids: std::sync::Mutex::new(0..0),
            admission: Admission::new(limits.fetches_max, limits.produce_bytes_max),
            turn: Semaphore::new(1),
            coordinators_wanted,
            coordinators: std::sync::Mutex::default(),
            rebalance_delay,
            waiting_beats: Semaphore::new(WAITING_BEATS_MAX),
            partitioner: default_partitioner(),
            round: std::sync::Mutex::default(),
            tasks: Tasks::new(),
            node,
            store,
        });
        door.open(&inner);
        inner.begin(retention_check);
        Ok(Self { inner })
    }

    /// Ends the broker's tasks, hands leaderships over and stops every group. The store stays open.
    pub async fn shutdown(&self) {
        self.inner.tasks.close(TASKS_PATIENCE).await;
        self.inner.node.shutdown().await;
    }
}

impl Inner {
    /// Starts the tasks that go on until the broker shuts down.
    fn begin(self: &Arc<Self>, retention_check: Duration) {
        self.tasks.spawn("reconcile", Arc::clone(self).reconcile());
        self.tasks.spawn("register", Arc::clone(self).keep_registered());
        self.tasks.spawn("steward", Arc::clone(self).look_after_metadata());
        self.tasks.spawn("balance", Arc::clone(self).balance());
        self.tasks.spawn("retention", Arc::clone(self).retain(retention_check));
        self.tasks.spawn_to_end("compaction", Arc::clone(self).compact(retention_check));
    }
}

/// Tells the transport of the peers that are known, and of the founders: what was noted last goes before
/// what was true at the first start.
fn introduce(node: &Node, known: &[Registration], founders: &[Founder]) {
    for peer in known {
        node.set_peer_with_disk(peer.id, &peer.peer, peer.disk);
    }
    let is_known = |id| known.iter().any(|peer| peer.id == id);
    for founder in founders.iter().filter(|founder| !is_known(NodeId(founder.id))) {
        node.set_peer(NodeId(founder.id), &founder.peer);
    }
}

/// The founders with their addresses (none for a node that joins), and the addresses to join.
/// At most the first [`VOTERS_MAX`] found the metadata group; the others join them.
fn beginnings(id: NodeId, bootstrap: Bootstrap) -> (Vec<Founder>, Vec<String>) {
    let mut founders = match bootstrap {
        Bootstrap::Join(addresses) => return (Vec::new(), addresses),
        Bootstrap::Found(founders) if founders.is_empty() => {
            return (vec![Founder { id: id.0, peer: String::new() }], Vec::new());
        }
        Bootstrap::Found(founders) => founders,
    };
    founders.sort_unstable_by_key(|founder| founder.id);
    founders.truncate(VOTERS_MAX);
    if founders.iter().any(|founder| founder.id == id.0) {
        (founders, Vec::new())
    } else {
        (Vec::new(), founders.into_iter().map(|founder| founder.peer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founders(ids: &[u64]) -> Vec<Founder> {
        ids.iter().map(|id| Founder { id: *id, peer: format!("h{id}:1") }).collect()
    }

    #[test]
    fn a_node_alone_founds_its_cluster() {
        let (founding, join) = beginnings(NodeId(4), Bootstrap::Found(Vec::new()));
        assert_eq!(founding.iter().map(|founder| founder.id).collect::<Vec<_>>(), [4]);
        assert!(join.is_empty());
    }

    #[test]
    fn the_first_five_found_and_the_others_join_them() {
        let all = founders(&[7, 6, 5, 4, 3, 2, 1]);
        let (founding, join) = beginnings(NodeId(2), Bootstrap::Found(all.clone()));
        assert_eq!((founding, join), (founders(&[1, 2, 3, 4, 5]), Vec::new()));
        let (founding, join) = beginnings(NodeId(6), Bootstrap::Found(all));
        assert_eq!(founding, []);
        assert_eq!(join, ["h1:1", "h2:1", "h3:1", "h4:1", "h5:1"]);
    }
}
