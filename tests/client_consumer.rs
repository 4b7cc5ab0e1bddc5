//! The consumer of the client library with partitions of its own, against clusters in this process.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use futures::StreamExt as _;
use http_cluster::{Cluster, DEADLINE};
use ottla::client::consumer::{Begin, ConsumerBuilder, Place, Record};
use ottla::client::{Commit, Consumer, Error, TopicPartition};
use ottla::topic::{PartitionId, TopicName};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId(partition))
}

fn builder(cluster: &Cluster) -> ConsumerBuilder {
    Consumer::builder([cluster.address(0).to_string()])
}

/// A node with a topic of so many partitions, the first with these values.
async fn with_values(partitions: u32, values: &[&str]) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": partitions })).await;
    if !values.is_empty() {
        assert_eq!(cluster.client(0).produce("t", values).await.status(), 200);
    }
    cluster
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.text().into_owned()).collect()
}

/// Polls until so many records came.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<Record> {
    let taking = async {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.extend(consumer.poll(DEADLINE).await.unwrap());
        }
        taken
    };
    timeout(DEADLINE, taking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_place_is_found() {
    let cluster = with_values(1, &["a", "b", "c"]).await;
    let records = json!({ "records": [{ "value": "d", "timestamp": 9_000_000_000_000_i64 }] });
    let client = cluster.client(0);
    let path = "/v1/topics/t/partitions/0/records";
    client.post(path, "application/json", records.to_string()).send().await.unwrap();
    for (place, expected) in [
        (Place::Earliest, vec!["a", "b", "c", "d"]),
        (Place::Offset(2), vec!["c", "d"]),
        (Place::Since(9_000_000_000_000), vec!["d"]),
    ] {
        let mut consumer = builder(&cluster).build().unwrap();
        consumer.assign([(at(0), place)]).unwrap();
        assert_eq!(texts(&take(&mut consumer, expected.len()).await), expected, "{place:?}");
        assert_eq!(consumer.position(&at(0)), Some(4));
    }
    let mut consumer = builder(&cluster).build().unwrap();
    assert_eq!(consumer.assign_topic("t", Place::Latest).await, Ok(1));
    assert_eq!(consumer.poll(Duration::from_millis(200)).await.unwrap(), []);
    assert_eq!(consumer.position(&at(0)), Some(4));
    client.produce("t", &["e"]).await;
    assert_eq!(texts(&take(&mut consumer, 1).await), ["e"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_may_wait_or_not() {
    let cluster = with_values(1, &[]).await;
    let mut consumer = builder(&cluster).build().unwrap();
    consumer.assign([(at(0), Place::Earliest)]).unwrap();
    let before = Instant::now();
    assert_eq!(consumer.poll(Duration::ZERO).await.unwrap(), []);
    assert!(before.elapsed() < Duration::from_secs(1));
    let producer = cluster.client(0);
    let waiting = tokio::spawn(async move { take(&mut consumer, 1).await });
    producer.produce("t", &["a"]).await;
    assert_eq!(texts(&waiting.await.unwrap()), ["a"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_the_last_one_ended_and_a_seek_goes_back() {
    let cluster = with_values(1, &["a", "b", "c"]).await;
    let mut consumer = builder(&cluster).build().unwrap();
    consumer.assign_topic("t", Place::Earliest).await.unwrap();
    let two: Vec<_> = consumer.stream().take(2).collect().await;
    assert_eq!(texts(&two.into_iter().map(Result::unwrap).collect::<Vec<_>>()), ["a", "b"]);
    assert_eq!(consumer.position(&at(0)), Some(2));
    assert_eq!(consumer.next().await.unwrap().text(), "c");
    consumer.seek(&at(0), Place::Offset(1)).unwrap();
    assert_eq!(texts(&take(&mut consumer, 2).await), ["b", "c"]);
    let wrong = consumer.seek(&at(7), Place::Earliest).unwrap_err();
    assert!(matches!(&wrong, Error::Invalid(why) if why.contains("t-7")), "{wrong}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_partition_waits_and_loses_nothing() {
    let cluster = with_values(2, &["a", "b"]).await;
    let body = json!({ "records": [{ "value": "x" }] }).to_string();
    let path = "/v1/topics/t/partitions/1/records";
    cluster.client(0).post(path, "application/json", body).send().await.unwrap();
    let mut consumer = builder(&cluster).build().unwrap();
    consumer.assign_topic("t", Place::Earliest).await.unwrap();
    consumer.pause(&at(0)).unwrap();
    assert_eq!(texts(&take(&mut consumer, 1).await), ["x"]);
    assert_eq!(consumer.poll(Duration::from_millis(200)).await.unwrap(), []);
    consumer.resume(&at(0)).unwrap();
    assert_eq!(texts(&take(&mut consumer, 2).await), ["a", "b"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_trimmed_are_passed_over_or_an_error() {
    let cluster = with_values(1, &["a", "b", "c"]).await;
    let client = ottla::client::Client::new(&[cluster.address(0).to_string()], DEADLINE);
    client.trim(&TopicName::new("t").unwrap(), PartitionId(0), 2).await.unwrap();
    let mut mended = builder(&cluster).begin(Begin::Earliest).build().unwrap();
    mended.assign([(at(0), Place::Offset(0))]).unwrap();
    assert_eq!(texts(&take(&mut mended, 1).await), ["c"]);
    let mut strict = builder(&cluster).begin(Begin::Nowhere).build().unwrap();
    strict.assign([(at(0), Place::Offset(0))]).unwrap();
    let error = timeout(DEADLINE, strict.next()).await.unwrap().unwrap_err();
    assert_eq!(error.range(), Some(2..3), "{error}");
    strict.seek(&at(0), Place::Offset(2)).unwrap();
    assert_eq!(texts(&take(&mut strict, 1).await), ["c"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_group_there_is_nothing_to_commit_to() {
    let cluster = with_values(1, &["a"]).await;
    let mut consumer = builder(&cluster).build().unwrap();
    consumer.assign_topic("t", Place::Earliest).await.unwrap();
    for refused in [
        consumer.commit().await,
        consumer.commit_offsets(vec![Commit::new(at(0), 1)]).await,
        consumer.committed(&[at(0)]).await.map(drop),
    ] {
        assert!(matches!(&refused, Err(Error::Invalid(why)) if why.contains("group")));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_topics_come_whole_and_in_order_through_a_small_buffer() {
    let cluster = with_values(3, &[]).await;
    let producer = ottla::client::Producer::builder([cluster.address(0).to_string()])
        .batch_bytes(4096)
        .build()
        .unwrap();
    let text = "x".repeat(100);
    for number in 0..3000_u32 {
        producer.send("t", number.to_string(), format!("{number} {text}")).await.unwrap();
    }
    producer.close().await.unwrap();
    let mut consumer = builder(&cluster).prefetch_bytes(1).records_max(7).build().unwrap();
    consumer.assign_topic("t", Place::Earliest).await.unwrap();
    let mut numbers = Vec::new();
    let mut last = [None; 3];
    for record in take(&mut consumer, 3000).await {
        let last = &mut last[record.partition().0 as usize];
        assert!(*last < Some(record.offset));
        *last = Some(record.offset);
        numbers.push(record.key_text().parse::<u32>().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..3000).collect::<Vec<_>>());
    cluster.stop().await;
}
