//! `ottla demo`: a whole cluster on this machine, as child processes of this one.
//!
//! ```text
//!   plan    where each node listens; kept in the data directory, so that a restart finds the same
//!   child   one node: started, watched, stopped
//! ```
//!
//! Each child holds the other end of a pipe to this process and ends when that closes: no child
//! outlives the demo, however it dies.

mod child;
mod plan;

pub(super) use child::Child;
pub(super) use plan::{NodePlan, Plan, Ports};

use super::exit::Exit;
use super::failure::Failure;
use super::output::{Format, Output};
use super::table::Table;
use super::{interrupt, span};
use crate::client::Client;
use child::Stopped;
use clap::Args;
use futures::stream::{FuturesUnordered, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval};

/// Between two questions for the cluster's health.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A node that has not stopped by then is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Flags of `ottla demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nodes listen on 127.0.0.1: HTTP on 8080, 9080, 10080 and so on, peers on 7001, 8001, 9001 and so on.
Ctrl-C stops all of them; started again on the same directory the cluster goes on with what it has.

Examples:
  ottla demo
  ottla demo --any-port --data /tmp/cluster
  ottla demo -n 5 --format json")]
pub(super) struct DemoArgs {
    /// How many nodes [default: 3, or what the data directory has]
    #[arg(long, short, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: Option<u16>,
    /// Where the nodes keep their data and their logs
    #[arg(long, value_name = "DIR", default_value = "ottla-demo")]
    data: PathBuf,
    /// Take free ports instead of the usual ones
    #[arg(long)]
    any_port: bool,
    /// Storage engine of the nodes: segment or sled [default: segment]
    #[arg(long, env = "OTTLA_ENGINE", value_name = "ENGINE", value_parser = ["segment", "sled"])]
    engine: Option<String>,
    /// How long the cluster may take to become healthy
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span::parse)]
    ready_within: Duration,
}

/// Starts the cluster, tells where it is, and stops it at Ctrl-C.
pub(super) async fn run(
    args: DemoArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let ports = if args.any_port { Ports::Any } else { Ports::Usual };
    let plan = Plan::load_or_make(&args.data, args.nodes, ports)?;
    let mut stop = std::pin::pin!(asked_to_stop());
    let mut children = start(&plan, &args)?;
    let result = tokio::select! {
        result = serve(&plan, &args, &mut children, client, output) => result,
        () = &mut stop => Ok(Exit::Done),
    };
    output.note("stopping");
    stop_all(children, &args.data, output).await;
    result
}

/// Ctrl-C, or what a supervisor sends.
pub(super) async fn asked_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        () = interrupt() => {}
        _ = terminate.recv() => {}
    }
}

fn start(plan: &Plan, args: &DemoArgs) -> Result<Vec<Child>, Failure> {
    let engine = args.engine.as_deref();
    plan.nodes.iter().map(|node| Child::start(node, plan, &args.data, engine)).collect()
}

/// Waits until all nodes are healthy, tells it, and then of each node that dies, until none is left.
async fn serve(
    plan: &Plan,
    args: &DemoArgs,
    children: &mut [Child],
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let data = &args.data;
    let pids: Vec<Option<u32>> = children.iter().map(Child::pid).collect();
    let mut deaths: FuturesUnordered<_> = children.iter_mut().map(Child::death).collect();
    let bar = spinner(output);
    let ready = tokio::select! {
        ready = healthy(plan, args.ready_within, client) => ready,
        Some(stopped) = deaths.next() => Err(stopped.failure(data)),
    };
    bar.finish_and_clear();
    ready?;
    tell(plan, data, &pids, output)?;
    output.flush()?;
    while let Some(stopped) = deaths.next().await {
        output.note(stopped.failure(data).message);
    }
    Err(Failure::new(Exit::Failed, "all nodes have died"))
}

fn spinner(output: &Output) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let bar = ProgressBar::new_spinner()
        .with_style(style.expect("a fixed template"))
        .with_message("starting the cluster");
    bar.enable_steady_tick(LOOK_EVERY);
    bar
}

