//! What the doors ask of the broker, and what they get.

use super::views::TopicSummary;
use crate::partition::{FetchFrom, Freshness};
use crate::topic::{PartitionId, TopicName};
use raft::{Acks, NodeId, Offset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::time::Instant;
use utoipa::ToSchema;

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; 1 if not said.
    pub partitions: Option<u32>,
    /// How many replicas: 1, 3 or 5, at most one a broker; 3 or what the cluster has, if not said.
    pub replication_factor: Option<u32>,
    /// Settings that are not the default.
    pub config: BTreeMap<String, String>,
    /// Check only.
    pub validate_only: bool,
}

/// What a create did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Created {
    /// It is new.
    New(TopicSummary),
    /// It existed with exactly these settings.
    Existed(TopicSummary),
}

/// Records for one partition.
#[derive(Debug, Clone)]
pub struct Produce {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// One checked batch.
    pub batch: RecordBatch,
    /// When it is answered.
    pub acks: Acks,
    /// Only if the next record would get this offset.
    pub expected_end: Option<Offset>,
    /// Answered by then at the latest.
    pub deadline: Instant,
}

/// Where the records went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    /// The first record's offset; the others follow densely. 0 with acks=none.
    pub base_offset: u64,
    /// Who leads the partition.
    pub leader: NodeId,
    /// Its term.
    pub leader_epoch: u64,
    /// What was promised: `quorum-fsync`, `quorum`, `leader` or `none`.
    pub durability: Durability,
    /// Whether they were there already: its idempotent producer sent them before.
    pub duplicate: bool,
}

/// What an acknowledgement promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// On the disks of a majority.
    QuorumFsync,
    /// In the page caches of a majority.
    Quorum,
    /// On the leader.
    Leader,
    /// Nothing.
    None,
}

/// A fetch of one partition.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// Where it begins.
    pub from: FetchFrom,
    /// Batches are added until this is reached; at least one comes.
    pub bytes_max: usize,
    /// Answered once this much is there (or `wait` has passed).
    pub bytes_min: usize,
    /// How long to wait for `bytes_min`.
    pub wait: Duration,
    /// How fresh.
    pub freshness: Freshness,
}

/// What a fetch found.
pub use crate::partition::Found as Fetched;
