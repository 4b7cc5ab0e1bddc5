//! A cluster of real `ottla` processes on loopback, for tests that kill them.
//!
//! Every wait has a deadline and a condition; a node is ended by its own process id only, and all are
//! gone when the cluster is dropped.
#![allow(dead_code, unused_imports, unused_macros, reason = "each test file uses a part of it")]

pub mod consumers;
pub mod deaf;
pub mod load;

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// The longest any wait of a test takes before it fails.
pub const DEADLINE: Duration = Duration::from_mins(1);
/// Between two looks at a condition that has no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until `condition` gives a value; panics with `what` at the deadline.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// Every test runs on every engine that can pass it.
macro_rules! on_engines {
    ($($name:ident: $($engine:ident)*;)*) => {
        $(mod $name {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $engine() {
                super::$name(stringify!($engine)).await;
            })*
        })*
    };
}
pub(crate) use on_engines;

/// How a cluster is started.
#[derive(Clone)]
pub struct Options {
    /// How many nodes.
    pub nodes: usize,
    /// `segment` or `sled`.
    pub engine: &'static str,
    /// More flags for every node.
    pub flags: Vec<String>,
}

impl Options {
    pub fn three(engine: &'static str) -> Self {
        Self { nodes: 3, engine, flags: Vec::new() }
    }

    pub fn with_flag(mut self, flag: &str, value: u64) -> Self {
        self.flags.push(flag.to_owned());
        self.flags.push(value.to_string());
        self
    }
}

/// One node: its addresses outlive its process.
pub struct Node {
    pub id: u64,
    pub http: String,
    pub peer: String,
    pub data: PathBuf,
    child: Option<Child>,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub client: reqwest::Client,
    options: Options,
    dir: TempDir,
}

