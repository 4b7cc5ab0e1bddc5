//! `ottla bench idle`: what many partitions cost that nobody uses, and how long they are without a leader
//! when a node is killed.

use super::nodes::Nodes;
use super::options::IdleArgs;
use super::process;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::{Size, rounded};
use crate::cli::table::Table;
use crate::client::{Client, NewTopic};
use crate::topic::{PARTITIONS_MAX, TopicName};
use rustix::process::Signal;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep};

/// Before a measurement: what was left to do is done.
const SETTLE: Duration = Duration::from_secs(5);
/// Without partitions nodes are watched for so long.
const EMPTY_WINDOW: Duration = Duration::from_secs(5);
/// Between two looks at all partitions.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// All partitions must be led, or in sync, by then.
const PATIENCE: Duration = Duration::from_mins(5);

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub(super) struct IdleReport {
    bench: &'static str,
    version: &'static str,
    engine: String,
    partitions: u32,
    /// From the request to create them until each has a leader, and until each replica is in sync.
    all_led_seconds: f64,
    all_in_sync_seconds: f64,
    nodes: Vec<Node>,
    /// Partitions that the killed node led, and from its kill until each has another leader.
    killed_node_led: usize,
    all_led_again_seconds: f64,
}

/// Percent are of one core.
#[derive(Debug, Clone, Serialize)]
struct Node {
    id: u64,
    empty_cpu_percent: f64,
    empty_resident_bytes: u64,
    cpu_percent: f64,
    resident_bytes: u64,
    threads: usize,
}

/// Watches nodes without and with partitions, then kills one.
pub(super) async fn run(
    args: &IdleArgs,
    nodes: &Nodes,
    client: &Client,
    output: &Output,
) -> Result<IdleReport, Failure> {
    let pids = nodes.pids();
    let resident = || pids.iter().map(|&pid| process::resident_bytes(pid)).collect::<Vec<_>>();
    output.note("watching the nodes without partitions");
    sleep(SETTLE).await;
    let empty_cpu = cpu_percent(&pids, EMPTY_WINDOW).await;
    let empty_resident = resident();
    output.note(format!("creating {} partitions", args.partitions));
    let (began, topics) = (Instant::now(), topics(args.partitions));
    for (topic, partitions) in &topics {
        let new = NewTopic { partitions: Some(*partitions), ..NewTopic::default() };
        client.create(topic, &new).await?;
    }
    until(client, &topics, Wanted::Led).await?;
    let all_led = began.elapsed();
    until(client, &topics, Wanted::InSync).await?;
    let all_in_sync = began.elapsed();
    output.note(format!("watching the nodes for {:?}", args.duration));
    sleep(SETTLE).await;
    let cpu = cpu_percent(&pids, args.duration).await;
    let (now, threads) = (resident(), pids.iter().map(|&pid| process::threads(pid)));
    let measured = threads.zip(empty_cpu).zip(empty_resident).zip(cpu).zip(now).zip(1..);
    let of_nodes = measured.map(
        |(((((threads, empty_cpu_percent), empty_resident_bytes), cpu_percent), bytes), id)| Node {
            id,
            empty_cpu_percent,
            empty_resident_bytes,
            cpu_percent,
            resident_bytes: bytes,
            threads,
        },
    );
    let of_nodes = of_nodes.collect();
    let victim = u64::try_from(pids.len()).unwrap_or_default();
    let killed_node_led = led_by(client, &topics, victim).await?;
    output.note(format!("killing node {victim}, which leads {killed_node_led} partitions"));
    let killed = Instant::now();
    nodes.signal(victim, Signal::KILL);
    until(client, &topics, Wanted::LedWithout(victim)).await?;
    Ok(IdleReport {
        bench: "idle",
        version: env!("CARGO_PKG_VERSION"),
        engine: nodes.engine().to_owned(),
        partitions: args.partitions,
        all_led_seconds: all_led.as_secs_f64(),
        all_in_sync_seconds: all_in_sync.as_secs_f64(),
        nodes: of_nodes,
        killed_node_led,
        all_led_again_seconds: killed.elapsed().as_secs_f64(),
    })
}

