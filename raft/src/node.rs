//! All groups of a process: one transport, one ticker, one bound on the bytes in flight.

use crate::adapter::codec::Kind;
use crate::adapter::config::Raft;
use crate::adapter::log_store::{LogStore, blocking};
use crate::adapter::machine::StateMachine;
use crate::adapter::network::Network;
use crate::adapter::replica::Replica;
use crate::adapter::service::{refuse, serve};
use crate::group::Inner as GroupInner;
use crate::proposal::Room;
use crate::pulse::{self, Pulse};
use crate::succession;
use crate::supervisor::supervise;
use crate::transport::{Handler, Hello, Lane, Request, Transport, TransportOptions};
use crate::{CallError, Group, GroupHealth, GroupSpec, Machine, NodeId, Role};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, join_all};
use openraft::{Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;
use storage::{FlushPolicy, GroupId, Store, Term};
use tokio::net::TcpListener;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long a shutdown waits for its leaderships to be taken over.
const HANDOVER: Duration = Duration::from_secs(2);
/// Messages that wait for one group's core: proposals beyond it wait with their proposers.
const CORE_QUEUE: u64 = 1024;
/// Proposals the core appends in one go.
const CORE_BATCH: u64 = 256;
/// Notifications (votes, flushes, answers) that wait for one group's core.
const NOTIFICATION_QUEUE: u64 = 4096;
/// Commands that wait for one group's state machine.
const MACHINE_QUEUE: u64 = 128;
/// Entries of one AppendEntries; its bytes are bounded by the log store.
const APPEND_ENTRIES_MAX: u64 = 512;
/// How often a peer that cannot be reached is tried: soon, then every second.
const BACKOFF: &str = "50ms 100ms 200ms 400ms 800ms 1s";

/// Raft's clock. `heartbeat < election_min < election_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of a leader whose group is in use; at rest they are rarer, see `pulse`.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// The longest.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(600),
            election_max: Duration::from_secs(1),
        }
    }
}

/// How a node is started.
#[derive(Clone)]
pub struct NodeOptions {
    /// This node.
    pub id: NodeId,
    /// The identity of its data directory.
    pub disk: Uuid,
    /// The cluster, nil before it belongs to one.
    pub cluster: Uuid,
    /// Its logs.
    pub store: Store,
    /// Raft's clock.
    pub timing: Timing,
    /// The most payload bytes that wait to be committed over all groups; beyond it: `Busy`.
    pub proposal_bytes_max: usize,
}

/// The node; clones are the same node.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    options: NodeOptions,
    transport: Transport,
    doors: Arc<Doors>,
    room: Room,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// Why its locks are never poisoned.
const UNPOISONED: &str = "no one panics while holding the list of groups";

/// Where requests of peers come in: to a group, or to the floor above.
struct Doors {
    groups: RwLock<BTreeMap<GroupId, Group>>,
    /// Groups that could not be opened.
    unopened: Mutex<BTreeMap<GroupId, String>>,
    /// Who opens or removes a group goes before the next who would; gone when nobody does.
    turns: Mutex<BTreeMap<GroupId, Weak<Turn>>>,
    upper: Arc<dyn Handler>,
}

/// The right to open or remove one group.
type Turn = tokio::sync::Mutex<()>;

impl Doors {
    /// Waits until nobody else opens or removes the group: one log never has two cores.
    async fn turn(&self, id: GroupId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().expect(UNPOISONED);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                turns.insert(id, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().expect(UNPOISONED).get(&id).cloned()
    }

    fn groups(&self) -> Vec<Group> {
        self.groups.read().expect(UNPOISONED).values().cloned().collect()
    }
}

impl Handler for Doors {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        self.upper.admit(hello)
    }

    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>> {
        if request.lane == Lane::Call {
            return Arc::clone(&self.upper).handle(request);
        }
        async move {
            let Some(kind) = Kind::of(request.kind) else {
                return refuse(format!("unknown request {}", request.kind));
            };
            match self.group(request.group) {
                Some(group) => serve(&group.inner, kind, request.body).await,
                None => refuse(format!("group {} is not open here", request.group)),
            }
        }
        .boxed()
    }
}

