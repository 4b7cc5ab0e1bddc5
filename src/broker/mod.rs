//! The one API of the house: what the doors call. Any node answers; what lives elsewhere is asked for
//! there, one hop, never a loop.
//!
//! ```text
//!   Broker ── views, request: what the doors see
//!     ├── route ── who leads? ── here: perform ── elsewhere: wire ═══ serve ── perform
//!     ├── admin ── changes of the metadata, planned by its leader
//!     ├── groups ── consumer groups: asked of their coordinator's leader
//!     ├── status ── describe, health: asks every broker
//!     ├── admission, gate, intake ── how much, who, and as what
//!     └── tasks: controller (groups follow the image), membership (registers, founds, takes in),
//!                balance (leaders go home), retention (what is too old or too much goes),
//!                compaction (of each key the last record stays)
//! ```

mod admin;
mod admission;
mod balance;
mod compaction;
mod controller;
mod figures;
mod gate;
mod groups;
mod intake;
mod membership;
mod perform;
mod producers;
mod request;
mod retention;
mod route;
mod serve;
mod start;
mod status;
mod views;
mod wire;

pub(crate) use intake::without_key;

pub use crate::partition::{FetchFrom, Freshness, Tail};
pub use figures::Figures;
pub use groups::{
    AUTO_COMMIT, AUTO_OFFSET_RESET, CommitOffsets, CommittedOffset, GroupSummary, GroupView,
    Heartbeat, JoinGroup, Joined, LagView, MemberView, NewOffset, OffsetReset, PlaceView, Poll,
    Polled, PolledPartition, ResetOffsets, ResetRow, ResetTo, SeekTo,
};
pub use request::{Created, Durability, Fetch, Fetched, NewTopic, Produce, Produced};
pub use start::{BrokerLimits, BrokerOptions};
pub use views::{
    BrokerView, ClusterView, HealthView, PartitionView, SettingView, TopicSummary, TopicView,
};

use crate::error::{Error, ErrorKind};
use crate::metadata::reconcile::Held;
use crate::metadata::{Image, Registration};
use crate::partition::Replicated;
use crate::partitioner::{Murmur2, Partitioner};
use crate::producers::ProducerId;
use crate::tasks::Tasks;
use crate::topic::{PartitionId, TopicName};
use admission::Admission;
use gate::Gate;
use groups::Coordinator;
use raft::{Acks, Group, GroupId, Node, NodeId};
use route::{Errand, Hints};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::Store;
use storage::batch::Compression;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Ask, Change, Reply};

/// How long a read looks for a leader, beyond the wait asked for.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// The broker; clones are the same broker.
#[derive(Debug, Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

