//! What is set on a topic takes effect, seen through the doors; and compacted topics read well through
//! each of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use bytes::Bytes;
use http_cluster::{Client, Cluster, eventually, header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use storage::batch::{Compression, Record, RecordBatch};

const JSON: &str = "application/json";
const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";

async fn one_node() -> Cluster {
    Cluster::start_with(1, |config| config.retention_check = Duration::from_millis(50)).await
}

fn records(topic: &str) -> String {
    format!("/v1/topics/{topic}/partitions/0/records")
}

async fn post_batch(client: &Client, topic: &str, batch: &RecordBatch) {
    let posted = client.post(&records(topic), BATCHES, batch.bytes().clone()).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::OK, "{}", posted.text().await.unwrap());
}

/// The batches of a topic as they are stored, and where the fetch ended.
async fn raw(client: &Client, topic: &str, offset: &str) -> (Vec<RecordBatch>, String) {
    let request = client.get(&format!("{}?offset={offset}", records(topic)));
    let answer = request.header("accept", BATCHES).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let next = header(&answer, "next-offset");
    (RecordBatch::split_stored(answer.bytes().await.unwrap()).unwrap(), next)
}

fn batch(keys: &[&str], codec: Compression) -> RecordBatch {
    let record = |key: &&str| Record {
        timestamp: 5,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some("value".repeat(20).into()),
        headers: Vec::new(),
    };
    RecordBatch::build(&keys.iter().map(record).collect::<Vec<_>>(), codec)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_described_with_every_setting_and_what_it_means() {
    let cluster = one_node().await;
    let client = cluster.client(0);
    client.topic("t", json!({ "config": { "cleanup.policy": "compact,delete" } })).await;
    let described = client.json("/v1/topics/t").await;
    let config = described["config"].as_array().unwrap();
    for (name, value, is_default) in [
        ("cleanup.policy", "compact,delete", false),
        ("compression.type", "producer", true),
        ("delete.retention.ms", "86400000", true),
        ("flush.messages", "10000", true),
        ("max.message.bytes", "1048588", true),
        ("message.timestamp.type", "CreateTime", true),
        ("min.cleanable.dirty.ratio", "0.5", true),
        ("min.insync.replicas", "1", true),
        ("retention.bytes", "-1", true),
        ("retention.ms", "604800000", true),
        ("segment.bytes", "-1", true),
        ("segment.ms", "604800000", true),
    ] {
        let setting = config.iter().find(|setting| setting["name"] == name).expect(name);
        assert_eq!(
            (&setting["value"], &setting["is_default"]),
            (&json!(value), &json!(is_default))
        );
        assert!(setting["documentation"].as_str().unwrap().len() > 40, "{setting}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_stored_in_the_codec_of_their_topic() {
    let cluster = one_node().await;
    let client = cluster.client(0);
    for (name, stored) in [
        ("producer", None),
        ("uncompressed", Some(Compression::None)),
        ("gzip", Some(Compression::Gzip)),
        ("snappy", Some(Compression::Snappy)),
        ("lz4", Some(Compression::Lz4)),
        ("zstd", Some(Compression::Zstd)),
    ] {
        let config = json!({ "compression.type": name, "retention.ms": "-1" });
        client.topic(name, json!({ "config": config })).await;
        let sent = [batch(&["a", "b"], Compression::Lz4), batch(&["c"], Compression::None)];
        for batch in &sent {
            post_batch(&client, name, batch).await;
        }
        assert_eq!(client.produce(name, &["d"]).await.status(), StatusCode::OK);
        let (found, next) = raw(&client, name, "0").await;
        assert_eq!(next, "4");
        let codecs: Vec<Compression> = found.iter().map(RecordBatch::compression).collect();
        let theirs = [Compression::Lz4, Compression::None, Compression::None];
        assert_eq!(codecs, stored.map_or(theirs, |stored| [stored; 3]), "{name}");
        for (found, sent) in found.iter().zip(&sent) {
            assert_eq!(found.records(1 << 20), sent.records(1 << 20));
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_have_the_time_of_their_log_where_the_topic_says_so() {
    let cluster = one_node().await;
    let client = cluster.client(0);
    client.topic("t", json!({ "config": { "retention.ms": "-1" } })).await;
    post_batch(&client, "t", &batch(&["a"], Compression::Lz4)).await;
    let change = json!({ "message.timestamp.type": "LogAppendTime" });
    let patch = client.ask(Method::PATCH, "/v1/topics/t/config").json(&change);
    assert!(patch.send().await.unwrap().status().is_success());
    let before = jiff::Timestamp::now().as_millisecond();
    post_batch(&client, "t", &batch(&["b", "c"], Compression::Lz4)).await;
    let page = client.json(&records("t")).await;
    let times: Vec<i64> = page["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["timestamp"].as_i64().unwrap())
        .collect();
    assert_eq!((times[0], times[1]), (5, times[2]));
    assert!(times[1] >= before, "{times:?} from {before} on");
    let found = client.json(&format!("{}?offset=@{before}", records("t"))).await;
    assert_eq!(found["records"][0]["offset"], 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_refuses_the_request_where_the_topic_is_compacted() {
    let cluster = one_node().await;
    let client = cluster.client(0);
    let wanted = json!({ "partitions": 2, "config": { "cleanup.policy": "compact" } });
    client.topic("t", wanted).await;
    let body =
        json!({ "records": [{ "key": "a", "partition": 0 }, { "value": 1, "partition": 1 }] });
    let post = client.ask(Method::POST, "/v1/topics/t/records").json(&body);
    let answer = post.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let said: Value = answer.json().await.unwrap();
    assert!(said["message"].as_str().unwrap().contains("record 1 has no key"), "{said}");
    let unkeyed = Record { value: Some("x".into()), ..Record::default() };
    let unkeyed = RecordBatch::build(&[unkeyed], Compression::Zstd).into_bytes();
    let answer = client.post(&records("t"), BATCHES, unkeyed).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    for partition in 0..2 {
        let path = format!("/v1/topics/t/partitions/{partition}/records");
        assert_eq!(client.json(&path).await["high_watermark"], 0, "nothing was appended");
    }
    cluster.stop().await;
}

/// How many records [`overwritten`] writes.
const RECORDS: u64 = 400;
/// The most of them that the segment holds that takes entries.
const SEGMENT_RECORDS: u64 = 30;

/// Of ten keys every one at first, then the odd ones again and again; two records a batch.
fn key_of(offset: u64) -> u64 {
    if offset < 10 { offset } else { (offset / 2 % 5) * 2 + 1 }
}

async fn overwritten(client: &Client) {
    let config = json!({
        "cleanup.policy": "compact", "segment.bytes": "65536", "min.cleanable.dirty.ratio": "0"
    });
    client.topic("t", json!({ "config": config })).await;
    let value = "x".repeat(2_200);
    for first in (0..RECORDS).step_by(2) {
        let write = |offset: u64| {
            let timestamp = 1_000 + offset / 2;
            json!({ "key": key_of(offset).to_string(), "value": value, "timestamp": timestamp })
        };
        let body = json!({ "records": [write(first), write(first + 1)] });
        let post = client.ask(Method::POST, &records("t")).json(&body).send().await.unwrap();
        assert_eq!(post.status(), StatusCode::OK);
    }
}

/// What is left once that is compacted up to an offset.
fn left(upto: u64) -> Vec<u64> {
    let is_last = |offset: &u64| !(offset + 1..upto).any(|later| key_of(later) == key_of(*offset));
    (0..RECORDS).filter(|offset| *offset >= upto || is_last(offset)).collect()
}

fn offsets(page: &Value) -> Vec<u64> {
    let records = page.as_array().or_else(|| page["records"].as_array()).unwrap();
    records.iter().map(|record| record["offset"].as_u64().unwrap()).collect()
}

/// Waits until all segments but the last are compacted; gives what is left.
async fn compacted(client: &Client) -> Vec<u64> {
    eventually("it is compacted", async || {
        let found = offsets(&client.json(&records("t")).await);
        let ends = RECORDS - SEGMENT_RECORDS..=RECORDS;
        ends.map(left).any(|left| left == found).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_reads_a_compacted_log() {
    let cluster = one_node().await;
    let client = cluster.client(0);
    overwritten(&client).await;
    let kept = compacted(&client).await;
    assert_eq!(kept[..5], [0, 2, 4, 6, 8], "the even keys were written once");
    assert!(kept[5] > 300, "{kept:?}");
    let page = client.json(&records("t")).await;
    assert_eq!((&page["next_offset"], &page["high_watermark"]), (&json!(400), &json!(400)));

    // From an offset that is gone on comes the next one there is.
    let from = async |text: &str| client.json(&format!("{}?{text}", records("t"))).await;
    assert_eq!(offsets(&from("offset=5").await)[..2], [6, 8]);
    assert_eq!(offsets(&from("offset=9&max_records=1").await), kept[5..6]);
    assert_eq!(from("offset=1&max_records=1").await["next_offset"], 4, "3 is gone");
    assert_eq!(offsets(&from("offset=@1005").await)[0], kept[5], "by time");
    assert_eq!(offsets(&from("offset=-1").await), [399]);
    assert_eq!(offsets(&from("offset=-390").await)[0], kept[5], "395 before the end");
    let empty = from("offset=9&max_bytes=1&wait_ms=10").await;
    assert_eq!(offsets(&empty)[0], kept[5], "batches without records do not fill a page");

    // NDJSON, v2, several partitions, one raw value.
    let accept = |media: &str| client.get(&records("t")).header("accept", media);
    let lines = accept("application/x-ndjson").send().await.unwrap().text().await.unwrap();
    assert_eq!(lines.lines().count(), kept.len());
    let v2 = accept("application/vnd.kafka.binary.v2+json").send().await.unwrap();
    assert_eq!(offsets(&v2.json().await.unwrap()), kept);
    let v2 = client.get("/topics/t/partitions/0/records?offset=5&timeout=10");
    let v2 = v2.header("accept", "application/vnd.kafka.binary.v2+json").send().await.unwrap();
    assert_eq!(offsets(&v2.json().await.unwrap()), kept[3..]);
    let several = client.json("/v1/topics/t/records?offsets=0:5").await;
    assert_eq!(offsets(&several), kept[3..]);
    assert_eq!(several["partitions"][0]["next_offset"], 400);
    let one = client.get(&format!("{}?offset=9", records("t")));
    let one = one.header("accept", "application/octet-stream").send().await.unwrap();
    assert_eq!(header(&one, "record-offset"), kept[5].to_string());
    assert_eq!(header(&one, "next-offset"), (kept[5] + 1).to_string());
    assert_eq!(header(&one, "cache-control"), "no-store", "what is read may be compacted");

    // Raw batches keep their places.
    let (batches, next) = raw(&client, "t", "5").await;
    assert_eq!(next, "400");
    assert_eq!((batches[0].base_offset(), batches[0].record_count(), batches[0].span()), (6, 1, 2));
    let seen: usize = batches.iter().map(|batch| batch.record_count() as usize).sum();
    assert_eq!(seen, kept.len() - 3);

    // A conditional append goes by offsets, not by records.
    let body = r#"{"records":[{"key":"0","value":"new"}]}"#;
    let append = |tag| client.post(&records("t"), JSON, body).header("if-match", tag);
    assert_eq!(append("\"57\"").send().await.unwrap().status(), 412);
    let appended: Value = append("\"399\"").send().await.unwrap().json().await.unwrap();
    assert_eq!(appended["offsets"][0]["offset"], 400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_log_is_the_same_after_a_restart() {
    let mut cluster = one_node().await;
    overwritten(&cluster.client(0)).await;
    let kept = compacted(&cluster.client(0)).await;
    cluster.stop_node(0).await;
    cluster.start_node(0).await;
    let client = cluster.client(0);
    eventually("it leads again", async || {
        let answer = client.get(&records("t")).send().await.unwrap();
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(offsets(&client.json(&records("t")).await), kept);
    cluster.stop().await;
}
