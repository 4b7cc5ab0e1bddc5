//! A machine's state at the end of a sealed segment. It is also what a snapshot is: a marker without
//! records, after which every retained entry is sent by log.

use crate::adapter::config::{LogId, StoredMembership, Types, log_id, position};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use serde::{Deserialize, Serialize};
use std::io;
use storage::{Index, Marker, Offset, Position};

/// All a replica needs in place of the entries up to and including `at`.
///
/// Everything in it is *as of* `at`: the true term, the membership then, the log start then. Later
/// changes come by the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last entry it stands for; `None` before anything was applied.
    pub(crate) at: Option<Position>,
    pub(crate) membership: StoredMembership,
    pub(crate) log_start: Offset,
    pub(crate) next_offset: Offset,
    /// The machine's own bytes.
    pub(crate) machine: Vec<u8>,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        storage::codec::encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> io::Result<Self> {
        storage::codec::decode(bytes)
    }

    pub(crate) fn index(&self) -> Option<Index> {
        self.at.map(|at| at.index)
    }

    /// Where a log begins that has only this.
    pub(crate) fn marker(&self) -> Option<Marker> {
        self.at.map(|position| Marker { position, next_offset: self.next_offset })
    }

    pub(crate) fn meta(&self) -> SnapshotMetaOf<Types> {
        openraft::SnapshotMeta {
            last_log_id: self.at.map(log_id),
            last_membership: self.membership.clone(),
        }
    }

    pub(crate) fn snapshot(&self) -> SnapshotOf<Types, Box<Checkpoint>> {
        openraft::Snapshot { meta: self.meta(), snapshot: Box::new(self.clone()) }
    }

    /// Whether openraft means this checkpoint.
    pub(crate) fn is_at(&self, last: Option<&LogId>) -> bool {
        self.at == last.map(position)
    }
}
