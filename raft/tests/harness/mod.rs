//! A cluster in this process: real stores in temporary directories, real TCP on loopback. Each node has
//! a runtime of its own, so that it can die like a process: all its tasks and sockets at once.

mod proxy;

use crate::invariants::History;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, join_all};
use proxy::Proxy;
use raft::transport::{Handler, Hello, Request};
use raft::{
    Acks, Group, GroupId, GroupSpec, Machine, Node, NodeId, NodeOptions, Offset, Outcome, Position,
    Proposal, Role, Timing,
};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::batch::{Compression, HEADER_BYTES, Record, RecordBatch, summary};
use storage::disk::{Disk, RealDisk};
use storage::{EngineKind, EntryKind, FlushPolicy, Roll, Store, StoreOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// Nothing here takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A deadline for one step.
pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Waits for a condition that is looked at again whenever something may have changed.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = soon();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A machine that remembers its commands and counts the records it hears of.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<Vec<u8>>,
    records: u64,
}

/// A command that is answered with the records that the leader's machine has heard of.
pub const COUNT_RECORDS: &str = "how many records?";

impl Machine for Words {
    fn apply(&mut self, _at: Position, command: &[u8]) -> Vec<u8> {
        self.words.push(command.to_vec());
        let answer = if command == COUNT_RECORDS.as_bytes() {
            self.records
        } else {
            u64::try_from(self.words.len()).unwrap()
        };
        answer.to_string().into_bytes()
    }
    fn data(&mut self, _at: Position, base_offset: Offset, batch_header: &[u8]) {
        assert_eq!(base_offset.get(), self.records, "it hears of each batch once, in order");
        assert_eq!(batch_header.len(), HEADER_BYTES);
        self.records += u64::from(summary(batch_header).unwrap().0);
    }
    fn checkpoint(&self) -> Vec<u8> {
        storage::codec::encode(&(&self.words, self.records))
    }
    fn restore(&mut self, state: &[u8]) -> io::Result<()> {
        (self.words, self.records) = storage::codec::decode(state)?;
        Ok(())
    }
}

struct Everyone;

impl Handler for Everyone {
    fn admit(&self, _hello: &Hello) -> Result<(), String> {
        Ok(())
    }
    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>> {
        async move { vec![request.body] }.boxed()
    }
}

struct Running {
    node: Node,
    store: Store,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Member {
    dir: TempDir,
    running: Option<Running>,
    address: String,
}

pub struct Cluster {
    members: BTreeMap<NodeId, Member>,
    groups: BTreeMap<GroupId, GroupSpec>,
    recorders: JoinSet<()>,
    /// In front of a node (second) for a peer that dials it (first); none: they dial it directly.
    proxies: BTreeMap<(NodeId, NodeId), Proxy>,
    /// A disk of its own for a node; none: the real one.
    pub disks: BTreeMap<NodeId, Arc<dyn Disk>>,
    pub history: History,
    pub engine: EngineKind,
    pub timing: Timing,
    pub segment_bytes: u64,
    pub proposal_bytes_max: usize,
}

impl Cluster {
    pub fn new(count: u64) -> Self {
        let member =
            || Member { dir: tempfile::tempdir().unwrap(), running: None, address: String::new() };
        Self {
            members: (1..=count).map(|node| (NodeId(node), member())).collect(),
            groups: BTreeMap::new(),
            recorders: JoinSet::new(),
            proxies: BTreeMap::new(),
            disks: BTreeMap::new(),
            history: History::default(),
            engine: EngineKind::Segment,
            timing: Timing::default(),
            segment_bytes: 1 << 20,
            proposal_bytes_max: 64 << 20,
        }
    }

    /// A cluster of three with one group, started.
    pub async fn three() -> Self {
        let mut cluster = Self::new(3);
        cluster.start_all().await;
        cluster.open(1, FlushPolicy::Always).await;
        cluster
    }

    /// The same, on wires that can be cut.
    pub async fn three_on_wires() -> Self {
        let mut cluster = Self::new(3);
        cluster.wire().await;
        cluster.start_all().await;
        cluster.open(1, FlushPolicy::Always).await;
        cluster
    }

    pub async fn wire(&mut self) {
        for from in self.ids() {
            for to in self.ids().into_iter().filter(|to| *to != from) {
                self.proxies.insert((from, to), Proxy::start().await);
            }
        }
    }

