//! What this node counts, of its logs, its peers and its groups: read when the metrics are.

use super::{Broker, Inner};
use raft::{GroupHealth, Role};

/// One reading. Nothing here asks another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Replica groups on this node that lead, the metadata's among them.
    pub leading: usize,
    /// Those that follow a leader they know.
    pub following: usize,
    /// Those that know of no leader, or are about to lead.
    pub electing: usize,
    /// Replicas that stopped, or could not be opened.
    pub broken: usize,
    /// Of the logs.
    pub storage: storage::Counters,
    /// Of the wires to peers.
    pub transport: raft::transport::Counters,
}

impl Broker {
    /// The node's figures now.
    pub fn figures(&self) -> Figures {
        self.inner.figures()
    }
}

impl Inner {
    fn figures(&self) -> Figures {
        let mut figures = Figures {
            leading: 0,
            following: 0,
            electing: 0,
            broken: self.node.broken().len(),
            storage: self.store.counters(),
            transport: self.node.counters(),
        };
        for group in self.node.groups() {
            if let GroupHealth::Broken(_) = group.health() {
                continue;
            }
            match group.role() {
                Role::Leading { .. } => figures.leading += 1,
                Role::Following { leader: Some(_), .. } => figures.following += 1,
                Role::Following { leader: None, .. }
                | Role::Electing { .. }
                | Role::Taking { .. } => figures.electing += 1,
            }
        }
        figures
    }
}