/// Asks every node in turn until each one says that the cluster is healthy.
pub(super) async fn healthy(plan: &Plan, within: Duration, client: &Client) -> Result<(), Failure> {
    let deadline = Instant::now() + within;
    let mut every = interval(LOOK_EVERY);
    for node in &plan.nodes {
        let at = Client::new(std::slice::from_ref(&node.http), LOOK_EVERY * 10);
        loop {
            every.tick().await;
            let reason = match not_ready(&at, plan.nodes.len()).await {
                Ok(None) => break,
                Ok(Some(reason)) => reason,
                Err(failure) => failure.message,
            };
            if Instant::now() >= deadline {
                let (id, seconds) = (node.id, within.as_secs());
                let message = format!("not healthy within {seconds} s: node {id}: {reason}");
                return Err(Failure::new(Exit::Unhealthy, message));
            }
        }
    }
    client.learn(plan.nodes.iter().map(|node| node.http.clone()));
    Ok(())
}

/// Why the cluster is not ready as a node sees it. One that knows of itself alone may be healthy.
async fn not_ready(node: &Client, nodes: usize) -> Result<Option<String>, Failure> {
    let health = node.health().await?;
    if !health.healthy {
        return Ok(Some(health.reasons.join("; ")));
    }
    let known = node.cluster().await?.brokers.len();
    Ok((known < nodes).then(|| format!("{known} of {nodes} nodes have joined")))
}

/// A node, for programs.
#[derive(Serialize)]
struct Node<'a> {
    #[serde(flatten)]
    plan: &'a NodePlan,
    pid: Option<u32>,
    log: PathBuf,
}

fn tell(
    plan: &Plan,
    data: &Path,
    pids: &[Option<u32>],
    output: &mut Output,
) -> Result<(), Failure> {
    let nodes: Vec<Node<'_>> = plan
        .nodes
        .iter()
        .zip(pids)
        .map(|(plan, &pid)| Node { plan, pid, log: plan::log(data, plan.id) })
        .collect();
    if output.format() == Format::Json {
        output.json(&serde_json::json!({ "data": data, "nodes": nodes }))?;
        return Ok(());
    }
    let mut table = Table::new(["NODE", "HTTP", "PEERS", "PID", "LOG"]).numbers([0, 3]);
    for node in &nodes {
        table.row([
            node.plan.id.to_string(),
            format!("http://{}", node.plan.http),
            node.plan.peer.clone(),
            node.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            node.log.display().to_string(),
        ]);
    }
    output.line(format!("{}\n\n{}", table.lines(), what_next(plan, pids)))?;
    Ok(())
}

/// Lines to copy into another terminal.
fn what_next(plan: &Plan, pids: &[Option<u32>]) -> String {
    let first = plan.nodes.first().map_or("127.0.0.1:8080", |node| node.http.as_str());
    let export = match first {
        "127.0.0.1:8080" => String::new(),
        other => format!("  export OTTLA_SERVER={other}\n"),
    };
    let last = pids.last().copied().flatten().unwrap_or_default();
    format!(
        "\
The cluster is healthy. In another terminal:

{export}  ottla topic create greetings -p 6
  echo 'hello' | ottla produce greetings -k me
  ottla consume greetings -f '%p/%o %k: %v\\n'

  curl http://{first}/v1/cluster/health
  curl http://{first}/v1/topics/greetings/records \\
    -H 'Content-Type: application/json' -d '{{\"records\":[{{\"key\":\"me\",\"value\":\"hi\"}}]}}'

  kill -9 {last}   # a node dies; go on producing and consuming

Ctrl-C stops the cluster; its data stays."
    )
}

/// Asks all at once, waits, and kills what is left after the deadline or a second Ctrl-C.
async fn stop_all(mut children: Vec<Child>, data: &Path, output: &Output) {
    // Of those that died before it was told when they did.
    children.retain(|child| child.pid().is_some());
    for child in &mut children {
        child.ask_to_stop();
    }
    let deadline = tokio::time::sleep(STOP_TIMEOUT);
    let mut stopping: FuturesUnordered<_> = children.iter_mut().map(Child::death).collect();
    let all = async {
        while let Some(stopped) = stopping.next().await {
            if let Stopped { how: child::How::Badly(_), .. } = stopped {
                output.note(stopped.failure(data).message);
            }
        }
    };
    let in_time = tokio::select! {
        () = all => true,
        () = deadline => false,
        () = interrupt() => false,
    };
    drop(stopping);
    if in_time {
        return;
    }
    for child in &mut children {
        child.kill().await;
    }
}
