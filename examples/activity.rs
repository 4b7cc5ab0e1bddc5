//! Website activity: every request is an event keyed by its visitor; what people want to know of them
//! is counted while they come.
//!
//! ```sh
//! cargo run --example activity
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;
mod request;

use cluster::{Cluster, Outcome};
use futures::TryStreamExt;
use ottla::client::consumer::Place;
use ottla::client::producer::NewRecord;
use ottla::client::{Consumer, Producer};
use request::Request;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::process::ExitCode;

const LOG: &str = include_str!("data/nasa-1995.log");
/// How long a window of the count over time is.
const WINDOW_MS: i64 = 10_000;

/// What is known so far.
#[derive(Debug, Default)]
struct Metrics {
    requests: u64,
    bytes: u64,
    /// Visitors.
    hosts: BTreeSet<String>,
    /// Pages and files, by how often they were asked for.
    paths: BTreeMap<String, u64>,
    statuses: BTreeMap<u16, u64>,
    /// Requests by the begin of their window.
    windows: BTreeMap<i64, u64>,
}

impl Metrics {
    fn count(&mut self, request: &Request<'_>) {
        self.requests += 1;
        self.bytes += request.bytes;
        self.hosts.insert(request.host.to_owned());
        *self.paths.entry(request.path.to_owned()).or_default() += 1;
        *self.statuses.entry(request.status).or_default() += 1;
        *self.windows.entry(request.at_ms - request.at_ms.rem_euclid(WINDOW_MS)).or_default() += 1;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(3).await?;
    cluster.topic("activity", 4).await?;
    let producer = Producer::builder(cluster.servers()).build()?;
    for line in LOG.lines() {
        let request = Request::read(line)?;
        let record = NewRecord::to("activity").key(request.host).value(line);
        producer.send_record(record.timestamp(request.at_ms)).await?;
    }
    producer.close().await?;

    let mut consumer = Consumer::builder(cluster.servers()).build()?;
    consumer.assign_topic("activity", Place::Earliest).await?;
    let mut metrics = Metrics::default();
    let mut events = pin!(consumer.stream());
    for _ in LOG.lines() {
        let event = events.try_next().await?.ok_or("a stream of events has no end")?;
        metrics.count(&Request::read(&event.text())?);
    }

    let Metrics { requests, bytes, hosts, paths, statuses, windows } = metrics;
    println!("{requests} requests by {} visitors, {bytes} bytes", hosts.len());
    let mut paths: Vec<_> = paths.into_iter().collect();
    paths.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (path, count) in paths.iter().take(3) {
        println!("{count:>4}  {path}");
    }
    for (status, count) in statuses {
        println!("{count:>4}  answered {status}");
    }
    for (at, count) in windows {
        println!("{count:>4}  in the 10 s from {}", jiff::Timestamp::from_millisecond(at)?);
    }
    cluster.stop().await
}
