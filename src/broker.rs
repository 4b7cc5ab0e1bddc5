//! The one API of the house: what the doors call. Any node answers; what lives elsewhere is asked for
//! there, one hop, never a loop.

use crate::error::Error;
use crate::topic::{PartitionId, TopicName};
use raft::{Acks, NodeId, Offset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrokerView {
    /// Its id, from 1.
    pub id: u64,
    /// Where its HTTP interface is reached, `host:port`.
    pub http: String,
    /// Where peers reach it, `host:port`.
    pub peer: String,
    /// Its rack, if it has one.
    pub rack: Option<String>,
    /// Whether this node can reach it now.
    pub alive: bool,
}

/// The cluster as any of its nodes tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterView {
    /// The cluster's identity.
    pub cluster_id: Uuid,
    /// The node that answers.
    pub node: u64,
    /// Who leads the metadata group, if known.
    pub controller: Option<u64>,
    /// All brokers.
    pub brokers: Vec<BrokerView>,
}

/// How the cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// No reasons against it.
    pub healthy: bool,
    /// Why not, one sentence each.
    pub reasons: Vec<String>,
    /// Who leads the metadata group, if known.
    pub controller: Option<u64>,
    /// Brokers that cannot be reached.
    pub nodes_down: Vec<u64>,
    /// `topic-partition` without a leader.
    pub leaderless: Vec<String>,
    /// `topic-partition` with fewer in-sync replicas than replicas.
    pub under_replicated: Vec<String>,
    /// `topic-partition on node: why` of replicas that stopped.
    pub broken: Vec<String>,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Its identity: a topic deleted and made again has another.
    pub id: Uuid,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas each.
    pub replication_factor: u32,
}

/// A partition as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionView {
    /// Its number.
    pub partition: u32,
    /// Its leader, if it has one.
    pub leader: Option<u64>,
    /// The leader's term.
    pub leader_epoch: Option<u64>,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<u64>,
    /// Those that are in sync.
    pub in_sync: Vec<u64>,
    /// The first offset that can be read; unknown without a leader.
    pub log_start_offset: Option<u64>,
    /// The offset after the last committed record.
    pub high_watermark: Option<u64>,
    /// Bytes on the leader's disk.
    pub size_bytes: Option<u64>,
}

/// One setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingView {
    /// Kafka's name of it where Kafka has it.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// The value without one set.
    pub default: String,
    /// Whether it is the default that is in force.
    pub is_default: bool,
    /// What it does, with its unit and bounds.
    pub documentation: String,
}

/// A topic, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicView {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: Uuid,
    /// How many replicas each partition has.
    pub replication_factor: u32,
    /// Its partitions.
    pub partitions: Vec<PartitionView>,
    /// All its settings.
    pub config: Vec<SettingView>,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Where a fetch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchFrom {
    /// At this offset.
    Offset(u64),
    /// At the log start.
    Earliest,
    /// At the end: only what comes.
    Latest,
    /// So many records before the end.
    Last(u64),
    /// At the first record with this timestamp (ms) or a later one.
    Timestamp(i64),
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Freshness {
    /// Committed records that the leader knows; never an uncommitted one.
    #[default]
    Leader,
    /// Everything acknowledged before the request began (ReadIndex).
    Linearizable,
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
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The offset the fetch began at; the first batch may begin before it.
    pub from: u64,
    /// Whole batches in order, possibly none.
    pub batches: Vec<RecordBatch>,
    /// The partition when it was read.
    pub tail: Tail,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The first offset that can be read.
    pub log_start: u64,
    /// The offset after the last committed record.
    pub high_watermark: u64,
    /// Who leads.
    pub leader: NodeId,
    /// Its term.
    pub leader_epoch: u64,
}

/// The broker; clones are the same broker.
#[derive(Clone)]
pub struct Broker {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Broker {
    /// The cluster as this node knows it.
    pub fn cluster(&self) -> ClusterView {
        todo!()
    }
    /// How the cluster is; asks every broker.
    pub async fn health(&self) -> HealthView {
        todo!()
    }
    /// Whether this node can serve: joined, metadata known, its replicas open, disk writable.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        todo!()
    }
    /// Where a broker's HTTP interface is.
    pub fn http_address(&self, node: NodeId) -> Option<String> {
        todo!()
    }
    /// All topics.
    pub fn topics(&self) -> Vec<TopicSummary> {
        todo!()
    }
    /// A topic's summary.
    pub fn topic(&self, name: &TopicName) -> Result<TopicSummary, Error> {
        todo!()
    }
    /// A topic, whole; asks the leaders.
    pub async fn describe(&self, name: &TopicName) -> Result<TopicView, Error> {
        todo!()
    }
    /// A topic's settings.
    pub fn settings(&self, name: &TopicName) -> Result<Vec<SettingView>, Error> {
        todo!()
    }
    /// Creates a topic; returns once every partition has a leader, or the deadline has come.
    pub async fn create_topic(&self, topic: NewTopic, deadline: Instant) -> Result<Created, Error> {
        todo!()
    }
    /// Deletes a topic; its disk space returns on every replica.
    pub async fn delete_topic(&self, name: &TopicName, deadline: Instant) -> Result<(), Error> {
        todo!()
    }
    /// Sets (`Some`) or resets (`None`) settings.
    pub async fn alter_topic(
        &self,
        name: &TopicName,
        changes: BTreeMap<String, Option<String>>,
        deadline: Instant,
    ) -> Result<(), Error> {
        todo!()
    }
    /// Grows a topic to `count` partitions.
    pub async fn add_partitions(
        &self,
        name: &TopicName,
        count: u32,
        deadline: Instant,
    ) -> Result<TopicSummary, Error> {
        todo!()
    }
    /// Moves the log start of a partition up to `offset`.
    pub async fn trim(
        &self,
        name: &TopicName,
        partition: PartitionId,
        offset: u64,
        deadline: Instant,
    ) -> Result<Tail, Error> {
        todo!()
    }
    /// Appends one batch to one partition, here or where its leader is.
    pub async fn produce(&self, produce: Produce) -> Result<Produced, Error> {
        todo!()
    }
    /// Reads one partition, here or where its leader is.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Fetched, Error> {
        todo!()
    }
    /// The ends of a partition.
    pub async fn tail(
        &self,
        name: &TopicName,
        partition: PartitionId,
        freshness: Freshness,
    ) -> Result<Tail, Error> {
        todo!()
    }
    /// The partition a record without a key goes to next: round-robin per topic.
    pub fn next_partition(&self, name: &TopicName) -> Result<PartitionId, Error> {
        todo!()
    }
    /// The partition a key goes to: Kafka's murmur2 modulo the partition count.
    pub fn partition_of(&self, name: &TopicName, key: &[u8]) -> Result<PartitionId, Error> {
        todo!()
    }
    /// The most bytes a batch of the topic may have.
    pub fn batch_bytes_max(&self, name: &TopicName) -> Result<usize, Error> {
        todo!()
    }
}
