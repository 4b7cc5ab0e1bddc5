//! What the doors ask about consumer groups, and what they get: plain values.

use crate::coordinator::{
    Allotment, Assignor, Committer, Delivery, GroupName, InstanceId, MemberId, Subscription,
    TopicPartition,
};
use crate::error::{Error, ErrorKind};
use crate::partition::Found;
use crate::topic::TopicName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// Where a member begins in a partition for which its group has committed nothing, or something that
/// is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OffsetReset {
    /// At the log start.
    Earliest,
    /// At the end: only what comes.
    #[default]
    Latest,
    /// Nowhere: the poll is refused with the valid range.
    None,
}

impl OffsetReset {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::None => "none",
        }
    }

    /// As Kafka writes it.
    pub fn named(name: &str) -> Result<Self, Error> {
        [Self::Earliest, Self::Latest, Self::None]
            .into_iter()
            .find(|reset| reset.as_str() == name)
            .ok_or_else(|| {
                let message = format!("auto.offset.reset={name:?}: earliest, latest and none are");
                Error::new(ErrorKind::InvalidRequest, message)
            })
    }
}

/// A member to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// Its group; made if there is none.
    pub group: GroupName,
    /// Its id; one is made if it says none. A join that is repeated with the same id is one join.
    pub member: Option<MemberId>,
    /// Its static id: who comes again under it takes over what it had, without a rebalance.
    pub instance: Option<InstanceId>,
    /// What it calls itself, for people to read.
    pub client: String,
    /// What it wants.
    pub subscription: Subscription,
    /// How the group shares its partitions; the group's, if it says none.
    pub assignor: Option<Assignor>,
    /// Who fetches.
    pub delivery: Delivery,
    /// How long it may be silent; 45 s if not said.
    pub session_timeout: Option<Duration>,
    /// How long it may keep what it is to give away; a minute if not said.
    pub rebalance_timeout: Option<Duration>,
    /// Whether what was delivered is committed by the next poll (`Delivery::Server`).
    pub auto_commit: bool,
    /// Where it begins without a committed offset (`Delivery::Server`).
    pub auto_offset_reset: OffsetReset,
    /// What a door wants to find again, such as a format; at most a few short rows.
    pub settings: BTreeMap<String, String>,
}

/// The setting that holds a member's [`OffsetReset`].
pub const AUTO_OFFSET_RESET: &str = "auto.offset.reset";
/// The setting that says `false` for a member that commits by itself.
pub const AUTO_COMMIT: &str = "enable.auto.commit";

/// A member that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Its id.
    pub member: MemberId,
    /// What it has already, and what is to come with its heartbeats.
    pub allotment: Allotment,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How often it should be heard: a third of the session timeout, at most three seconds.
    pub heartbeat_interval: Duration,
}

/// A sign of life of a member that fetches by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its group.
    pub group: GroupName,
    /// The member.
    pub member: MemberId,
    /// The generation it acknowledges: it reads nothing more of what that revoked. `None`: a sign of
    /// life only.
    pub generation: Option<u32>,
    /// Up to how long the answer may wait for news: another generation, or something to give away.
    pub wait: Duration,
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOffset {
    /// Of which partition.
    pub at: TopicPartition,
    /// The next offset to read.
    pub offset: u64,
    /// Words of the committer, at most 4,096 bytes.
    pub metadata: String,
    /// The leader epoch of the record before, if known.
    pub leader_epoch: Option<u64>,
}

/// Offsets to commit: all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group; made if there is none and nobody commits.
    pub group: GroupName,
    /// Who.
    pub by: Committer,
    /// What.
    pub offsets: Vec<NewOffset>,
}

/// What a group has committed in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The next offset to read; none was committed if `None`.
    pub offset: Option<u64>,
    /// Words of the committer.
    pub metadata: String,
    /// When, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
    /// The leader epoch of the record before, if the committer said it.
    pub leader_epoch: Option<u64>,
}

/// Where to go in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeekTo {
    /// To this offset.
    Offset(u64),
    /// To the log start.
    Beginning,
    /// To the end.
    End,
    /// To the first record with this timestamp (ms) or a later one; to the end if there is none.
    Timestamp(i64),
}

