//! Members of consumer groups over HTTP that remember everything they were given, and a book for each
//! group that holds it against what must be true at every moment:
//!
//! - a partition has one reader in a generation;
//! - nobody is given a record before somebody of the group was given every one before it;
//! - what is committed was given before, and never goes back.

use super::Cluster;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long a request may hang, as at a node that is stopped.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries, and two heartbeats of a member that fetches by itself.
const PACE: Duration = Duration::from_millis(100);
const SESSION_MS: u64 = 2500;

/// The nodes, asked in turn.
#[derive(Clone)]
pub struct Nodes {
    http: reqwest::Client,
    addresses: Vec<String>,
    turn: usize,
}

/// What a request came to.
pub struct Told {
    pub status: u16,
    pub body: Value,
}

impl Nodes {
    pub fn of(cluster: &Cluster, turn: usize) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let addresses = cluster.nodes.iter().map(|node| node.http.clone()).collect();
        Self { http, addresses, turn }
    }

    /// Asks one node; the next one is asked next, if this one has no answer.
    pub async fn ask(
        &mut self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Told> {
        let address = &self.addresses[self.turn % self.addresses.len()];
        let mut request = self.http.request(method, format!("http://{address}{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let told = async {
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            let text = answer.text().await.ok()?;
            Some(Told { status, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
        };
        let told = told.await.filter(|told| told.status < 500 && told.status != 429);
        if told.is_none() {
            self.turn += 1;
            sleep(PACE).await;
        }
        told
    }

    pub async fn get(&mut self, path: &str) -> Option<Value> {
        let told = self.ask(reqwest::Method::GET, path, None).await?;
        (told.status == 200).then_some(told.body)
    }
}

/// What a group was given and has committed.
#[derive(Default)]
pub struct Book {
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    /// By partition: the values, in order, without a gap.
    given: BTreeMap<u64, Vec<String>>,
    /// Who read a partition in which generation.
    readers: BTreeMap<(u64, u64), String>,
    /// How often a record came that had come before.
    repeated: usize,
    /// The largest offset a member was told is committed.
    committed: BTreeMap<u64, u64>,
    fenced: usize,
}

impl Book {
    /// A member was given a record in a generation.
    fn note(&self, member: &str, generation: u64, partition: u64, record: &Value) {
        let (offset, value) =
            (record["offset"].as_u64().unwrap(), record["value"].as_str().unwrap());
        let mut rows = self.rows.lock().unwrap();
        let reader = rows.readers.entry((partition, generation)).or_insert_with(|| member.into());
        assert_eq!(
            reader, member,
            "partition {partition} has one reader in generation {generation}"
        );
        let given = rows.given.entry(partition).or_default();
        let offset = usize::try_from(offset).unwrap();
        assert!(
            offset <= given.len(),
            "{member} was given offset {offset} of partition {partition}, and nobody {}",
            given.len()
        );
        match given.get(offset) {
            Some(known) => {
                assert_eq!(known, value, "offset {offset} of partition {partition}");
                rows.repeated += 1;
            }
            None => given.push(value.to_owned()),
        }
    }

    fn note_committed(&self, partition: u64, offset: u64) {
        let mut rows = self.rows.lock().unwrap();
        let committed = rows.committed.entry(partition).or_default();
        *committed = (*committed).max(offset);
    }

    fn note_fenced(&self) {
        self.rows.lock().unwrap().fenced += 1;
    }

    /// Commits that were refused to members that had been replaced.
    pub fn fenced(&self) -> usize {
        self.rows.lock().unwrap().fenced
    }

    /// How many different records were given.
    pub fn given(&self) -> usize {
        self.rows.lock().unwrap().given.values().map(Vec::len).sum()
    }

    /// How many came more than once.
    pub fn repeated(&self) -> usize {
        self.rows.lock().unwrap().repeated
    }

    /// Everything that was given of a partition.
    pub fn values(&self, partition: u64) -> Vec<String> {
        self.rows.lock().unwrap().given.get(&partition).cloned().unwrap_or_default()
    }
}

/// Reads what a group has committed, again and again, through all nodes: it never goes back, is never
/// less than a member was told, and never more than members were given.
pub struct Watcher {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Watcher {
    pub fn start(cluster: &Cluster, group: &'static str, book: Arc<Book>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut nodes = Nodes::of(cluster, 0);
        let task = tokio::spawn(async move {
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            while !*stopped.borrow() {
                let told = book.rows.lock().unwrap().committed.clone();
                let read = nodes.get(&format!("/v1/groups/{group}/offsets")).await;
                nodes.turn += 1;
                let Some(read) = read else { continue };
                let mut now = BTreeMap::new();
                for row in read["offsets"].as_array().unwrap() {
                    if let Some(offset) = row["offset"].as_u64() {
                        now.insert(row["partition"].as_u64().unwrap(), offset);
                    }
                }
                for (partition, before) in last.iter().chain(&told) {
                    let offset = now.get(partition);
                    assert!(
                        offset >= Some(before),
                        "{group}: partition {partition} went back from {before} to {offset:?}"
                    );
                }
                for (partition, offset) in &now {
                    let given = book.values(*partition).len() as u64;
                    assert!(
                        *offset <= given,
                        "{group}: {offset} of partition {partition} is committed, {given} given"
                    );
                }
                last = now;
                sleep(PACE).await;
            }
        });
        Self { stop, task }
    }

    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

/// What a member is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Run,
    /// Stand still wherever it is, as a stopped process does.
    Pause,
    /// Leave in order.
    Leave,
}

/// A member of a group, in the background.
pub struct Member {
    wish: watch::Sender<Wish>,
    /// What it is called by its coordinator, once it has joined.
    pub id: watch::Receiver<String>,
    task: JoinHandle<()>,
}

/// What a member's task works with.
struct Life {
    nodes: Nodes,
    group: &'static str,
    topic: &'static str,
    book: Arc<Book>,
    wish: watch::Receiver<Wish>,
    name: watch::Sender<String>,
}

/// A member's membership is over: it has to join anew.
struct Over;

impl Member {
    /// A member that fetches by itself, commits each page, and heartbeats.
    pub fn fetching(
        cluster: &Cluster,
        group: &'static str,
        topic: &'static str,
        book: &Arc<Book>,
    ) -> Self {
        Self::start(cluster, group, topic, book, Life::fetch)
    }

    /// A member that polls, and whose records are committed for it.
    pub fn polling(
        cluster: &Cluster,
        group: &'static str,
        topic: &'static str,
        book: &Arc<Book>,
    ) -> Self {
        Self::start(cluster, group, topic, book, Life::poll)
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        cluster: &Cluster,
        group: &'static str,
        topic: &'static str,
        book: &Arc<Book>,
        course: impl FnOnce(Life) -> F,
    ) -> Self {
        let (wish, wished) = watch::channel(Wish::Run);
        let (name, id) = watch::channel(String::new());
        let turn = group.len();
        let nodes = Nodes::of(cluster, turn);
        let life = Life { nodes, group, topic, book: Arc::clone(book), wish: wished, name };
        Self { wish, id, task: tokio::spawn(course(life)) }
    }

    pub fn wish(&self, wish: Wish) {
        self.wish.send_replace(wish);
    }

    /// Ends it as `kill -9` ends a process: wherever it is.
    pub async fn crash(self) {
        self.task.abort();
        if let Err(ended) = self.task.await {
            assert!(ended.is_cancelled(), "a member failed: {ended}");
        }
    }

    /// Waits until it has left.
    pub async fn leave(self) {
        self.wish(Wish::Leave);
        self.task.await.unwrap();
    }
}

impl Life {
    fn path(&self, id: &str, rest: &str) -> String {
        format!("/v1/groups/{}/members/{id}{rest}", self.group)
    }

    /// Stands still while it is to; false once it is to leave.
    async fn goes_on(&mut self) -> bool {
        let mut wish = self.wish.clone();
        // An error means that the test is over.
        let wished = wish.wait_for(|wish| *wish != Wish::Pause).await;
        wished.is_ok_and(|wish| *wish == Wish::Run)
    }

    async fn join(&mut self, delivery: &str) -> (String, Value) {
        let body = json!({
            "topics": [self.topic], "delivery": delivery, "auto_offset_reset": "earliest",
            "session_timeout_ms": SESSION_MS, "rebalance_timeout_ms": 2 * SESSION_MS,
        });
        let path = format!("/v1/groups/{}/members", self.group);
        loop {
            let told = self.nodes.ask(reqwest::Method::POST, &path, Some(&body)).await;
            if let Some(told) = told {
                assert_eq!(told.status, 201, "{}", told.body);
                let id = told.body["member_id"].as_str().unwrap().to_owned();
                self.name.send_replace(id.clone());
                return (id, told.body);
            }
        }
    }

    async fn leave(&mut self, id: &str) {
        let path = self.path(id, "");
        while self.nodes.ask(reqwest::Method::DELETE, &path, None).await.is_none() {}
    }

    async fn poll(mut self) {
        'membership: loop {
            let (id, _) = self.join("server").await;
            // Nothing was received yet.
            let mut delivery = 0;
            while self.goes_on().await {
                let path = self.path(&id, &format!("/records?wait_ms=500&delivery={delivery}"));
                let told = self.nodes.ask(reqwest::Method::GET, &path, None).await;
                if !self.goes_on().await {
                    break;
                }
                let Some(Told { status, body }) = told else { continue };
                if status == 404 {
                    continue 'membership;
                }
                assert_eq!(status, 200, "{body}");
                let generation = body["generation"].as_u64().unwrap();
                for record in body["records"].as_array().unwrap() {
                    self.book.note(&id, generation, record["partition"].as_u64().unwrap(), record);
                }
                delivery = body["delivery"].as_u64().unwrap();
            }
            return self.leave(&id).await;
        }
    }

    async fn fetch(mut self) {
        loop {
            let (id, joined) = self.join("client").await;
            let generation = joined["generation"].as_u64().unwrap();
            if let Ok(()) = self.fetch_as(&id, generation).await {
                return self.leave(&id).await;
            }
        }
    }

    /// Fetches as one member, until it is to leave or is no member any more.
    async fn fetch_as(&mut self, id: &str, mut generation: u64) -> Result<(), Over> {
        // The generation that it has acknowledged for certain.
        let mut epoch = generation;
        let mut next: BTreeMap<u64, u64> = BTreeMap::new();
        while self.goes_on().await {
            let body = json!({"generation": generation});
            let path = self.path(id, "/heartbeat");
            let Some(told) = self.nodes.ask(reqwest::Method::POST, &path, Some(&body)).await else {
                continue;
            };
            let share = checked(told)?;
            if share["generation"].as_u64() == Some(generation) {
                epoch = generation;
            }
            generation = share["generation"].as_u64().unwrap();
            let assigned: BTreeSet<u64> = partitions(&share["assigned"]);
            next.retain(|partition, _| assigned.contains(partition));
            for partition in assigned {
                let from = match next.get(&partition) {
                    Some(from) => *from,
                    None => match self.begin(partition).await {
                        Some(begin) => begin,
                        None => continue,
                    },
                };
                let Some(records) = self.page(partition, from).await else { continue };
                if !self.goes_on().await {
                    return Ok(());
                }
                for record in &records {
                    self.book.note(id, epoch, partition, record);
                }
                let to = from + records.len() as u64;
                if to > from {
                    self.commit(id, epoch, partition, to).await?;
                }
                next.insert(partition, to);
            }
            sleep(PACE).await;
        }
        Ok(())
    }

    /// Where the group is in a partition.
    async fn begin(&mut self, partition: u64) -> Option<u64> {
        let (group, topic) = (self.group, self.topic);
        let path = format!("/v1/groups/{group}/offsets?partitions={topic}:{partition}");
        let read = self.nodes.get(&path).await?;
        Some(read["offsets"][0]["offset"].as_u64().unwrap_or(0))
    }

    async fn page(&mut self, partition: u64, from: u64) -> Option<Vec<Value>> {
        let topic = self.topic;
        let path = format!(
            "/v1/topics/{topic}/partitions/{partition}/records?offset={from}&max_records=100"
        );
        let page = self.nodes.get(&path).await?;
        page["records"].as_array().cloned()
    }

    /// Commits, and asks again until it knows.
    async fn commit(
        &mut self,
        id: &str,
        generation: u64,
        partition: u64,
        offset: u64,
    ) -> Result<(), Over> {
        let path = format!("/v1/groups/{}/offsets", self.group);
        let row = json!({"topic": self.topic, "partition": partition, "offset": offset});
        let body = json!({"offsets": [row], "member_id": id, "generation": generation});
        loop {
            let told = self.nodes.ask(reqwest::Method::PUT, &path, Some(&body)).await;
            let Some(told) = told else { continue };
            if told.status == 204 {
                self.book.note_committed(partition, offset);
                return Ok(());
            }
            self.book.note_fenced();
            return checked(told).map(drop);
        }
    }
}

/// The body of an answer; the end of the membership, if it says that.
fn checked(told: Told) -> Result<Value, Over> {
    match told.status {
        200 => Ok(told.body),
        404 | 409 => Err(Over),
        status => panic!("{status}: {}", told.body),
    }
}

fn partitions(places: &Value) -> BTreeSet<u64> {
    places.as_array().unwrap().iter().map(|place| place["partition"].as_u64().unwrap()).collect()
}
