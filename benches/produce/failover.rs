//! How long a producer waits when the leader of its partition is killed.

use crate::connection::{Connection, post};
use crate::harness::{Cluster, Options};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const KILLS: usize = 10;
/// Acknowledgements before each kill, and after it.
const STEADY: Duration = Duration::from_millis(500);
/// Before another node is asked when one is gone.
const NEXT_NODE: Duration = Duration::from_millis(2);

#[derive(Serialize)]
pub struct Failover {
    /// From the last acknowledgement before a kill to the first after it, in order of length.
    pub gaps_ms: Vec<f64>,
    pub p50_ms: f64,
    pub max_ms: f64,
    /// Before the kills.
    pub acknowledgement_p50_ms: f64,
}

pub async fn measure(options: Options) -> Failover {
    let mut cluster = Cluster::start(options).await;
    cluster.create_topic("failover", 1, json!({})).await;
    cluster.until_in_sync("failover").await;
    let (mut gaps, mut steady) = (Vec::new(), Vec::new());
    for kill in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.http.clone()).collect();
        let mut producer = JoinSet::new();
        producer.spawn(produce(addresses, Arc::clone(&stop)));
        sleep(STEADY).await;
        let leader = cluster.leader("failover", 0).await;
        let killed = Instant::now();
        cluster.kill(leader);
        // What names a leader now may still be wrong: only an acknowledgement counts.
        sleep(STEADY * 4).await;
        stop.store(true, Ordering::Relaxed);
        let acknowledged = producer.join_next().await.unwrap().unwrap();
        // One may be on its way to the producer while the node dies.
        let gap = acknowledged
            .windows(2)
            .filter(|pair| pair[1] > killed)
            .map(|pair| pair[1] - pair[0])
            .max();
        let gap = gap.expect("writes resume");
        eprintln!("failover: kill {} of node {}: {gap:?}", kill + 1, leader + 1);
        gaps.push(gap);
        let before = acknowledged.windows(2).filter(|pair| pair[1] < killed);
        steady.extend(before.map(|pair| pair[1] - pair[0]));
        cluster.start_node(leader);
        cluster.until_healthy().await;
        cluster.until_in_sync("failover").await;
    }
    gaps.sort_unstable();
    steady.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Failover {
        p50_ms: ms(gaps[gaps.len() / 2]),
        max_ms: ms(gaps[gaps.len() - 1]),
        acknowledgement_p50_ms: ms(steady[steady.len() / 2]),
        gaps_ms: gaps.into_iter().map(ms).collect(),
    }
}

/// One record after the other, through the next node where one is gone; when each was acknowledged.
async fn produce(addresses: Vec<String>, stop: Arc<AtomicBool>) -> Vec<Instant> {
    let body = br#"{"records":[{"value":"x"}]}"#;
    let path = "/v1/topics/failover/partitions/0/records";
    let request = post(path, "application/json", body);
    let mut acknowledged = Vec::new();
    let mut nodes = addresses.iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(nodes.next().unwrap()).await else {
            sleep(NEXT_NODE).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            match connection.exchange(&request).await {
                Ok(answer) if answer.status == 200 => acknowledged.push(Instant::now()),
                Ok(_) | Err(_) => break,
            }
        }
    }
    acknowledged
}