/// What a member wants to read next (`Delivery::Server`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Its group.
    pub group: GroupName,
    /// The member.
    pub member: MemberId,
    /// How long to wait for the first record.
    pub wait: Duration,
    /// Stored bytes of batches: no more are added once they are reached, and at least one batch comes.
    pub bytes_max: usize,
    /// The last delivery that the caller has received; if another one was given since, that one is
    /// given again. `None`: it has received all.
    pub delivered: Option<u64>,
}

/// What was read for a member.
#[derive(Debug, Clone)]
pub struct Polled {
    /// What the member has.
    pub allotment: Allotment,
    /// Records; the first batch of each may begin before its `from`: those records are not meant.
    pub partitions: Vec<PolledPartition>,
}

/// What was read of one partition.
#[derive(Debug, Clone)]
pub struct PolledPartition {
    /// Which one.
    pub at: TopicPartition,
    /// Its records.
    pub found: Found,
}

/// Where a group's committed offsets are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// To the log start.
    Earliest,
    /// To the end.
    Latest,
    /// To this offset, or the nearest one there is.
    Offset(u64),
    /// To the first record with this timestamp (ms) or a later one.
    Timestamp(i64),
    /// To the first record of so long ago or later.
    Duration(Duration),
    /// So many records on (or back), within what there is.
    Shift(i64),
}

/// Committed offsets to move. The group must have no members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetOffsets {
    /// The group; made if there is none.
    pub group: GroupName,
    /// Of these topics, whole; with `partitions` empty too: of all for which the group has offsets.
    pub topics: Vec<TopicName>,
    /// Of these partitions.
    pub partitions: Vec<TopicPartition>,
    /// Where to.
    pub to: ResetTo,
    /// Only tell.
    pub dry_run: bool,
}

/// What a reset does to a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetRow {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// What was committed.
    pub from: Option<u64>,
    /// What is.
    pub to: u64,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupSummary {
    /// Its name.
    pub group: String,
    /// `empty`, `assigning`, `reconciling`, `stable`.
    pub state: String,
    /// How many members.
    pub members: u32,
    /// Grows with each new assignment.
    pub generation: u32,
    /// How its partitions are shared: `range`, `roundrobin`, `sticky`.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: u64,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

impl From<&TopicPartition> for PlaceView {
    fn from(at: &TopicPartition) -> Self {
        Self { topic: at.topic.to_string(), partition: at.partition.0 }
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Its id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// The generation it has acknowledged.
    pub generation: u32,
    /// The topics it wants by name.
    pub topics: Vec<String>,
    /// The pattern of topics it wants.
    pub topic_pattern: Option<String>,
    /// The partitions it took by hand.
    pub manual: Vec<PlaceView>,
    /// What it may read and commit now.
    pub assigned: Vec<PlaceView>,
    /// What it is to have.
    pub target: Vec<PlaceView>,
    /// `server` or `client`: who fetches.
    pub delivery: String,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: u32,
    /// How long it may keep what it is to give away, in milliseconds.
    pub rebalance_timeout_ms: u32,
    /// What it said besides.
    pub settings: BTreeMap<String, String>,
}

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LagView {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The next offset to read, as committed.
    pub committed: Option<u64>,
    /// Words of the committer.
    pub metadata: String,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
    /// The first offset there is; unknown while the partition has no leader.
    pub log_start: Option<u64>,
    /// The offset after the last committed record.
    pub log_end: Option<u64>,
    /// Records from `committed` (from `log_start` without one) to `log_end`.
    pub lag: Option<u64>,
    /// Who reads it.
    pub member_id: Option<String>,
}

/// A group, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its name.
    pub group: String,
    /// `empty`, `assigning`, `reconciling`, `stable`.
    pub state: String,
    /// Grows with each new assignment.
    pub generation: u32,
    /// How its partitions are shared: `range`, `roundrobin`, `sticky`.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: u64,
    /// Its members.
    pub members: Vec<MemberView>,
    /// How far it is, in each partition that it reads or has read.
    pub offsets: Vec<LagView>,
    /// The sum of the lags that are known.
    pub lag: u64,
}
