//! The cluster of the story: `ottla demo` on free ports, in a directory that is removed afterwards.

use crate::Outcome;
use crate::history::Event;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running cluster. If it is dropped without [`Cluster::stop`], the demo is asked to stop.
pub(super) struct Cluster {
    ottla: PathBuf,
    demo: Child,
    nodes: Vec<Node>,
    pub(super) http: reqwest::Client,
    _data: TempDir,
}

/// A node, as the demo tells of it.
#[derive(Debug, Deserialize)]
struct Node {
    id: u64,
    http: String,
    pid: i32,
}

/// A record that came back.
#[derive(Debug, Deserialize)]
pub(super) struct Consumed {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) key: String,
    pub(super) value: String,
}

impl Cluster {
    /// Starts it, and waits until it is healthy.
    pub(super) async fn start() -> Outcome<Self> {
        #[derive(Deserialize)]
        struct Ready {
            nodes: Vec<Node>,
        }
        let data = tempfile::tempdir()?;
        let ottla = binary().await?;
        let mut demo = Command::new(&ottla)
            .args(["demo", "-n", "3", "--any-port", "--quiet", "--format", "json", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let ready = demo.stdout.take().ok_or("the demo has no output")?;
        let ready = BufReader::new(ready).lines().next_line().await?;
        let ready = ready.ok_or("the demo did not start a cluster")?;
        let Ready { nodes } = serde_json::from_str(&ready)?;
        Ok(Self { ottla, demo, nodes, http: reqwest::Client::new(), _data: data })
    }

    /// `host:port` of every node.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.http.clone()).collect()
    }

    /// Creates a topic of which every node has a replica.
    pub(super) async fn create_topic(&self, topic: &str, partitions: u32) -> Outcome<()> {
        let wanted = json!({ "partitions": partitions, "replication_factor": 3 });
        let node = self.nodes.first().ok_or("no nodes")?;
        let url = format!("http://{}/v1/topics/{topic}", node.http);
        self.http.put(url).json(&wanted).send().await?.error_for_status()?;
        Ok(())
    }

    /// The node that leads most partitions, and which.
    pub(super) async fn busiest(&self, topic: &str) -> Outcome<(u64, Vec<u32>)> {
        let node = self.nodes.first().ok_or("no nodes")?;
        let url = format!("http://{}/v1/topics/{topic}", node.http);
        let view: Value = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let led = |id: u64| -> Vec<u32> {
            let partitions = view["partitions"].as_array().into_iter().flatten();
            let led = partitions.filter(|at| at["leader"].as_u64() == Some(id));
            led.filter_map(|at| u32::try_from(at["partition"].as_u64()?).ok()).collect()
        };
        let nodes = self.nodes.iter().map(|node| (node.id, led(node.id)));
        nodes.max_by_key(|(_, led)| led.len()).ok_or_else(|| "no nodes".into())
    }

    /// `kill -9`.
    pub(super) fn kill(&self, id: u64) -> Outcome<()> {
        let node = self.nodes.iter().find(|node| node.id == id).ok_or("no such node")?;
        let pid = Pid::from_raw(node.pid).ok_or("the node has no process")?;
        Ok(kill_process(pid, Signal::KILL)?)
    }

    /// Everything in a topic, in the order of each partition, through the command and any live node.
    pub(super) async fn consume(&self, topic: &str) -> Outcome<Vec<Consumed>> {
        let output = Command::new(&self.ottla)
            .args(["consume", topic, "--no-follow", "--format", "json"])
            .args(["--server", &self.addresses().join(",")])
            .stderr(Stdio::inherit())
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("ottla consume: {}", output.status).into());
        }
        let lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
    }

    /// Stops all nodes.
    pub(super) async fn stop(mut self) -> Outcome<()> {
        self.ask_to_stop();
        let status = self.demo.wait().await?;
        if !status.success() {
            return Err(format!("the demo ended with {status}").into());
        }
        Ok(())
    }

    fn ask_to_stop(&self) {
        let pid = self.demo.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // If it has died already there is nothing to stop.
            kill_process(pid, Signal::TERM).ok();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

/// The `ottla` command, built as this example was built.
async fn binary() -> Outcome<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example.parent().and_then(Path::parent).ok_or("an example without a profile")?;
    let binary = profile.join("ottla");
    // Under cargo it is brought up to date; an example that was copied elsewhere takes what is there.
    let cargo = std::env::var_os("CARGO");
    if cargo.is_some() || !binary.exists() {
        build(cargo.unwrap_or_else(|| "cargo".into()), profile.ends_with("release")).await?;
    }
    Ok(binary)
}

async fn build(cargo: OsString, release: bool) -> Outcome<()> {
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--bin", "ottla"]);
    if release {
        command.arg("--release");
    }
    let status = command.status().await?;
    if !status.success() {
        return Err(format!("cargo build: {status}").into());
    }
    Ok(())
}

impl Consumed {
    /// What was published to make this record.
    pub(super) fn event(&self) -> Event {
        Event { key: self.key.clone(), value: self.value.clone() }
    }
}
