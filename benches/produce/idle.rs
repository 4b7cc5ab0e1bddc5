//! Many partitions at rest: what they cost.

use crate::harness::{Cluster, Options, eventually};
use crate::process;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PARTITIONS: u32 = 300;
/// Between health and the measurement: what creation left to do is done.
const SETTLE: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Serialize)]
pub struct Node {
    pub node: u64,
    /// Of one core, without partitions.
    pub empty_cpu_percent: f64,
    pub empty_resident_megabytes: f64,
    /// Of one core, with them.
    pub cpu_percent: f64,
    pub resident_megabytes: f64,
    pub threads: usize,
}

#[derive(Serialize)]
pub struct Idle {
    pub partitions: u32,
    /// From the request to create them until each has a leader, and until each replica is in sync.
    pub all_led_seconds: f64,
    pub all_in_sync_seconds: f64,
    pub nodes: Vec<Node>,
}

pub async fn measure(options: Options) -> Idle {
    let cluster = Cluster::start(options).await;
    let ids: Vec<u32> = (0..cluster.nodes.len()).map(|at| cluster.process_id(at)).collect();
    eprintln!("idle: three nodes without partitions …");
    sleep(SETTLE).await;
    let empty_cpu = cpu_percent(&ids, WINDOW / 3).await;
    let empty_resident: Vec<f64> = ids.iter().map(|id| megabytes(*id)).collect();

    eprintln!("idle: creating {PARTITIONS} partitions …");
    let began = Instant::now();
    cluster.create_topic("idle", PARTITIONS, json!({})).await;
    eventually("every partition has a leader", async || {
        let view = cluster.describe("idle").await?;
        view["partitions"].as_array()?.iter().all(|p| p["leader"].is_u64()).then_some(())
    })
    .await;
    let all_led = began.elapsed();
    cluster.until_in_sync("idle").await;
    let all_in_sync = began.elapsed();
    cluster.until_healthy().await;
    eprintln!("idle: all led after {all_led:?}, in sync after {all_in_sync:?}; at rest …");
    sleep(SETTLE).await;
    let cpu = cpu_percent(&ids, WINDOW).await;
    let nodes = ids
        .iter()
        .enumerate()
        .map(|(at, id)| Node {
            node: cluster.nodes[at].id,
            empty_cpu_percent: empty_cpu[at],
            empty_resident_megabytes: empty_resident[at],
            cpu_percent: cpu[at],
            resident_megabytes: megabytes(*id),
            threads: process::threads(*id),
        })
        .collect();
    Idle {
        partitions: PARTITIONS,
        all_led_seconds: all_led.as_secs_f64(),
        all_in_sync_seconds: all_in_sync.as_secs_f64(),
        nodes,
    }
}

async fn cpu_percent(ids: &[u32], window: Duration) -> Vec<f64> {
    let before: Vec<Duration> = ids.iter().map(|id| process::cpu(*id)).collect();
    sleep(window).await;
    let used = ids.iter().zip(before).map(|(id, before)| process::cpu(*id).saturating_sub(before));
    used.map(|used| used.as_secs_f64() / window.as_secs_f64() * 100.0).collect()
}

fn megabytes(id: u32) -> f64 {
    process::resident_bytes(id) as f64 / 1e6
}
