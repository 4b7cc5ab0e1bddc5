//! Idempotent producers over HTTP: every form of body, sent again, is in the log once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use bytes::Bytes;
use futures::future::join_all;
use http_cluster::{Client, Cluster, eventually, header};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use storage::batch::{BatchBuilder, Compression, RecordBatch};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const OCTETS: &str = "application/octet-stream";
const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";
/// Batches of which several are on their way at the same time.
const COUNT: i32 = 60;
const RECORDS: &str = "/v1/topics/t/partitions/0/records";

async fn one_node(partitions: u32) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": partitions })).await;
    (cluster, client)
}

/// One record by producer `p`.
fn send(client: &Client, epoch: i16, seq: i32, value: &str) -> RequestBuilder {
    let body = json!({ "records": [{ "value": value }] }).to_string();
    let request = client.post(RECORDS, JSON, body).header("producer-id", "p");
    request.header("producer-epoch", epoch.to_string()).header("producer-seq", seq.to_string())
}

/// The first offset of an answer, and whether it says that the records were there already.
async fn told(response: Response) -> (u64, bool) {
    let duplicate = response.headers().get("duplicate").is_some_and(|value| value == "true");
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let first = &body["offsets"][0];
    assert_eq!(first["duplicate"] == true, duplicate, "{body}");
    (first["offset"].as_u64().unwrap(), duplicate)
}

