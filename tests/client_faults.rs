//! The client library while brokers are killed: nothing is lost, nothing is there twice, order is kept.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::{Cluster, DEADLINE, Options};
use ottla::client::consumer::Place;
use ottla::client::producer::Delivery;
use ottla::client::{Consumer, Producer};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::timeout;

const PARTITIONS: u32 = 3;
const RECORDS: u32 = 6000;
/// So many records are sent between a look at the acknowledgements and the next.
const STEP: u32 = 50;

fn servers(cluster: &Cluster) -> Vec<String> {
    cluster.nodes.iter().map(|node| node.http.clone()).collect()
}

/// Sends records in their order, so that each partition gets rising numbers.
async fn send(producer: &Producer, numbers: std::ops::Range<u32>) -> Vec<(u32, Delivery)> {
    let mut deliveries = Vec::new();
    for number in numbers {
        let value = format!("record {number}");
        deliveries.push((number, producer.send("t", number.to_string(), value).await.unwrap()));
    }
    deliveries
}

/// Everything in the topic by partition, as a consumer gives it.
async fn consume(consumer: &mut Consumer, count: usize) -> BTreeMap<u32, Vec<(u64, u32)>> {
    let consuming = async {
        let mut found = BTreeMap::<u32, Vec<(u64, u32)>>::new();
        for _ in 0..count {
            let record = consumer.next().await.unwrap();
            let number = record.key_text().parse().unwrap();
            assert_eq!(record.text(), format!("record {number}"));
            found.entry(record.partition().0).or_default().push((record.offset, number));
        }
        found
    };
    timeout(DEADLINE, consuming).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_and_a_consumer_live_through_killed_leaders() {
    let mut cluster = Cluster::start(Options::three("segment")).await;
    cluster.create_topic("t", PARTITIONS, json!({})).await;
    cluster.until_in_sync("t").await;
    // Small batches, so that several of each partition are under way when its leader dies.
    let builder = Producer::builder(servers(&cluster)).batch_bytes(1000);
    let producer = builder.delivery_timeout(DEADLINE).build().unwrap();
    let mut consumer = Consumer::builder(servers(&cluster)).build().unwrap();
    consumer.assign_topic("t", Place::Earliest).await.unwrap();

    let reading = tokio::spawn(async move {
        let found = consume(&mut consumer, RECORDS as usize).await;
        (consumer, found)
    });
    let mut deliveries = Vec::new();
    let mut down = None;
    for first in (0..RECORDS).step_by(STEP as usize) {
        match first * 6 / RECORDS {
            1 | 4 if down.is_none() => {
                let leader = cluster.leader("t", 0).await;
                cluster.kill(leader);
                down = Some(leader);
            }
            3 if down.is_some() => cluster.start_node(down.take().unwrap()),
            _ => {}
        }
        let sent = send(&producer, first..first + STEP).await;
        // Not too far ahead of the acknowledgements, so that kills come in the middle.
        sent[0].1.clone().await.unwrap();
        deliveries.extend(sent);
    }
    producer.close().await.unwrap();

    let mut told = BTreeMap::<u32, Vec<(u64, u32)>>::new();
    for (number, delivery) in deliveries {
        let sent = delivery.await.unwrap();
        told.entry(sent.partition.0).or_default().push((sent.offset, number));
    }
    for (partition, rows) in &told {
        let dense = rows.iter().zip(0..).all(|((offset, _), expected)| *offset == expected);
        assert!(dense, "partition {partition}: in order, none lost, none twice: {rows:?}");
    }
    let (mut consumer, found) = reading.await.unwrap();
    assert_eq!(found, told);
    assert_eq!(consumer.poll(std::time::Duration::ZERO).await.unwrap(), []);
}