/// Addresses that are free and stay so: a node that is killed finds its own again. They are on a loopback
/// address that is this cluster's alone, so that no connection's own port, nor another test, takes one meanwhile.
fn free_addresses(count: usize) -> Vec<String> {
    let [a, b, c] = rand::random::<[u8; 3]>();
    let host = Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254));
    // All are held until all are known, so no two are the same.
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((host, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

impl Cluster {
    /// Starts the nodes and waits until the cluster says that it is healthy.
    pub async fn start(options: Options) -> Self {
        let mut cluster = Self::prepare(options);
        for at in 0..cluster.nodes.len() {
            cluster.start_node(at);
        }
        cluster.until_healthy().await;
        cluster
    }

    /// Chooses addresses and directories; starts nothing.
    pub fn prepare(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses = free_addresses(options.nodes * 2);
        let nodes = (0..options.nodes)
            .map(|at| Node {
                id: at as u64 + 1,
                http: addresses[at * 2].clone(),
                peer: addresses[at * 2 + 1].clone(),
                data: dir.path().join(format!("node-{}", at + 1)),
                child: None,
            })
            .collect();
        let client = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        Self { nodes, client, options, dir }
    }

    /// The `--initial` list of the cluster.
    pub fn initial(&self) -> String {
        let mut list = String::new();
        for node in &self.nodes {
            write!(list, "{}{}={}", if list.is_empty() { "" } else { "," }, node.id, node.peer)
                .unwrap();
        }
        list
    }

    /// The command that starts a node, for tests that expect it to refuse.
    pub fn command(&self, at: usize) -> Command {
        let node = &self.nodes[at];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command
            .arg("server")
            .args(["--node-id", &node.id.to_string()])
            .args(["--data", node.data.to_str().unwrap()])
            .args(["--http", &node.http])
            .args(["--peer", &node.peer])
            .args(["--initial", &self.initial()])
            .args(["--engine", self.options.engine])
            .args(&self.options.flags)
            .stdin(Stdio::null());
        command
    }

    pub fn start_node(&mut self, at: usize) {
        std::fs::create_dir_all(&self.nodes[at].data).unwrap();
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.log_path(at)).unwrap();
        let mut command = self.command(at);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        assert!(self.nodes[at].child.is_none(), "node {} runs already", at + 1);
        self.nodes[at].child = Some(command.spawn().unwrap());
    }

    pub fn log_path(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("node-{}.log", at + 1))
    }

    /// What a node wrote to its log so far.
    pub fn log_text(&self, at: usize) -> String {
        std::fs::read_to_string(self.log_path(at)).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self, at: usize) {
        let mut child = self.nodes[at].child.take().expect("the node runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGSTOP: the node hangs, its connections stay. Returns once no thread of it runs any more.
    pub async fn pause(&self, at: usize) {
        self.signal(at, rustix::process::Signal::STOP);
        let child = self.nodes[at].child.as_ref().expect("the node runs");
        let threads = format!("/proc/{}/task", child.id());
        eventually("every thread stands still", async || {
            let states = std::fs::read_dir(&threads).ok()?.map(|thread| {
                let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
                stat.rsplit_once(") ")?.1.chars().next()
            });
            states.into_iter().all(|state| state == Some('T')).then_some(())
        })
        .await;
    }

    /// SIGCONT.
    pub fn resume(&self, at: usize) {
        self.signal(at, rustix::process::Signal::CONT);
    }

    fn signal(&self, at: usize, signal: rustix::process::Signal) {
        let child = self.nodes[at].child.as_ref().expect("the node runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    /// SIGTERM, and waits for a clean end.
    pub async fn terminate(&mut self, at: usize) {
        self.signal(at, rustix::process::Signal::TERM);
        let mut child = self.nodes[at].child.take().expect("the node runs");
        let status =
            eventually("a node ends after SIGTERM", async || child.try_wait().unwrap()).await;
        assert!(status.success(), "node {} ended with {status}:\n{}", at + 1, self.log_text(at));
    }

    /// Waits until a node has ended by itself.
    pub async fn until_ended(&mut self, at: usize) -> std::process::ExitStatus {
        let mut child = self.nodes[at].child.take().expect("the node runs");
        eventually("the node ends", async || child.try_wait().unwrap()).await
    }

    pub fn runs(&self, at: usize) -> bool {
        self.nodes[at].child.is_some()
    }

    /// The process of a node that runs.
    pub fn process_id(&self, at: usize) -> u32 {
        self.nodes[at].child.as_ref().expect("the node runs").id()
    }

    pub fn url(&self, at: usize, path: &str) -> String {
        format!("http://{}{path}", self.nodes[at].http)
    }

    pub async fn get(&self, at: usize, path: &str) -> Option<Value> {
        let answer = self.client.get(self.url(at, path)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// Waits until every running node finds the cluster healthy.
    pub async fn until_healthy(&self) {
        for at in (0..self.nodes.len()).filter(|at| self.runs(*at)) {
            let mut last = Value::Null;
            let waiting = async {
                loop {
                    if let Some(health) = self.get(at, "/v1/cluster/health").await {
                        if health["healthy"] == true {
                            return;
                        }
                        last = health;
                    }
                    sleep(LOOK_AGAIN).await;
                }
            };
            let in_time = timeout(DEADLINE, waiting).await.is_ok();
            assert!(in_time, "node {} is not healthy: {last}\n{}", at + 1, self.log_text(at));
        }
    }

    pub async fn create_topic(&self, name: &str, partitions: u32, config: Value) {
        let body = json!({"partitions": partitions, "replication_factor": 3, "config": config});
        let at = (0..self.nodes.len()).find(|at| self.runs(*at)).expect("a node runs");
        let answer = self
            .client
            .put(self.url(at, &format!("/v1/topics/{name}")))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 201, "{text}");
    }

    /// The topic as a running node describes it.
    pub async fn describe(&self, topic: &str) -> Option<Value> {
        for at in (0..self.nodes.len()).filter(|at| self.runs(*at)) {
            if let Some(view) = self.get(at, &format!("/v1/topics/{topic}")).await {
                return Some(view);
            }
        }
        None
    }

    /// Which node (position) leads the partition, once one does.
    pub async fn leader(&self, topic: &str, partition: usize) -> usize {
        eventually("the partition has a leader", async || {
            let view = self.describe(topic).await?;
            let id = view["partitions"][partition]["leader"].as_u64()?;
            self.nodes.iter().position(|node| node.id == id)
        })
        .await
    }

    /// Waits until every node that runs serves and every replica of every partition of the topic is in sync. The
    /// second alone may be of a second ago, from before a node was killed.
    pub async fn until_in_sync(&self, topic: &str) {
        eventually("every node serves and every replica is in sync", async || {
            let running = (0..self.nodes.len()).filter(|at| self.runs(*at));
            for at in running {
                let answer = self.client.get(self.url(at, "/readyz")).send().await.ok()?;
                answer.status().is_success().then_some(())?;
            }
            let view = self.describe(topic).await?;
            view["partitions"]
                .as_array()?
                .iter()
                .all(|p| {
                    p["in_sync"].as_array().map(Vec::len) == p["replicas"].as_array().map(Vec::len)
                })
                .then_some(())
        })
        .await;
    }

    /// Every record of a partition from `offset` on, as (offset, value), read through node `at`.
    pub async fn read_all(&self, at: usize, topic: &str, partition: u32) -> Vec<(u64, String)> {
        let mut records = Vec::new();
        let mut from = "earliest".to_owned();
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < DEADLINE, "reading {topic}-{partition} takes too long");
            let path = format!(
                "/v1/topics/{topic}/partitions/{partition}/records?offset={from}&read=linearizable&max_bytes=4194304"
            );
            let answer = match self.client.get(self.url(at, &path)).send().await {
                Ok(answer) if answer.status() == 200 => answer,
                Ok(answer) => {
                    let status = answer.status();
                    let text = answer.text().await.unwrap_or_default();
                    assert!(status.is_server_error(), "{path}: {status}: {text}");
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                Err(error) => panic!("{path}: {error:?}\n{}", self.logs()),
            };
            let number =
                |name: &str| -> u64 { answer.headers()[name].to_str().unwrap().parse().unwrap() };
            let (next, end) = (number("next-offset"), number("high-watermark"));
            let page: Value = answer.json().await.unwrap();
            for record in page["records"].as_array().expect("a page holds records") {
                let value = &record["value"];
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                records.push((record["offset"].as_u64().unwrap(), value));
            }
            if next >= end {
                return records;
            }
            from = next.to_string();
        }
    }

    /// Bytes on disk (allocated) below a node's data directory.
    pub fn disk_bytes(&self, at: usize) -> u64 {
        allocated(&self.nodes[at].data)
    }

    /// Everything about the cluster a failed test needs.
    pub fn logs(&self) -> String {
        let logs =
            (0..self.nodes.len()).map(|at| format!("--- node {}\n{}\n", at + 1, self.log_text(at)));
        logs.collect::<Vec<_>>().concat()
    }
}

fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => allocated(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                child.kill().ok();
                child.wait().ok();
            }
        }
    }
}
