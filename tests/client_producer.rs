//! The producer of the client library, against clusters in this process.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use futures::future::join_all;
use http_cluster::Cluster;
use ottla::client::producer::{NewRecord, ProducerBuilder, SendError};
use ottla::client::{Acks, Error, Producer};
use ottla::error::WriteOutcome;
use ottla::topic::PartitionId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::Compression;
use tokio::time::{Instant, timeout};

/// Longer than any test: what waits for it waits for ever.
const NEVER: Duration = Duration::from_hours(1);

fn builder(cluster: &Cluster) -> ProducerBuilder {
    Producer::builder([cluster.address(0).to_string()])
}

/// The records of a partition as JSON.
async fn records(cluster: &Cluster, topic: &str, partition: u32) -> Vec<Value> {
    let path = format!("/v1/topics/{topic}/partitions/{partition}/records?offset=0");
    let page = cluster.client(0).json(&path).await;
    page["records"].as_array().unwrap().clone()
}

/// How many batches a partition's records came in.
async fn batches(cluster: &Cluster, topic: &str) -> Vec<storage::batch::RecordBatch> {
    let path = format!("/v1/topics/{topic}/partitions/0/records?offset=0");
    let request = cluster.client(0).get(&path);
    let raw = request.header("accept", "application/vnd.kafka.recordbatch.v2").send().await;
    let raw = raw.unwrap().bytes().await.unwrap();
    storage::batch::RecordBatch::split(raw).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_where_its_future_says() {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": 3 })).await;
    let producer = builder(&cluster).build().unwrap();
    let sent = producer.send("t", "ada", "tea").await.unwrap().await.unwrap();
    let record = NewRecord::to("t").key("bob").header("source", "web").timestamp(7);
    let tombstone = producer.send_record(record.partition(sent.partition)).await.unwrap();
    let tombstone = tombstone.await.unwrap();
    assert_eq!((sent.offset, tombstone.offset), (0, 1));
    let found = records(&cluster, "t", sent.partition.0).await;
    assert_eq!((&found[0]["key"], &found[0]["value"]), (&json!("ada"), &json!("tea")));
    assert_eq!((&found[1]["key"], &found[1]["value"]), (&json!("bob"), &Value::Null));
    assert_eq!(found[1]["timestamp"], 7);
    assert_eq!(found[1]["headers"][0]["name"], "source", "{}", found[1]);
    producer.close().await.unwrap();
    let after = producer.send("t", "ada", "late").await.unwrap_err();
    assert_eq!(after, SendError { outcome: WriteOutcome::NotAppended, error: Error::Closed });
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_cut_by_size_by_time_and_by_a_flush() {
    let cluster = Cluster::start(1).await;
    for topic in ["size", "time", "flush"] {
        cluster.client(0).topic(topic, json!({ "partitions": 1 })).await;
    }
    let builder = || builder(&cluster);
    let counts = async |topic| -> Vec<u32> {
        let batches = batches(&cluster, topic).await;
        batches.iter().map(storage::batch::RecordBatch::record_count).collect()
    };

    // A batch of 1000 bytes takes four records of 200 bytes.
    let by_size = builder().linger(NEVER).batch_bytes(1000).build().unwrap();
    let value = "v".repeat(200);
    let mut deliveries = Vec::new();
    for _ in 0..8 {
        deliveries.push(by_size.send("size", "k", &value).await.unwrap());
    }
    let four = timeout(http_cluster::DEADLINE, join_all(deliveries.drain(..4))).await.unwrap();
    assert!(four.iter().all(Result::is_ok));
    by_size.flush().await.unwrap();
    assert_eq!(counts("size").await, [4, 4]);

    let linger = Duration::from_millis(50);
    let by_time = builder().linger(linger).compression(Compression::Zstd).build().unwrap();
    let before = Instant::now();
    let first = by_time.send("time", "k", &value).await.unwrap();
    let second = by_time.send("time", "k", &value).await.unwrap();
    let offsets = (first.await.unwrap().offset, second.await.unwrap().offset);
    assert_eq!(offsets, (0, 1));
    assert!(before.elapsed() >= linger);
    assert_eq!(counts("time").await.iter().sum::<u32>(), 2);
    assert_eq!(batches(&cluster, "time").await[0].compression(), Compression::Zstd);

    let flushed = builder().linger(NEVER).build().unwrap();
    for _ in 0..3 {
        flushed.send("flush", "k", "v").await.unwrap();
    }
    flushed.flush().await.unwrap();
    assert_eq!(counts("flush").await, [3]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_makes_send_wait_until_something_is_acknowledged() {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": 1 })).await;
    let builder = builder(&cluster).linger(NEVER);
    let producer = builder.batch_bytes(2000).buffer_bytes(2000).build().unwrap();
    let value = "v".repeat(800);
    let first = producer.send("t", "k", &value).await.unwrap();
    producer.send("t", "k", &value).await.unwrap();
    let mut third = Box::pin(producer.send("t", "k", &value));
    let waited = timeout(Duration::from_millis(100), &mut third).await;
    assert!(waited.is_err(), "the third does not fit");
    producer.flush().await.unwrap();
    assert_eq!(first.await.unwrap().offset, 0);
    let third = timeout(http_cluster::DEADLINE, third).await.unwrap().unwrap();
    producer.flush().await.unwrap();
    assert_eq!(third.await.unwrap().offset, 2);

    let huge = producer.send("t", "k", "v".repeat(3000)).await.unwrap_err();
    assert!(matches!(&huge.error, Error::Invalid(why) if why.contains("2000")), "{huge}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_chooses_partitions_and_records_without_a_key_take_turns() {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": 3 })).await;
    let last = |_: &[u8], partitions: u32| PartitionId(partitions - 1);
    let builder = builder(&cluster).partitioner(last);
    let producer = builder.batch_bytes(100).build().unwrap();
    for key in ["a", "b", "c"] {
        let delivery = producer.send("t", key, "v").await.unwrap();
        assert_eq!(delivery.partition(), PartitionId(2));
    }
    let mut turns = BTreeMap::<u32, u32>::new();
    let value = "v".repeat(100);
    for _ in 0..9 {
        let record = NewRecord::to("t").value(&value);
        let delivery = producer.send_record(record).await.unwrap();
        *turns.entry(delivery.partition().0).or_default() += 1;
    }
    assert_eq!(turns, BTreeMap::from([(0, 3), (1, 3), (2, 3)]));
    producer.flush().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_what_became_of_the_record_and_those_behind_it_go_on() {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": 1 })).await;
    let small = json!({ "partitions": 1, "config": { "max.message.bytes": "2000" } });
    cluster.client(0).topic("small", small).await;
    let producer = builder(&cluster).build().unwrap();

    let unknown = producer.send("nothing", "k", "v").await.unwrap_err();
    assert_eq!(unknown.outcome, WriteOutcome::NotAppended);
    assert_eq!(unknown.error.code(), Some(40401));

    let mut deliveries = Vec::new();
    for bytes in [10, 5000, 10, 10] {
        let value = "v".repeat(bytes);
        let builder = producer.send("small", "k", &value).await;
        deliveries.push(builder.unwrap());
        // Each in a batch of its own.
        if bytes == 5000 {
            producer.flush().await.unwrap_err();
        }
    }
    producer.flush().await.unwrap();
    let results = join_all(deliveries).await;
    let large = results[1].as_ref().unwrap_err();
    assert_eq!(large.outcome, WriteOutcome::NotAppended, "{large}");
    assert_eq!(results[3].as_ref().unwrap().offset, results[2].as_ref().unwrap().offset + 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_of_the_leader_alone_are_for_producers_without_sequences() {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": 1 })).await;
    let builder = builder(&cluster);
    let producer = builder.idempotent(false).acks(Acks::Leader).build().unwrap();
    assert_eq!(producer.send("t", "k", "v").await.unwrap().await.unwrap().offset, 0);
    cluster.stop().await;
}
