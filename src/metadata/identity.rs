//! Which node and which cluster a data directory belongs to, and whom it knew. Made at the first start.

use super::image::Registration;
use raft::NodeId;
use serde::{Deserialize, Serialize};
use std::io;
use storage::{State, Table};
use uuid::Uuid;

const IDENTITY: &[u8] = b"identity";
const PEER: &[u8] = b"peer/";

/// What a data directory says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node whose data it holds.
    pub node: NodeId,
    /// Names the directory: a wiped one gets another.
    pub disk: Uuid,
    /// The cluster it belongs to; nil before it is known.
    pub cluster: Uuid,
    /// The first voters of the metadata group, if this node is one of them; empty if it joined.
    /// Noted before the group is opened: a node that restarts without its flags must not found a
    /// cluster that it was told to join.
    pub founders: Vec<NodeId>,
}

impl Identity {
    /// Reads the identity, or makes one for `node` in a new directory; durable on return.
    ///
    /// # Errors
    /// `InvalidInput` if the directory belongs to another node.
    pub fn open(state: &State, node: NodeId, founders: Vec<NodeId>) -> io::Result<Self> {
        if let Some(row) = state.get(Table::Node, IDENTITY)? {
            let identity: Self = storage::codec::decode(&row)?;
            if identity.node != node {
                let owner = identity.node;
                let message =
                    format!("the data directory belongs to node {owner}, not to node {node}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            return Ok(identity);
        }
        let identity = Self { node, disk: Uuid::new_v4(), cluster: Uuid::nil(), founders };
        identity.write(state)?;
        Ok(identity)
    }

    /// Writes it; durable on return.
    pub fn write(&self, state: &State) -> io::Result<()> {
        state.put(Table::Node, IDENTITY, &storage::codec::encode(self))?;
        state.durable_flush()
    }
}

/// The peers this node last heard of: enough to find the cluster again, and to know their disks.
pub fn peers(state: &State) -> io::Result<Vec<Registration>> {
    let rows = state.scan(Table::Node, PEER)?;
    rows.iter().map(|(_, row)| storage::codec::decode(row)).collect()
}

/// Notes a peer; durable with the next flush, and learned anew if that never comes.
pub fn note_peer(state: &State, peer: &Registration) -> io::Result<()> {
    let key = [PEER, &peer.id.0.to_be_bytes()].concat();
    state.put(Table::Node, &key, &storage::codec::encode(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        (dir, state)
    }

    #[test]
    fn an_identity_is_made_once() {
        let (_dir, state) = state();
        let first = Identity::open(&state, NodeId(1), vec![NodeId(1)]).unwrap();
        assert!(!first.disk.is_nil());
        let again = Identity::open(&state, NodeId(1), Vec::new()).unwrap();
        assert_eq!(again, first, "the flags of a later start change nothing");
    }

    #[test]
    fn another_nodes_directory_is_refused_naming_both() {
        let (_dir, state) = state();
        Identity::open(&state, NodeId(1), Vec::new()).unwrap();
        let error = Identity::open(&state, NodeId(2), Vec::new()).unwrap_err().to_string();
        assert!(error.contains("node 1") && error.contains("node 2"), "{error}");
    }

    #[test]
    fn peers_are_known_again_with_their_disks() {
        let (_dir, state) = state();
        let peer = Registration {
            id: NodeId(2),
            http: "h:1".into(),
            peer: "h:2".into(),
            rack: None,
            disk: Uuid::from_u128(5),
        };
        note_peer(&state, &Registration { peer: "old:2".into(), ..peer.clone() }).unwrap();
        note_peer(&state, &peer).unwrap();
        assert_eq!(peers(&state).unwrap(), [peer]);
    }
}