/// What the clones share.
struct Inner {
    node: Node,
    store: Store,
    me: Registration,
    /// The founders, if this node is one.
    founders: Vec<NodeId>,
    /// Peer addresses of the cluster to join, if it is to join one.
    join: Vec<String>,
    gate: Arc<Gate>,
    metadata: Group,
    images: watch::Receiver<Arc<Image>>,
    held: watch::Sender<BTreeMap<GroupId, Held>>,
    /// The revision of the image that this node's groups follow.
    reconciled: watch::Sender<u64>,
    /// Why the cluster does not want this node.
    refused: watch::Sender<Option<String>>,
    hints: Hints,
    /// What the machines of the partitions that are open here keep.
    replicated: Mutex<BTreeMap<GroupId, Replicated>>,
    /// Ids for producers that are left of the newest block.
    producer_ids: Mutex<std::ops::Range<i64>>,
    admission: Admission,
    /// Held while a change of the metadata is planned and proposed.
    turn: Semaphore,
    /// How many coordinators of consumer groups are made, if this node is asked to.
    coordinators_wanted: u32,
    /// The coordinators whose replicas are open here.
    coordinators: Mutex<BTreeMap<GroupId, Arc<Coordinator>>>,
    /// How long a consumer group that changed waits for more changes before it is assigned anew.
    rebalance_delay: Duration,
    /// Heartbeats that wait for news elsewhere.
    waiting_beats: Semaphore,
    partitioner: Arc<dyn Partitioner>,
    /// Where records without a key went last, by topic id; those of deleted topics are dropped when
    /// it has grown to twice the topics there are.
    round: Mutex<BTreeMap<Uuid, Arc<AtomicU32>>>,
    tasks: Tasks,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Broker {
    /// The cluster as this node knows it.
    pub fn cluster(&self) -> ClusterView {
        let image = self.inner.image();
        let alive = |id| id == self.inner.me.id || self.inner.node.reachable(id).is_ok();
        let view = |broker: &Registration| BrokerView {
            id: broker.id.0,
            http: broker.http.clone(),
            peer: broker.peer.clone(),
            rack: broker.rack.clone(),
            alive: alive(broker.id),
        };
        ClusterView {
            cluster_id: image.cluster(),
            node: self.inner.me.id.0,
            controller: self.inner.metadata.leader().map(|leader| leader.0),
            brokers: image.brokers().map(view).collect(),
        }
    }

    /// How the cluster is; asks every broker.
    pub async fn health(&self) -> HealthView {
        self.inner.health().await
    }

    /// Whether this node can serve: joined, metadata known, its replicas open, disk writable.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let reasons = self.inner.not_ready();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Where a broker's HTTP interface is.
    pub fn http_address(&self, node: NodeId) -> Option<String> {
        self.inner.image().broker(node).map(|broker| broker.http.clone())
    }

    /// All topics.
    pub fn topics(&self) -> Vec<TopicSummary> {
        self.inner.image().topics().map(|(name, topic)| admin::summary(name, topic)).collect()
    }

    /// A topic's summary.
    pub fn topic(&self, name: &TopicName) -> Result<TopicSummary, Error> {
        Ok(admin::summary(name, self.inner.image().topic(name)?))
    }

    /// A topic, whole; asks the leaders.
    pub async fn describe(&self, name: &TopicName) -> Result<TopicView, Error> {
        self.inner.describe(name).await
    }

    /// A topic's settings.
    pub fn settings(&self, name: &TopicName) -> Result<Vec<SettingView>, Error> {
        Ok(status::setting_views(&self.inner.image().topic(name)?.settings))
    }

    /// Creates a topic; returns once every partition has a leader, or the deadline has come.
    pub async fn create_topic(&self, topic: NewTopic, deadline: Instant) -> Result<Created, Error> {
        let changed = self.inner.change_and_settle(Change::Create(topic), deadline).await?;
        changed.created.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the metadata's answer is not a create's")
        })
    }

    /// Deletes a topic; its disk space returns on every replica.
    pub async fn delete_topic(&self, name: &TopicName, deadline: Instant) -> Result<(), Error> {
        self.inner.change_and_settle(Change::Delete(name.clone()), deadline).await?;
        Ok(())
    }

    /// Sets (`Some`) or resets (`None`) settings.
    pub async fn alter_topic(
        &self,
        name: &TopicName,
        changes: BTreeMap<String, Option<String>>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let change = Change::Alter { name: name.clone(), changes };
        self.inner.change_and_settle(change, deadline).await?;
        Ok(())
    }

    /// Grows a topic to `count` partitions.
    pub async fn add_partitions(
        &self,
        name: &TopicName,
        count: u32,
        deadline: Instant,
    ) -> Result<TopicSummary, Error> {
        let change = Change::AddPartitions { name: name.clone(), count };
        self.inner.change_and_settle(change, deadline).await?;
        self.topic(name)
    }

    /// Moves the log start of a partition up to `offset`.
    pub async fn trim(
        &self,
        name: &TopicName,
        partition: PartitionId,
        offset: u64,
        deadline: Instant,
    ) -> Result<Tail, Error> {
        let errand = self.inner.errand(name, partition, Ask::Trim { offset }, deadline)?;
        self.inner.tail_of(errand).await
    }

    /// Appends one batch to one partition, here or where its leader is. That of an idempotent producer is
    /// there once, however often it is sent; while its outcome is unknown it is asked for again.
    pub async fn produce(&self, produce: Produce) -> Result<Produced, Error> {
        let Produce { topic, partition, batch, acks, expected_end, deadline } = produce;
        if batch.sequenced().is_some() && acks != Acks::Quorum {
            let message =
                "an idempotent producer's batch is answered once a quorum has it: acks=quorum";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let payload = batch.into_bytes();
        let ask = Ask::Produce { acks, expected_end: expected_end.map(raft::Offset::get) };
        let mut errand = self.inner.errand(&topic, partition, ask, deadline)?;
        check_batch_size(&errand.name, payload.len(), self.batch_bytes_max(&topic)?)?;
        let _place = self.inner.admission.produce(payload.len())?;
        errand.payload = Some(payload);
        match self.inner.route(errand).await? {
            Reply::Produced(produced) => Ok(produced),
            other @ (Reply::Fetched(_)
            | Reply::Tail(_)
            | Reply::Changed(_)
            | Reply::Status(_)
            | Reply::Settled
            | Reply::Group(_)) => Err(unexpected(&other)),
        }
    }

    /// An id for an idempotent producer, that no other has or had.
    pub async fn new_producer(&self, deadline: Instant) -> Result<ProducerId, Error> {
        self.inner.new_producer(deadline).await
    }

    /// Reads one partition, here or where its leader is.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Fetched, Error> {
        let Fetch { topic, partition, from, bytes_max, bytes_min, wait, freshness } = fetch;
        let ask = Ask::Fetch {
            from,
            bytes_max: bytes_max.try_into().unwrap_or(u64::MAX),
            bytes_min: bytes_min.try_into().unwrap_or(u64::MAX),
            wait,
            freshness,
        };
        let deadline = Instant::now() + wait + READ_DEADLINE;
        let errand = self.inner.errand(&topic, partition, ask, deadline)?;
        let _place = self.inner.admission.fetch()?;
        match self.inner.route(errand).await? {
            Reply::Fetched(fetched) => Ok(fetched),
            other @ (Reply::Produced(_)
            | Reply::Tail(_)
            | Reply::Changed(_)
            | Reply::Status(_)
            | Reply::Settled
            | Reply::Group(_)) => Err(unexpected(&other)),
        }
    }

    /// The ends of a partition.
    pub async fn tail(
        &self,
        name: &TopicName,
        partition: PartitionId,
        freshness: Freshness,
    ) -> Result<Tail, Error> {
        let deadline = Instant::now() + READ_DEADLINE;
        let errand = self.inner.errand(name, partition, Ask::Tail { freshness }, deadline)?;
        self.inner.tail_of(errand).await
    }

    /// The partition a record without a key goes to next: round-robin per topic.
    pub fn next_partition(&self, name: &TopicName) -> Result<PartitionId, Error> {
        let image = self.inner.image();
        let topic = image.topic(name)?;
        let turn = self.inner.round_of(topic.id, &image).fetch_add(1, Ordering::Relaxed);
        Ok(PartitionId(turn % topic.partition_count().max(1)))
    }

    /// The partition a key goes to: Kafka's murmur2 modulo the partition count.
    pub fn partition_of(&self, name: &TopicName, key: &[u8]) -> Result<PartitionId, Error> {
        let partitions = self.inner.image().topic(name)?.partition_count();
        Ok(self.inner.partitioner.partition(key, partitions))
    }

    /// The most bytes a batch of the topic may have.
    pub fn batch_bytes_max(&self, name: &TopicName) -> Result<usize, Error> {
        Ok(self.inner.image().topic(name)?.settings.batch_bytes_max())
    }

    /// Whether records of the topic need keys, because it is compacted.
    pub fn needs_keys(&self, name: &TopicName) -> Result<bool, Error> {
        Ok(self.inner.image().topic(name)?.settings.cleaning().is_some())
    }

    /// The codec that the topic's batches have in its log, unless it is their producer's.
    pub fn compression(&self, name: &TopicName) -> Result<Option<Compression>, Error> {
        Ok(self.inner.image().topic(name)?.settings.compression())
    }

    /// Waits until the cluster refuses this node, and says why. Never returns for one it wants.
    pub async fn refused(&self) -> String {
        let mut refused = self.inner.refused.subscribe();
        match refused.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(why)) => why.clone(),
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Inner {
    fn replicated(&self) -> MutexGuard<'_, BTreeMap<GroupId, Replicated>> {
        self.replicated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// What a group is called in messages.
    fn name_of(&self, group: GroupId) -> String {
        self.image().name_of(group)
    }

    fn errand(
        &self,
        name: &TopicName,
        partition: PartitionId,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Errand, Error> {
        let image = self.image();
        let (_, placed) = image.partition(name, partition)?;
        Ok(Errand {
            group: placed.group,
            name: format!("{name}-{partition}"),
            candidates: placed.replicas.clone(),
            ask,
            payload: None,
            deadline,
        })
    }

    async fn tail_of(&self, errand: Errand) -> Result<Tail, Error> {
        match self.route(errand).await? {
            Reply::Tail(tail) => Ok(tail),
            other @ (Reply::Produced(_)
            | Reply::Fetched(_)
            | Reply::Changed(_)
            | Reply::Status(_)
            | Reply::Settled
            | Reply::Group(_)) => Err(unexpected(&other)),
        }
    }

    fn round_of(&self, topic: Uuid, image: &Image) -> Arc<AtomicU32> {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = image.topics().count();
        if round.len() > 2 * topics {
            let ids: Vec<Uuid> = image.topics().map(|(_, topic)| topic.id).collect();
            round.retain(|id, _| ids.contains(id));
        }
        Arc::clone(round.entry(topic).or_default())
    }
}

fn check_batch_size(name: &str, bytes: usize, bytes_max: usize) -> Result<(), Error> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let message =
        format!("{name}: a batch of {bytes} bytes; max.message.bytes of the topic is {bytes_max}");
    Err(Error::new(ErrorKind::RecordTooLarge, message))
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorKind::Internal, format!("an answer of the wrong kind: {reply:?}"))
}

/// The partitioner of a broker that was not told otherwise.
fn default_partitioner() -> Arc<dyn Partitioner> {
    Arc::new(Murmur2)
}
