//! Where a benchmark runs: a cluster that is there, or three nodes of its own in a temporary directory.

use crate::cli::demo::{self, Child, NodePlan, Plan};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::Client;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A cluster of our own must be healthy by then.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// What nodes are told to use if nobody says: whatever stands in the environment, it is in the result.
const ENGINE: &str = "segment";
/// How many nodes.
const NODES: u16 = 3;
/// Less than this must not be left on the disk that our own nodes share with everybody.
const DISK_FREE_BYTES_MIN: u64 = 2 << 30;

/// Which cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct NodesArgs {
    /// Start three nodes in a temporary directory (below TMPDIR), and remove them afterwards
    #[arg(long)]
    pub(super) demo: bool,
    /// Storage engine of these nodes: segment or sled [default: segment]
    #[arg(long, value_name = "ENGINE", value_parser = ["segment", "sled"], requires = "demo")]
    pub(super) engine: Option<String>,
}

/// Our own nodes. What is dropped is killed.
#[derive(Debug)]
pub(super) struct Nodes {
    plan: Plan,
    /// In the order of the plan.
    children: Vec<Child>,
    engine: String,
    /// After the processes that write to it.
    data: TempDir,
}

impl Nodes {
    /// Starts them and waits until the cluster is healthy.
    pub(super) async fn start(engine: Option<String>, client: &Client) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Exit::Failed, format!("temporary directory: {error}"));
        let data = tempfile::Builder::new().prefix("ottla-bench-").tempdir().map_err(failed)?;
        let plan = Plan::load_or_make(data.path(), Some(NODES), demo::Ports::Any)?;
        let engine = engine.unwrap_or_else(|| ENGINE.to_owned());
        let start = |node| Child::start(node, &plan, data.path(), Some(&engine));
        let children: Result<Vec<Child>, Failure> = plan.nodes.iter().map(start).collect();
        let nodes = Self { children: children?, plan, engine, data };
        if let Err(failure) = nodes.healthy(client).await {
            nodes.stop().await;
            return Err(failure);
        }
        Ok(nodes)
    }

    /// Waits until every node says that the cluster is healthy, and all have joined.
    pub(super) async fn healthy(&self, client: &Client) -> Result<(), Failure> {
        demo::healthy(&self.plan, READY_WITHIN, client).await
    }

    /// `host:port` of each.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.plan.nodes.iter().map(|node| node.http.clone()).collect()
    }

    /// `host:port` of one.
    pub(super) fn address(&self, id: u64) -> Option<String> {
        self.plan.nodes.iter().find(|node| node.id == id).map(|node| node.http.clone())
    }

    /// Process ids of those that live.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.children.iter().filter_map(Child::pid).collect()
    }

    /// Their storage engine.
    pub(super) fn engine(&self) -> &str {
        &self.engine
    }

    /// Where their data is.
    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Refuses to go on where the disk is nearly full.
    pub(super) fn check_disk(&self) -> Result<(), Failure> {
        let Ok(disk) = rustix::fs::statvfs(self.data()) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= DISK_FREE_BYTES_MIN {
            return Ok(());
        }
        let at = self.data().display();
        let why =
            format!("{at}: {free} B are free on this disk: {DISK_FREE_BYTES_MIN} are left alone");
        Err(Failure::new(Exit::Failed, why).hint(
            "measure for a shorter --duration or at a lower --rate, let `produce` --keep 4GiB, or set \
             TMPDIR to another disk",
        ))
    }

    /// Sends a signal to a node.
    pub(super) fn signal(&self, id: u64, signal: Signal) {
        let pid = self.child(id).and_then(Child::pid);
        if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have died by itself just now.
            kill_process(pid, signal).ok();
        }
    }

    /// Waits until a node that was told to end has ended, and starts it again.
    pub(super) async fn restart(&mut self, id: u64) -> Result<(), Failure> {
        let (plan, engine, data) = (&self.plan, Some(self.engine.as_str()), self.data.path());
        let pairs = self.children.iter_mut().zip(&plan.nodes);
        for (child, node) in pairs.filter(|(_, node)| node.id == id) {
            drop(child.death().await);
            *child = Child::start(node, plan, data, engine)?;
        }
        Ok(())
    }

    /// Kills all; the directory goes with them.
    pub(super) async fn stop(mut self) {
        for child in &mut self.children {
            child.kill().await;
        }
    }

    fn child(&self, id: u64) -> Option<&Child> {
        let is_it = |(_, node): &(&Child, &NodePlan)| node.id == id;
        self.children.iter().zip(&self.plan.nodes).find(is_it).map(|(child, _)| child)
    }
}