async fn values(client: &Client, path: &str) -> Vec<String> {
    let page = client.json(&format!("{path}?offset=earliest&read=linearizable")).await;
    let records = page["records"].as_array().unwrap();
    records.iter().map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

fn batch(compression: Compression, values: &[&str]) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(0, None, Some(value.as_bytes()), []);
    }
    builder.finish(compression)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_produce_that_is_sent_again_is_there_once() {
    let (cluster, client) = one_node(1).await;
    let made = client.post("/v1/producers", JSON, "").send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["epoch"], 0);
    let id = made["producer_id"].as_i64().unwrap();
    let bodies: [(&str, Bytes); 5] = [
        (JSON, r#"{"records":[{"value":"a"},{"value":"b"}]}"#.into()),
        (NDJSON, "{\"value\":\"a\"}\n{\"value\":\"b\"}\n".into()),
        (OCTETS, "a".into()),
        (BATCHES, batch(Compression::None, &["a", "b"]).into_bytes()),
        (BATCHES, batch(Compression::Zstd, &["a", "b"]).into_bytes()),
    ];
    let (mut seq, mut offset) = (0, 0);
    for (number, (media, body)) in bodies.into_iter().enumerate() {
        let records = if media == OCTETS { 1 } else { 2 };
        let by_id = || {
            let request = client.post(RECORDS, media, body.clone());
            request.header("producer-id", id.to_string()).header("producer-seq", seq.to_string())
        };
        let key = format!("{number}");
        let by_key = || client.post(RECORDS, media, body.clone()).header("idempotency-key", &key);
        for again in [false, true] {
            let answer = by_id().send().await.unwrap();
            assert_eq!(header(&answer, "durability"), "quorum-fsync");
            assert!(header(&answer, "leader").starts_with("1; url="));
            assert_eq!(told(answer).await, (offset, again), "{media}");
        }
        for again in [false, true] {
            let answer = told(by_key().send().await.unwrap()).await;
            assert_eq!(answer, (offset + records, again), "{media}");
        }
        seq += records;
        offset += 2 * records;
    }
    // A client that made its batch says who it is in the batch.
    for compression in [Compression::None, Compression::Gzip] {
        let signed = batch(compression, &["c", "d"]).with_producer(id, 1, 0).into_bytes();
        let both = batch(compression, &["e"]).with_producer(id, 1, 2).into_bytes();
        let body: Bytes = [signed, both].concat().into();
        let sent = told(client.post(RECORDS, BATCHES, body).send().await.unwrap()).await;
        assert_eq!(sent, (offset, compression == Compression::Gzip), "{compression}");
    }
    assert_eq!(values(&client, RECORDS).await.len() as u64, offset + 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_five_batches_are_known_and_one_before_them_is_refused() {
    let (cluster, client) = one_node(1).await;
    for seq in 0..7 {
        let sent = told(send(&client, 0, seq, &seq.to_string()).send().await.unwrap()).await;
        assert_eq!(sent, (seq as u64, false));
    }
    for seq in 2..7 {
        let sent = told(send(&client, 0, seq, "again").send().await.unwrap()).await;
        assert_eq!(sent, (seq as u64, true));
    }
    let stale = send(&client, 0, 1, "again").send().await.unwrap();
    assert_eq!(stale.status(), StatusCode::CONFLICT);
    assert_eq!(header(&stale, "producer-expected-seq"), "7");
    assert_eq!(values(&client, RECORDS).await, ["0", "1", "2", "3", "4", "5", "6"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_begins_at_0_and_fences_the_one_before() {
    let (cluster, client) = one_node(1).await;
    assert_eq!(told(send(&client, 0, 0, "a").send().await.unwrap()).await, (0, false));
    let gap = send(&client, 1, 1, "b").send().await.unwrap();
    assert_eq!(gap.status(), StatusCode::CONFLICT);
    assert_eq!(header(&gap, "producer-expected-seq"), "0");
    assert_eq!(told(send(&client, 1, 0, "c").send().await.unwrap()).await, (1, false));
    let fenced = send(&client, 0, 1, "d").send().await.unwrap();
    assert_eq!(fenced.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(&fenced, "producer-epoch"), "1");
    assert_eq!(values(&client, RECORDS).await, ["a", "c"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_appended_in_their_order_whichever_comes_first() {
    let (cluster, client) = one_node(1).await;
    assert_eq!(told(send(&client, 0, 0, "0").send().await.unwrap()).await, (0, false));
    // Windows of five, each sent backwards; each batch twice at the same time.
    for window in (1..COUNT).collect::<Vec<_>>().chunks(5) {
        let sending = window.iter().rev().flat_map(|seq| [*seq, *seq]).map(async |seq| {
            let (offset, duplicate) =
                told(send(&client, 0, seq, &seq.to_string()).send().await.unwrap()).await;
            assert_eq!(offset, seq as u64);
            duplicate
        });
        let duplicates = join_all(sending).await.into_iter().filter(|duplicate| *duplicate).count();
        assert_eq!(duplicates, window.len(), "one of each two");
    }
    let expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(values(&client, RECORDS).await, expected);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sends_records_without_a_key_of_their_own_to_one_place() {
    let (cluster, client) = one_node(8).await;
    let body = json!({ "records": [{}, {}, { "key": "k" }, { "partition": 3 }] });
    let mut first = Value::Null;
    for again in [false, true] {
        let request = client.post("/v1/topics/t/records", JSON, body.to_string());
        let answer = request.header("idempotency-key", "order-17").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers().contains_key("duplicate"), again);
        let mut said: Value = answer.json().await.unwrap();
        for offset in said["offsets"].as_array_mut().unwrap() {
            let marked = offset.as_object_mut().unwrap().remove("duplicate");
            assert_eq!(marked, again.then_some(Value::Bool(true)));
        }
        assert_eq!(said["offsets"][0]["partition"], said["offsets"][1]["partition"]);
        assert_eq!(said["offsets"][3]["partition"], 3);
        if again {
            assert_eq!(said, first);
        }
        first = said;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_request_that_failed_in_part_a_retry_appends_the_rest() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client(2);
    client.topic("t", json!({ "partitions": 6, "replication_factor": 1 })).await;
    let view = client.json("/v1/topics/t").await;
    let led_by = |node: u64| {
        let all = view["partitions"].as_array().unwrap();
        let found = all.iter().find(|partition| partition["leader"] == node);
        found.expect("leaders are spread")["partition"].as_u64().unwrap()
    };
    let (there, here) = (led_by(2), led_by(3));
    cluster.stop_node(1).await;
    let body = json!({ "records": [
        { "partition": here, "value": "x" }, { "partition": there, "value": "y" },
    ]});
    let sent = async |timeout_ms: u64| {
        let path = format!("/v1/topics/t/records?timeout_ms={timeout_ms}");
        let request = client.post(&path, JSON, body.to_string());
        let answer = request.header("idempotency-key", "k").send().await.unwrap();
        let status = answer.status();
        (status, answer.headers().contains_key("duplicate"), answer.json::<Value>().await.unwrap())
    };
    let (status, duplicate, said) = sent(500).await;
    assert_eq!((status, duplicate), (StatusCode::MULTI_STATUS, false), "{said}");
    assert_eq!(said["offsets"][0], json!({ "partition": here, "offset": 0 }));
    assert_eq!(said["offsets"][1]["outcome"], "not_appended");
    cluster.start_node(1).await;
    let said = eventually("the rest is appended", async || {
        let (status, duplicate, said) = sent(5000).await;
        assert!(!duplicate, "not all of it was there");
        (status == StatusCode::OK).then_some(said)
    })
    .await;
    let old = json!({ "partition": here, "offset": 0, "duplicate": true });
    assert_eq!(said["offsets"], json!([old, { "partition": there, "offset": 0 }]));
    for (partition, value) in [(here, "x"), (there, "y")] {
        let path = format!("/v1/topics/t/partitions/{partition}/records");
        assert_eq!(values(&client, &path).await, [value]);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_append_that_is_sent_again_meets_itself_not_its_condition() {
    let (cluster, client) = one_node(1).await;
    for again in [false, true] {
        let request = send(&client, 0, 0, "a").header("if-match", "\"-1\"");
        assert_eq!(told(request.send().await.unwrap()).await, (0, again));
    }
    let refused = send(&client, 0, 1, "b").header("if-match", "\"-1\"").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(told(send(&client, 0, 1, "b").send().await.unwrap()).await, (1, false));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_and_nothing_is_appended() {
    let (cluster, client) = one_node(1).await;
    client.topic("small", json!({ "config": { "max.message.bytes": "1024" } })).await;
    let long = json!({ "records": [{ "value": "x".repeat(700) }, { "value": "y".repeat(700) }] });
    let two_batches = client.post("/v1/topics/small/partitions/0/records", JSON, long.to_string());
    let acks = client.post(&format!("{RECORDS}?acks=leader"), JSON, r#"{"records":[{}]}"#);
    let reserved = batch(Compression::None, &["x"]).with_producer(1 << 62, 0, 0).into_bytes();
    let rows = [
        (two_batches.header("idempotency-key", "k"), StatusCode::PAYLOAD_TOO_LARGE, "one batch"),
        (acks.header("idempotency-key", "k"), StatusCode::BAD_REQUEST, "acks=quorum"),
        (client.post(RECORDS, BATCHES, reserved), StatusCode::BAD_REQUEST, "POST /v1/producers"),
    ];
    for (request, status, why) in rows {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let said: Value = answer.json().await.unwrap();
        assert!(said["message"].as_str().unwrap().contains(why), "{said}");
    }
    assert!(values(&client, RECORDS).await.is_empty());
    assert!(values(&client, "/v1/topics/small/partitions/0/records").await.is_empty());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_producers_of_a_cluster_have_one_id() {
    let cluster = Cluster::start(3).await;
    let clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    let asking = (0..30).map(async |number: usize| {
        let request = clients[number % 3].post("/v1/producers", JSON, "");
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        made["producer_id"].as_i64().unwrap()
    });
    let ids: BTreeSet<i64> = join_all(asking).await.into_iter().collect();
    assert_eq!(ids.len(), 30);
    cluster.stop().await;
}
