//! Batch processing: reads the records of one day, by their timestamps, writes a summary of them, and
//! stops. What comes later is left for the next run.
//!
//! ```sh
//! cargo run --example etl
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;
mod request;

use cluster::{Cluster, Outcome};
use ottla::client::consumer::Place;
use ottla::client::producer::NewRecord;
use ottla::client::{Consumer, Producer, TopicPartition};
use ottla::topic::PartitionId;
use request::Request;
use std::collections::BTreeMap;
use std::process::ExitCode;

const LOG: &str = include_str!("data/nasa-1995.log");
const PARTITIONS: u32 = 3;
/// The day at the space center, which is four hours behind UTC: half-open, in RFC 3339.
const DAY: (&str, &str) = ("1995-07-01T00:00:00-04:00", "1995-07-02T00:00:00-04:00");

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(1).await?;
    let topic = cluster.topic("requests", PARTITIONS).await?;
    let producer = Producer::builder(cluster.servers()).build()?;
    for line in LOG.lines() {
        let request = Request::read(line)?;
        let record = NewRecord::to("requests").key(request.host).value(line);
        producer.send_record(record.timestamp(request.at_ms)).await?;
    }
    producer.close().await?;

    // Extract: each partition from the day's first record to the first one of the next day.
    let mut consumer = Consumer::builder(cluster.servers()).build()?;
    let (begin, end) = (milliseconds(DAY.0)?, milliseconds(DAY.1)?);
    let mut ends = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let first = consumer.client().offset_at(&topic, partition, begin).await?;
        let next_day = consumer.client().offset_at(&topic, partition, end).await?;
        if first < next_day {
            ends.insert(TopicPartition::new(topic.clone(), partition), (first, next_day));
        }
    }
    let places = ends.iter().map(|(at, (first, _))| (at.clone(), Place::Offset(*first)));
    consumer.assign(places)?;

    // Transform: requests and bytes by the kind of file.
    let mut kinds = BTreeMap::<String, (u64, u64)>::new();
    while !ends.is_empty() {
        let record = consumer.next().await?;
        let Some(&(_, next_day)) = ends.get(&*record.at) else { continue };
        if record.offset < next_day {
            let text = record.text();
            let request = Request::read(&text)?;
            let (requests, bytes) = kinds.entry(request.kind().to_owned()).or_default();
            (*requests, *bytes) = (*requests + 1, *bytes + request.bytes);
        }
        if record.offset + 1 >= next_day {
            consumer.pause(&record.at)?;
            ends.remove(&*record.at);
        }
    }

    // Load: here into a table on the screen.
    println!("kind,requests,bytes");
    for (kind, (requests, bytes)) in &kinds {
        println!("{kind},{requests},{bytes}");
    }
    let requests: u64 = kinds.values().map(|(requests, _)| requests).sum();
    println!("{requests} requests of {} on that day", LOG.lines().count());
    cluster.stop().await
}

fn milliseconds(time: &str) -> Outcome<i64> {
    Ok(time.parse::<jiff::Timestamp>()?.as_millisecond())
}