impl Node {
    /// Starts transport and ticker. `upper` admits peers and serves the `Call` lane.
    #[expect(clippy::unused_async, reason = "callers await it: starting may come to need to")]
    pub async fn start(
        options: NodeOptions,
        listener: TcpListener,
        upper: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        let doors = Arc::new(Doors {
            groups: RwLock::default(),
            unopened: Mutex::default(),
            turns: Mutex::default(),
            upper,
        });
        let us =
            TransportOptions { node: options.id, disk: options.disk, cluster: options.cluster };
        let handler: Arc<Doors> = Arc::clone(&doors);
        let transport = Transport::start(us, listener, handler)?;
        let node = Self {
            inner: Arc::new(Inner {
                room: Room::new(options.proposal_bytes_max),
                options,
                transport,
                doors,
                tasks: TaskTracker::new(),
                closing: CancellationToken::new(),
            }),
        };
        let doors = Arc::clone(&node.inner.doors);
        node.inner.tasks.spawn(pulse::run(
            move || doors.groups(),
            node.inner.options.timing,
            node.inner.closing.clone(),
        ));
        let doors = Arc::clone(&node.inner.doors);
        node.inner.tasks.spawn(succession::watch(
            node.inner.transport.peer_events(),
            move || doors.groups(),
            node.inner.tasks.clone(),
            node.inner.closing.clone(),
        ));
        Ok(node)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.inner.options.id
    }

    /// Opens a group: recovers its log, starts its Raft core. A corrupt log is an error here, and
    /// the group is listed as broken; other groups go on. Opening an open group gives its handle.
    pub async fn open(&self, spec: GroupSpec, machine: Box<dyn Machine>) -> io::Result<Group> {
        let _turn = self.inner.doors.turn(spec.id).await;
        if let Some(open) = self.group(spec.id) {
            return Ok(open);
        }
        let id = spec.id;
        match self.start_group(spec, machine).await {
            Ok(group) => {
                self.inner.doors.unopened.lock().expect(UNPOISONED).remove(&id);
                Ok(group)
            }
            Err(error) => {
                tracing::error!(group = %id, node = %self.id(), %error, "group not opened");
                let mut unopened = self.inner.doors.unopened.lock().expect(UNPOISONED);
                unopened.insert(id, error.to_string());
                Err(error)
            }
        }
    }

    async fn start_group(&self, spec: GroupSpec, machine: Box<dyn Machine>) -> io::Result<Group> {
        let Inner { options, transport, doors, room, tasks, closing } = &*self.inner;
        let (store, id, flush, roll) = (options.store.clone(), spec.id, spec.flush, spec.roll);
        let (replica, machine) = blocking(move || {
            let log = store.log(id)?;
            log.set_flush(flush);
            log.set_roll(roll);
            let replica = Arc::new(Replica::new(log));
            let machine = StateMachine::recover(&replica, machine)?;
            Ok((replica, machine))
        })
        .await?;
        let network = Network::new(transport.clone(), id, options.timing);
        let config = Arc::new(config(id, options.timing, flush)?);
        let log_store = LogStore::new(Arc::clone(&replica));
        let raft = Raft::new(options.id.0, config, network, log_store, machine)
            .await
            .map_err(io::Error::other)?;
        let group = Group {
            inner: Arc::new(GroupInner {
                id,
                node: options.id,
                timing: options.timing,
                log: replica.log.clone(),
                raft,
                replica,
                role: watch::Sender::new(Role::Following { term: Term::ZERO, leader: None }),
                broken: Mutex::default(),
                room: room.clone(),
                turns: Arc::default(),
                pulse: Pulse::default(),
                closing: closing.child_token(),
            }),
        };
        doors.groups.write().expect(UNPOISONED).insert(id, group.clone());
        tasks.spawn(supervise(group.clone(), spec.voters));
        Ok(group)
    }