/// As many topics as it takes.
fn topics(partitions: u32) -> Vec<(TopicName, u32)> {
    let whole = (0..partitions.div_ceil(PARTITIONS_MAX)).map(|number| {
        let name = TopicName::new(&format!("idle-{number}")).expect("letters, a hyphen and digits");
        (name, PARTITIONS_MAX.min(partitions - number * PARTITIONS_MAX))
    });
    whole.collect()
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Led,
    InSync,
    LedWithout(u64),
}

/// Waits until every partition is as wanted.
async fn until(
    client: &Client,
    topics: &[(TopicName, u32)],
    wanted: Wanted,
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut every = interval(LOOK_EVERY);
    for (topic, _) in topics {
        loop {
            every.tick().await;
            let view = client.describe(topic).await?;
            let mut partitions = view.partitions.iter();
            let done = partitions.all(|at| match wanted {
                Wanted::Led => at.leader.is_some(),
                Wanted::InSync => at.in_sync.len() == at.replicas.len(),
                Wanted::LedWithout(node) => at.leader.is_some_and(|leader| leader != node),
            });
            if done {
                break;
            }
            if Instant::now() >= deadline {
                let why =
                    format!("topic {topic}: not all partitions are {wanted:?} in {PATIENCE:?}");
                return Err(Failure::new(Exit::Unavailable, why));
            }
        }
    }
    Ok(())
}

async fn led_by(client: &Client, topics: &[(TopicName, u32)], node: u64) -> Result<usize, Failure> {
    let mut led = 0;
    for (topic, _) in topics {
        let view = client.describe(topic).await?;
        led += view.partitions.iter().filter(|at| at.leader == Some(node)).count();
    }
    Ok(led)
}

async fn cpu_percent(pids: &[u32], window: Duration) -> Vec<f64> {
    let before: Vec<Duration> = pids.iter().map(|&pid| process::cpu(pid)).collect();
    sleep(window).await;
    let used =
        pids.iter().zip(before).map(|(&pid, before)| process::cpu(pid).saturating_sub(before));
    used.map(|used| used.as_secs_f64() / window.as_secs_f64().max(1e-6) * 100.0).collect()
}

impl IdleReport {
    /// For people.
    pub(super) fn shown(&self) -> String {
        let titles = [
            "NODE",
            "EMPTY: CPU %",
            "MEMORY",
            "WITH PARTITIONS: CPU %",
            "MEMORY",
            "EACH",
            "THREADS",
        ];
        let mut table = Table::new(titles).numbers([0, 1, 2, 3, 4, 5, 6]);
        for node in &self.nodes {
            let more = rounded(node.resident_bytes.saturating_sub(node.empty_resident_bytes));
            table.row([
                node.id.to_string(),
                format!("{:.1}", node.empty_cpu_percent),
                Size(node.empty_resident_bytes).to_string(),
                format!("{:.1}", node.cpu_percent),
                Size(node.resident_bytes).to_string(),
                format!("{:.0} KiB", more / 1024.0 / f64::from(self.partitions)),
                node.threads.to_string(),
            ]);
        }
        format!(
            "idle: {} partitions × 3 replicas, 3 nodes of its own, engine={}\n\n{}\n\nall led after {:.2} s, in sync after {:.2} s; \
             the {} partitions of a killed node led again after {:.2} s",
            self.partitions,
            self.engine,
            table.lines(),
            self.all_led_seconds,
            self.all_in_sync_seconds,
            self.killed_node_led,
            self.all_led_again_seconds,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_a_thousand_partitions_at_most() {
        let sizes = |partitions| topics(partitions).iter().map(|topic| topic.1).collect::<Vec<_>>();
        assert_eq!(sizes(300), [300]);
        assert_eq!(sizes(1000), [1000]);
        assert_eq!(sizes(2500), [1000, 1000, 500]);
    }
}