    /// Cuts a node off from all others, or joins it again.
    pub fn isolate(&self, node: NodeId, cut: bool) {
        for ((from, to), proxy) in &self.proxies {
            if *from == node || *to == node {
                proxy.cut(cut);
            }
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    pub async fn start_all(&mut self) {
        for id in self.ids() {
            self.start(id).await;
        }
    }

    /// Starts a node that is not running, with every group.
    pub async fn start(&mut self, id: NodeId) {
        let member = self.members.get_mut(&id).unwrap();
        assert!(member.running.is_none(), "node {id} runs");
        let options = StoreOptions {
            dir: PathBuf::from(member.dir.path()),
            engine: self.engine,
            disk: self.disks.get(&id).cloned().unwrap_or_else(|| Arc::new(RealDisk)),
            segment_bytes: self.segment_bytes,
            tail_cache_bytes: 16 << 20,
        };
        // A killed node's tasks let go of the directory when their runtime has dropped them.
        let store = until("the data directory is free", async || {
            let options = options.clone();
            match tokio::task::spawn_blocking(move || Store::open(options)).await.unwrap() {
                Ok(store) => Some(store),
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let options = NodeOptions {
            id,
            disk: Uuid::from_u128(u128::from(id.0)),
            cluster: Uuid::nil(),
            store: store.clone(),
            timing: self.timing,
            proposal_bytes_max: self.proposal_bytes_max,
        };
        let starting = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (Node::start(options, listener, Arc::new(Everyone)).await.unwrap(), address)
        });
        let (node, address) = starting.await.unwrap();
        member.address = address;
        member.running = Some(Running { node, store, runtime: Some(runtime) });
        self.introduce();
        for spec in self.groups.values().cloned().collect::<Vec<_>>() {
            self.open_on(id, spec).await;
        }
    }

    fn introduce(&self) {
        for (id, member) in &self.members {
            for Running { node, .. } in
                self.members.values().filter_map(|member| member.running.as_ref())
            {
                if node.id() == *id || member.address.is_empty() {
                    continue;
                }
                match self.proxies.get(&(node.id(), *id)) {
                    Some(proxy) => {
                        proxy.point(&member.address);
                        node.set_peer(*id, &proxy.address);
                    }
                    None => node.set_peer(*id, &member.address),
                }
            }
        }
    }

    async fn open_on(&mut self, id: NodeId, spec: GroupSpec) {
        let running = self.members[&id].running.as_ref().unwrap();
        let (id, group) = opened(id, running, spec).await;
        self.record(id, &group);
    }

    /// Opens a group that is not opened at a start by itself.
    pub async fn try_open(&self, id: NodeId, group: u64) -> io::Result<Group> {
        let spec = GroupSpec {
            id: GroupId::new(group),
            voters: self.ids(),
            flush: FlushPolicy::Always,
            roll: Roll::default(),
        };
        let node = self.node(id);
        let runtime = self.members[&id].running.as_ref().unwrap().runtime.as_ref().unwrap();
        runtime.spawn(async move { node.open(spec, Box::<Words>::default()).await }).await.unwrap()
    }

    /// From now on a group is not opened at a start.
    pub fn leave_closed(&mut self, group: u64) {
        self.groups.remove(&GroupId::new(group));
    }

    /// Where a node keeps its data.
    pub fn dir(&self, id: NodeId) -> &Path {
        self.members[&id].dir.path()
    }

    fn record(&mut self, id: NodeId, group: &Group) {
        let history = self.history.clone();
        let (mut roles, name) = (group.watch_role(), group.id());
        self.recorders.spawn(async move {
            loop {
                let role = *roles.borrow_and_update();
                history.role(name, id, role);
                if roles.changed().await.is_err() {
                    return;
                }
            }
        });
        let history = self.history.clone();
        let mut watermarks = group.watch_watermark();
        let run = history.new_run();
        self.recorders.spawn(async move {
            loop {
                let watermark = *watermarks.borrow_and_update();
                history.watermark(name, id, run, watermark);
                if watermarks.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Opens a group on every running node; the voters are all nodes, the preferred leader by id.
    pub async fn open(&mut self, id: u64, flush: FlushPolicy) {
        let mut voters = self.ids();
        let at = usize::try_from(id).unwrap() % voters.len();
        voters.rotate_left(at);
        self.open_spec(GroupSpec { id: GroupId::new(id), voters, flush, roll: Roll::default() })
            .await;
    }

    /// Opens a group on every running node, with these voters.
    pub async fn open_with(&mut self, id: u64, flush: FlushPolicy, voters: &[u64]) {
        let voters = voters.iter().copied().map(NodeId).collect();
        self.open_spec(GroupSpec { id: GroupId::new(id), voters, flush, roll: Roll::default() })
            .await;
    }

    async fn open_spec(&mut self, spec: GroupSpec) {
        self.groups.insert(spec.id, spec.clone());
        let opening = self.members.iter().filter_map(|(id, member)| {
            let running = member.running.as_ref()?;
            Some(opened(*id, running, spec.clone()))
        });
        for (id, group) in join_all(opening).await {
            self.record(id, &group);
        }
    }

    pub fn running(&self) -> Vec<NodeId> {
        let running = self.members.iter().filter(|(_, member)| member.running.is_some());
        running.map(|(id, _)| *id).collect()
    }

    pub fn node(&self, id: NodeId) -> Node {
        self.members[&id].running.as_ref().unwrap().node.clone()
    }

    pub fn group(&self, id: NodeId, group: u64) -> Group {
        self.node(id).group(GroupId::new(group)).unwrap()
    }

    /// Every running replica of a group.
    pub fn replicas(&self, group: u64) -> Vec<Group> {
        self.running().into_iter().map(|node| self.group(node, group)).collect()
    }

    /// Stops a node in order.
    pub async fn stop(&mut self, id: NodeId) {
        let running = self.members.get_mut(&id).unwrap().running.take().unwrap();
        running.node.shutdown().await;
        close(running).await;
    }

    /// Ends a node like a process that is killed: no word to anyone.
    pub async fn kill(&mut self, id: NodeId) {
        let running = self.members.get_mut(&id).unwrap().running.take().unwrap();
        tokio::task::spawn_blocking(move || drop(running)).await.unwrap();
    }

    pub async fn kill_all(&mut self) {
        for id in self.running() {
            self.kill(id).await;
        }
    }

    /// Stops every node, all at the same time.
    pub async fn stop_all(&mut self) {
        let running: Vec<_> =
            self.members.values_mut().filter_map(|member| member.running.take()).collect();
        join_all(running.iter().map(|running| running.node.shutdown())).await;
        for running in running {
            close(running).await;
        }
    }

    /// The node that serves as leader of a group among `among`.
    pub async fn leader_among(&self, group: u64, among: &[NodeId]) -> NodeId {
        until(&format!("a leader of group {group}"), async || {
            among
                .iter()
                .copied()
                .filter(|node| matches!(self.group(*node, group).role(), Role::Leading { .. }))
                .max_by_key(|node| self.group(*node, group).role().term())
        })
        .await
    }

    pub async fn leader(&self, group: u64) -> NodeId {
        self.leader_among(group, &self.running()).await
    }

    /// Makes a node lead a group. A transfer is a request, not a promise: a candidate on a busy machine may
    /// lose its election, and then another leads, which is asked in its turn.
    pub async fn make_lead(&self, node: NodeId, group: u64) {
        until(&format!("node {node} leads group {group}"), async || {
            let leader = self.leader(group).await;
            if leader == node {
                return Some(());
            }
            // Refused while that node is not in sync.
            drop(self.group(leader, group).transfer_leader(node).await);
            None
        })
        .await;
    }

    /// Proposes records at whoever leads until one takes them.
    pub async fn produce(&self, group: u64, values: &[&str]) -> Offset {
        let deadline = soon();
        loop {
            let leader = self.leader(group).await;
            match self.group(leader, group).propose(records(values), deadline).await {
                Outcome::Appended(appended) => return appended.base_offset,
                Outcome::NotAppended(_) if Instant::now() < deadline => {}
                Outcome::NotAppended(why) => panic!("{why}"),
                Outcome::Unknown(why) => panic!("{why}"),
            }
        }
    }

    /// Waits until every running replica has applied what the leader has.
    pub async fn settle(&self, group: u64) {
        until("every replica has everything", async || {
            let leader = self.leader(group).await;
            let end = self.group(leader, group).linearize(soon()).await.ok()?;
            let all = self.replicas(group);
            all.iter().all(|replica| replica.watermark() == end).then_some(())
        })
        .await;
    }

    /// Everything a replica has committed, as record values.
    pub async fn values(&self, id: NodeId, group: u64) -> Vec<String> {
        values(&self.group(id, group)).await
    }
}

/// Opens a group on a node's own runtime.
async fn opened(id: NodeId, running: &Running, spec: GroupSpec) -> (NodeId, Group) {
    let node = running.node.clone();
    let runtime = running.runtime.as_ref().unwrap();
    let opening = runtime.spawn(async move { node.open(spec, Box::<Words>::default()).await });
    (id, opening.await.unwrap().unwrap())
}

async fn close(running: Running) {
    let store = running.store.clone();
    drop(running);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

/// A proposal of one batch.
pub fn records(values: &[&str]) -> Proposal {
    let records: Vec<Record> = values
        .iter()
        .map(|value| Record {
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Record::default()
        })
        .collect();
    Proposal {
        kind: EntryKind::Data,
        payload: RecordBatch::build(&records, Compression::None).into_bytes(),
        acks: Acks::Quorum,
        expected_end: None,
    }
}

/// A command.
pub fn command(text: &str) -> Proposal {
    Proposal {
        kind: EntryKind::Command,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        acks: Acks::Quorum,
        expected_end: None,
    }
}

/// Everything a replica has committed, as record values.
pub async fn values(group: &Group) -> Vec<String> {
    let mut next = group.watermark().log_start;
    let mut values = Vec::new();
    loop {
        let batches = group.read(next, 1 << 20).await.unwrap();
        if batches.is_empty() {
            return values;
        }
        for bytes in batches {
            let batch = RecordBatch::stored(bytes).unwrap();
            for record in batch.records(1 << 20).unwrap() {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
            let base = u64::try_from(batch.base_offset()).unwrap();
            next = Offset::new(base + u64::from(batch.record_count()));
        }
    }
}