    /// A group that is open here.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.inner.doors.group(id)
    }

    /// All groups that are open here.
    pub fn groups(&self) -> Vec<Group> {
        self.inner.doors.groups()
    }

    /// Groups that could not be opened or stopped, with the reason.
    pub fn broken(&self) -> Vec<(GroupId, String)> {
        let mut broken = self.inner.doors.unopened.lock().expect(UNPOISONED).clone();
        for group in self.groups() {
            if let GroupHealth::Broken(why) = group.health() {
                broken.insert(group.id(), why);
            }
        }
        broken.into_iter().collect()
    }

    /// Stops a group and deletes its log; its disk space returns.
    pub async fn remove(&self, id: GroupId) -> io::Result<()> {
        let _turn = self.inner.doors.turn(id).await;
        let removed = self.inner.doors.groups.write().expect(UNPOISONED).remove(&id);
        if let Some(group) = removed {
            close(&group).await;
        }
        self.inner.doors.unopened.lock().expect(UNPOISONED).remove(&id);
        let store = self.inner.options.store.clone();
        blocking(move || store.remove(id)).await
    }

    /// Tells where a peer is reached.
    pub fn set_peer(&self, node: NodeId, address: &str) {
        self.inner.transport.set_peer(node, address);
    }

    /// The same for a peer whose disk is known: from now on only a node with that disk is talked to.
    pub fn set_peer_with_disk(&self, node: NodeId, address: &str, disk: Uuid) {
        self.inner.transport.set_peer_with_disk(node, address, disk);
    }

    /// From now on we say this cluster to peers.
    pub fn set_cluster(&self, cluster: Uuid) {
        self.inner.transport.set_cluster(cluster);
    }

    /// Whether the peer can be reached, with the last error if not.
    pub fn reachable(&self, node: NodeId) -> Result<(), String> {
        self.inner.transport.reachable(node)
    }

    /// The peer's words, if it refused us when it was last dialled.
    pub fn refused_by(&self, node: NodeId) -> Option<String> {
        self.inner.transport.refused_by(node)
    }

    /// What went over the wires to peers since the start.
    pub fn counters(&self) -> crate::transport::Counters {
        self.inner.transport.counters()
    }

    /// Calls the floor above on another node (its `Handler`), on the `Call` lane.
    #[expect(clippy::too_many_arguments, reason = "the shape of a call; each is used once")]
    pub async fn call(
        &self,
        to: NodeId,
        kind: u8,
        group: GroupId,
        body: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        self.inner.transport.call(to, Lane::Call, kind, group, body, deadline).await
    }

    /// Hands leaderships over where it can, stops every group, closes connections and joins tasks.
    pub async fn shutdown(&self) {
        let groups = self.groups();
        // In vain if we are the last node up: then the bound ends it.
        drop(timeout(HANDOVER, join_all(groups.iter().map(hand_over))).await);
        self.inner.closing.cancel();
        join_all(groups.iter().map(close)).await;
        self.inner.doors.groups.write().expect(UNPOISONED).clear();
        self.inner.transport.shutdown().await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

/// Gives a leadership to a follower that is in sync, and waits until it is gone.
async fn hand_over(group: &Group) {
    let Some(replicas) = group.replicas() else { return };
    let ready: Vec<NodeId> = replicas
        .iter()
        .filter(|replica| replica.voter && replica.in_sync)
        .map(|replica| replica.node)
        .collect();
    let count = u64::try_from(ready.len()).unwrap_or(1).max(1);
    // Spread over the followers by group.
    let at = usize::try_from(group.id().get() % count).unwrap_or(0);
    let Some(to) = ready.get(at) else { return };
    if group.transfer_leader(*to).await.is_ok() {
        let mut roles = group.watch_role();
        let gone = |role: &Role| !matches!(role, Role::Leading { .. } | Role::Taking { .. });
        // An error means the group is gone: so is its leadership.
        drop(roles.wait_for(gone).await);
    }
}

/// Stops a group's core and supervisor.
async fn close(group: &Group) {
    group.inner.closing.cancel();
    if let Err(error) = group.inner.raft.shutdown().await {
        tracing::warn!(group = %group.id(), %error, "group ended badly");
    }
}

/// openraft's configuration of one group.
fn config(id: GroupId, timing: Timing, flush: FlushPolicy) -> io::Result<Config> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let election_min = millis(timing.election_min);
    let config = Config {
        cluster_name: format!("group {id}"),
        // Heartbeats come with the node's pulse. Here it only paces the core's own clock (a fifth of it)
        // and bounds a heartbeat's answer.
        enable_heartbeat: false,
        heartbeat_interval: election_min * 5 / 6,
        election_timeout_min: election_min,
        election_timeout_max: millis(timing.election_max),
        enable_pre_vote: Some(true),
        // After a restart a leader stands for election like anyone else.
        enable_leader_restore: Some(false),
        // A follower that counts entries as flushed before they are may come back without them.
        allow_log_reversion: Some(flush != FlushPolicy::Always),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        max_payload_entries: APPEND_ENTRIES_MAX,
        max_append_entries: Some(APPEND_ENTRIES_MAX),
        api_channel_size: Some(CORE_QUEUE),
        api_batch_capacity: CORE_BATCH,
        notification_channel_size: Some(NOTIFICATION_QUEUE),
        state_machine_channel_size: Some(MACHINE_QUEUE),
        log_stage_capacity: Some(16),
        backoff: BACKOFF.to_owned(),
        install_snapshot_timeout: 10_000,
        ..Config::default()
    };
    config
        .validate()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_timing_is_valid() {
        config(GroupId::ZERO, Timing::default(), FlushPolicy::Always).unwrap();
    }

    #[test]
    fn an_election_that_is_never_due_is_refused() {
        let timing = Timing { election_max: Duration::from_millis(100), ..Timing::default() };
        let error = config(GroupId::ZERO, timing, FlushPolicy::Always).unwrap_err();
        assert!(error.to_string().contains("600"), "{error}");
    }
}
