//! Who may talk to this node: members of its cluster, each with the disk it registered.
//!
//! | dialler | answer |
//! |---|---|
//! | of another cluster | refused (by the transport, when both know their cluster) |
//! | a known id, with the disk it registered | admitted |
//! | a known id, with another disk | refused: a wiped disk forgot its votes and acknowledged records |
//! | an unknown id | admitted: it may be about to join |
//!
//! The other way round, this node dials a known peer for the disk it registered, and a peer with another
//! disk refuses: else a leader would go on to feed a follower that has forgotten what it acknowledged.
//!
//! The disks are remembered over a restart, so that the gate is closed before the image is back.

use crate::metadata::image::wiped_disk;
use crate::metadata::{Identity, Registration};
use raft::NodeId;
use raft::transport::Hello;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use storage::planted;
use uuid::Uuid;

/// What the node knows of itself and of its peers.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Known>);

#[derive(Debug)]
struct Known {
    me: Identity,
    peers: BTreeMap<NodeId, Registration>,
}

impl Gate {
    pub(super) fn new(me: Identity, peers: impl IntoIterator<Item = Registration>) -> Self {
        let peers = peers.into_iter().map(|peer| (peer.id, peer)).collect();
        Self(Mutex::new(Known { me, peers }))
    }

    /// Notes a peer; true if that is news.
    pub(super) fn note(&self, peer: &Registration) -> bool {
        let mut known = self.known();
        let news = known.peers.get(&peer.id) != Some(peer);
        if news {
            known.peers.insert(peer.id, peer.clone());
        }
        news
    }

    /// Joins the cluster; the identity to write if that is news.
    pub(super) fn join(&self, cluster: Uuid) -> Option<Identity> {
        let mut known = self.known();
        if cluster.is_nil() || known.me.cluster == cluster {
            return None;
        }
        known.me.cluster = cluster;
        Some(known.me.clone())
    }

    /// Peers that were ever known.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.known().peers.keys().copied().collect()
    }

    /// Whether the peer may talk to us.
    pub(super) fn admit(&self, hello: &Hello) -> Result<(), String> {
        match self.known().peers.get(&hello.from) {
            Some(peer) if peer.disk != hello.disk && !planted!(ReuseWipedId) => {
                let why = wiped_disk(hello.from, peer.disk, hello.disk);
                tracing::warn!(node = %hello.from, "refused a peer: {why}");
                Err(why)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(from: u64, disk: u128) -> Hello {
        let disk = Uuid::from_u128(disk);
        let (to, nil) = (NodeId(1), Uuid::nil());
        Hello { from: NodeId(from), to, to_disk: nil, cluster: nil, disk }
    }

    fn gate() -> Gate {
        let me = Identity {
            node: NodeId(1),
            disk: Uuid::from_u128(1),
            cluster: Uuid::nil(),
            founders: Vec::new(),
        };
        let peer = Registration {
            id: NodeId(2),
            http: String::new(),
            peer: "h:1".into(),
            rack: None,
            disk: Uuid::from_u128(2),
        };
        Gate::new(me, [peer])
    }

    #[test]
    fn a_wiped_disk_under_a_used_id_is_refused_naming_both_disks() {
        let why = gate().admit(&hello(2, 99)).unwrap_err();
        assert!(why.contains("node 2"), "{why}");
        assert!(why.contains(&Uuid::from_u128(2).to_string()), "{why}");
        assert!(why.contains(&Uuid::from_u128(99).to_string()), "{why}");
    }

    #[test]
    fn a_peer_with_its_own_disk_and_a_stranger_are_admitted() {
        assert_eq!(gate().admit(&hello(2, 2)), Ok(()));
        assert_eq!(gate().admit(&hello(3, 3)), Ok(()));
    }

    #[test]
    fn a_cluster_is_joined_once() {
        let gate = gate();
        assert_eq!(gate.join(Uuid::nil()), None);
        assert_eq!(gate.join(Uuid::from_u128(7)).unwrap().cluster, Uuid::from_u128(7));
        assert_eq!(gate.join(Uuid::from_u128(7)), None);
    }
}
