//! What the broker tells of itself: plain values, also the JSON of the doors.

use serde::{Deserialize, Serialize};
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
    /// `topic-partition`, or `coordinator n`, without a leader.
    pub leaderless: Vec<String>,
    /// `topic-partition`, or `coordinator n`, with fewer in-sync replicas than replicas.
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
