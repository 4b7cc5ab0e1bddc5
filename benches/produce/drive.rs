//! Clients that send as fast as they are answered, each one request at a time.

use crate::connection::Connection;
use crate::process;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Before a client that was turned away comes again.
const TURNED_AWAY: Duration = Duration::from_millis(5);

/// What one client sends, over and over, and where.
#[derive(Clone)]
pub struct Client {
    pub address: String,
    pub requests: Arc<[Bytes]>,
}

/// What came of it.
#[derive(Default)]
pub struct Driven {
    /// Requests acknowledged from the first to the last.
    pub acknowledged: u64,
    /// Requests of which it is not known.
    pub unknown: u64,
    /// Requests that were certainly turned away.
    pub refused: u64,
    /// Within the window: how long each acknowledged request took, in order of length.
    pub latencies: Vec<Duration>,
    pub window: Duration,
    /// CPU time of the nodes within the window.
    pub node_cpu: Duration,
    /// CPU time of this process within the window.
    pub client_cpu: Duration,
}

impl Driven {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.window.as_secs_f64()
    }

    pub fn percentile(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * part) as usize).copied().unwrap_or_default()
    }
}

/// Runs the clients for `warm`, then for `window`, which is what counts.
pub async fn drive(clients: &[Client], nodes: &[u32], warm: Duration, window: Duration) -> Driven {
    let from = Instant::now() + warm;
    let until = from + window;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(one(client.clone(), from, until));
    }
    let node_cpu = || nodes.iter().map(|id| process::cpu(*id)).sum::<Duration>();
    sleep_until(from).await;
    let (nodes_before, client_before) = (node_cpu(), process::cpu(std::process::id()));
    sleep_until(until).await;
    let mut all = Driven {
        window,
        node_cpu: node_cpu().saturating_sub(nodes_before),
        client_cpu: process::cpu(std::process::id()).saturating_sub(client_before),
        ..Driven::default()
    };
    while let Some(driven) = tasks.join_next().await {
        let driven = driven.unwrap();
        all.acknowledged += driven.acknowledged;
        all.unknown += driven.unknown;
        all.refused += driven.refused;
        all.latencies.extend(driven.latencies);
    }
    all.latencies.sort_unstable();
    all
}

async fn one(client: Client, from: Instant, until: Instant) -> Driven {
    let mut driven = Driven::default();
    let mut connection = Connection::open(&client.address).await.unwrap();
    for request in client.requests.iter().cycle() {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        let answer = connection.exchange(request).await.expect("the node answers");
        let now = Instant::now();
        match answer.status {
            200 => {
                driven.acknowledged += 1;
                if now >= from && now <= until {
                    driven.latencies.push(now - sent);
                }
            }
            429 | 503 => {
                driven.refused += 1;
                sleep(TURNED_AWAY).await;
            }
            504 => driven.unknown += 1,
            other => panic!("{other}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }
    driven
}
