//! Every row of the table of errors is provoked over HTTP, and looks as the table says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Client, Cluster, Door, eventually};
use ottla::error::{ErrorKind, WriteOutcome};
use ottla::http::Limits;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use storage::batch::{BatchBuilder, Compression};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/json";
const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";

/// Rows that no request can provoke as long as we have no bug, and the test that provokes them.
const PROVOKED_ELSEWHERE: &[(ErrorKind, &str, &str)] =
    &[(ErrorKind::Internal, "src/http/guard.rs", "a_handler_that_panics_is_answered_with_a_500")];

/// The rows that were seen, by their code.
#[derive(Default)]
struct Seen(BTreeMap<u32, ErrorKind>);

impl Seen {
    /// Sends a request that must be answered with this row.
    async fn provoke(&mut self, kind: ErrorKind, request: RequestBuilder) -> Value {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let what = format!("{kind:?}: {method} {path}: {status} {headers:?} {text}");
        let row = kind.row();
        assert_eq!(status, row.status, "{what}");
        assert_eq!(headers["content-type"], "application/json", "{what}");
        assert_eq!(headers.contains_key("retry-after"), row.retriable, "{what}");
        let body: Value = serde_json::from_str(&text).unwrap();
        self.check(kind, &body, method.is_safe());
        assert_eq!(headers["request-id"], body["request_id"].as_str().unwrap(), "{what}");
        body
    }

    fn check(&mut self, kind: ErrorKind, body: &Value, reads: bool) {
        let row = kind.row();
        assert_eq!(body["error_code"], row.code, "{kind:?}: {body}");
        assert_eq!(body["retriable"], row.retriable, "{kind:?}: {body}");
        assert_eq!(body["kafka_error"], row.kafka, "{kind:?}: {body}");
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{kind:?}: {body}");
        let outcome = match row.outcome {
            _ if reads => Value::Null,
            WriteOutcome::NotAppended => "not_appended".into(),
            WriteOutcome::Unknown => "unknown".into(),
        };
        assert_eq!(body["outcome"], outcome, "{kind:?}: {body}");
        self.0.insert(row.code, kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_provoked() {
    let mut seen = Seen::default();
    let mut one = Cluster::start(1).await;
    names(&mut seen, &one.client(0)).await;
    bodies(&mut seen, &one.client(0)).await;
    producers(&mut seen, &one.client(0)).await;
    groups(&mut seen, &one.client(0)).await;
    limits(&mut seen, &one).await;
    a_damaged_log(&mut seen, &mut one).await;
    one.stop().await;
    nodes_that_are_gone(&mut seen, Cluster::start(3).await).await;

    for (kind, file, test) in PROVOKED_ELSEWHERE {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("async fn {test}()")), "{test} is gone");
        seen.0.insert(kind.row().code, *kind);
    }
    let missing: Vec<_> =
        ErrorKind::ALL.iter().filter(|kind| !seen.0.contains_key(&kind.row().code)).collect();
    assert!(missing.is_empty(), "not provoked: {missing:?}");
}

/// What is named does not exist, or cannot be named so.
async fn names(seen: &mut Seen, client: &Client) {
    client.topic("t", json!({ "partitions": 2, "config": { "max.message.bytes": "2048" } })).await;
    client.topic("keyed", json!({ "config": { "cleanup.policy": "compact" } })).await;
    let records = "/v1/topics/t/partitions/0/records";
    let keyed = "/v1/topics/keyed/partitions/0";
    let cluster = client.json("/v1/cluster").await["cluster_id"].as_str().unwrap().to_owned();
    let v3 = format!("/v3/clusters/{cluster}");
    let put = |path: &str, body: Value| client.ask(Method::PUT, path).json(&body);
    let events = |path: &str| client.get(path).header("accept", "text/event-stream");
    let rows = [
        (ErrorKind::InvalidRequest, client.get(&format!("{records}?offset=newest"))),
        (ErrorKind::InvalidRequest, client.get(&format!("{records}?ofset=1"))),
        (ErrorKind::InvalidRequest, client.get(&format!("{records}?wait_ms=30001"))),
        (ErrorKind::InvalidRequest, client.get("/v1/topics/t/partitions/x/records")),
        (ErrorKind::InvalidRequest, client.get("/v1/topics/%ff")),
        (ErrorKind::InvalidSettings, put("/v1/topics/u", json!({ "partitions": 0 }))),
        (ErrorKind::InvalidSettings, put("/v1/topics/u", json!({ "config": { "flush.ms": "x" } }))),
        (ErrorKind::InvalidTopic, put("/v1/topics/a%20b", json!({}))),
        (ErrorKind::NotFound, client.get("/v1/tropics")),
        (ErrorKind::NotFound, client.get("/v1/topics/")),
        (ErrorKind::UnknownTopic, client.get("/v1/topics/none")),
        (ErrorKind::UnknownTopic, client.get("/topics/none")),
        (ErrorKind::UnknownPartition, client.get("/v1/topics/t/partitions/2/records")),
        (ErrorKind::UnknownPartition, client.get("/topics/t/partitions/2")),
        (ErrorKind::UnknownBroker, client.get(&format!("{v3}/brokers/9"))),
        (ErrorKind::UnknownCluster, client.get("/v3/clusters/nobody/topics")),
        (ErrorKind::UnknownSetting, client.get(&format!("{v3}/topics/t/configs/flush.days"))),
        (ErrorKind::MethodNotAllowed, client.ask(Method::DELETE, "/v1/cluster")),
        (ErrorKind::NotAcceptable, client.get(records).header("accept", "text/html")),
        (ErrorKind::NotAcceptable, client.get(&format!("{records}?follow=true"))),
        (ErrorKind::InvalidRequest, events(records).header("last-event-id", "0-12")),
        (ErrorKind::InvalidRequest, events(&format!("{records}?last_event_id=1:12"))),
        (ErrorKind::OffsetOutOfRange, events(records).header("last-event-id", "0:12")),
        (ErrorKind::TopicExists, put("/v1/topics/t", json!({ "partitions": 3 }))),
        (
            ErrorKind::PolicyViolation,
            client.post(&format!("{keyed}/trim"), JSON, r#"{"offset":0}"#),
        ),
        (
            ErrorKind::InvalidRecord,
            client.post("/v1/topics/keyed/records", JSON, r#"{"records":[{"value":1}]}"#),
        ),
    ];
    for (kind, request) in rows {
        seen.provoke(kind, request).await;
    }
    let body =
        seen.provoke(ErrorKind::OffsetOutOfRange, client.get(&format!("{records}?offset=7"))).await;
    assert_eq!((&body["log_start_offset"], &body["high_watermark"]), (&json!(0), &json!(0)));
}

/// Members and offsets that do not go together.
async fn groups(seen: &mut Seen, client: &Client) {
    let join = |body: Value| client.ask(Method::POST, "/v1/groups/g/members").json(&body);
    let put = |body: Value| client.ask(Method::PUT, "/v1/groups/g/offsets").json(&body);
    for instance in ["once", "again"] {
        let body = json!({ "topics": ["t"], "member_id": instance, "instance_id": "static" });
        assert_eq!(join(body).send().await.unwrap().status(), 201);
    }
    let offset = json!({ "topic": "t", "partition": 0, "offset": 0 });
    let long = "x".repeat(256);
    let instance = |body: Value| client.ask(Method::POST, "/consumers/g").json(&body);
    let consumer = "/consumers/g/instances/c";
    let tell = |path: &str, body: Value| {
        client.ask(Method::POST, &format!("{consumer}/{path}")).json(&body)
    };
    assert_eq!(instance(json!({ "name": "c" })).send().await.unwrap().status(), 200);
    let rows = [
        (ErrorKind::InvalidGroup, client.get(&format!("/v1/groups/{long}"))),
        (ErrorKind::UnknownGroup, client.get("/v1/groups/none")),
        (ErrorKind::UnknownGroup, client.get("/v1/groups/none/lag")),
        (ErrorKind::UnknownMember, client.get("/v1/groups/g/members/none/records")),
        (ErrorKind::UnknownMember, client.get("/consumers/none/instances/none/records")),
        (ErrorKind::MemberExists, join(json!({ "member_id": "again", "topics": ["t"] }))),
        (ErrorKind::MemberExists, instance(json!({ "name": "c" }))),
        (ErrorKind::FencedInstance, client.get("/v1/groups/g/members/once/records")),
        (
            ErrorKind::StaleGeneration,
            put(json!({ "offsets": [offset], "member_id": "again", "generation": 77 })),
        ),
        (ErrorKind::NotOwner, put(json!({ "offsets": [offset], "member_id": "c" }))),
        (ErrorKind::GroupNotEmpty, client.ask(Method::DELETE, "/v1/groups/g")),
        (ErrorKind::InvalidRequest, join(json!({ "session_timeout_ms": 1 }))),
        (ErrorKind::InvalidRequest, join(json!({ "topic_pattern": "(" }))),
        (ErrorKind::InvalidRequest, join(json!({ "topics": [], "topic_pattern": "a" }))),
        (ErrorKind::InvalidRequest, join(json!({ "assignor": "fair" }))),
        (ErrorKind::InvalidRequest, client.get("/v1/groups/g/records")),
        (ErrorKind::InvalidRequest, client.get("/v1/groups/g/records?topics=t&max_records=0")),
        (
            ErrorKind::NotAcceptable,
            client
                .get(&format!("{consumer}/records"))
                .header("accept", "application/vnd.kafka.json.v2+json"),
        ),
        (ErrorKind::IllegalState, client.get(&format!("{consumer}/records"))),
        (ErrorKind::InvalidConsumer, instance(json!({ "format": "avro" }))),
        (ErrorKind::InvalidConsumer, instance(json!({ "auto.commit.enable": "maybe" }))),
        (ErrorKind::InvalidConsumer, instance(json!({ "fetch.min.bytes": "all" }))),
        (
            ErrorKind::UnknownTopic,
            put(json!({ "offsets": [{ "topic": "none", "partition": 0, "offset": 0 }] })),
        ),
    ];
    for (kind, request) in rows {
        seen.provoke(kind, request).await;
    }
    assert_eq!(
        tell("subscription", json!({ "topics": ["t"] })).send().await.unwrap().status(),
        204
    );
    let assigned = json!({ "partitions": [{ "topic": "t", "partition": 0 }] });
    seen.provoke(ErrorKind::IllegalState, tell("assignments", assigned)).await;

    crowd(seen, client).await;
}

/// Of 48 members with a quarter of a megabyte of wishes each there is no room for one more.
async fn crowd(seen: &mut Seen, client: &Client) {
    let wishes: Vec<String> = (0..1000).map(|at| format!("{at:0249}")).collect();
    let wish = |at: usize| {
        let body = json!({ "topics": wishes, "member_id": format!("wide-{at}") });
        client.ask(Method::POST, "/v1/groups/wide/members").json(&body)
    };
    let mut members = 0;
    while wish(members).send().await.unwrap().status() == 201 {
        members += 1;
    }
    assert!(members > 20, "{members}");
    seen.provoke(ErrorKind::GroupFull, wish(members)).await;
    for at in 0..members {
        let path = format!("/v1/groups/wide/members/wide-{at}");
        assert_eq!(client.ask(Method::DELETE, &path).send().await.unwrap().status(), 204);
    }
}

/// The body is not what it should be.
async fn bodies(seen: &mut Seen, client: &Client) {
    let records = "/v1/topics/t/partitions/0/records";
    let long = format!(r#"{{"records":[{{"value":"{}"}}]}}"#, "x".repeat(3000));
    let mut builder = BatchBuilder::new();
    builder.push(0, None, Some(b"value"), []);
    let mut damaged = builder.finish(Compression::None).into_bytes().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let rows = [
        (ErrorKind::MalformedJson, client.post(records, JSON, "{\"records\":\n[{]}")),
        (ErrorKind::MalformedJson, client.post(records, JSON, r#"{"records":[{"valve":1}]}"#)),
        (ErrorKind::MalformedJson, client.post(records, "application/x-ndjson", "{}\n{\"value\"")),
        (ErrorKind::InvalidRequest, client.post(records, JSON, r#"{"records":[]}"#)),
        (ErrorKind::CorruptBatch, client.post(records, BATCHES, damaged)),
        (ErrorKind::CorruptBatch, client.post(records, BATCHES, "not a batch")),
        (ErrorKind::RecordTooLarge, client.post(records, JSON, long)),
        (ErrorKind::UnsupportedType, client.post(records, "text/plain", "x")),
        (ErrorKind::UnsupportedType, client.post("/v1/topics/t/records", BATCHES, "x")),
        (
            ErrorKind::UnsupportedType,
            client.post(records, JSON, "x").header("content-encoding", "br"),
        ),
        (
            ErrorKind::NotConvertible,
            client.post(
                "/topics/t",
                "application/vnd.kafka.binary.v2+json",
                r#"{"records":[{"value":"?"}]}"#,
            ),
        ),
        (
            ErrorKind::EndMoved,
            client.post(records, "application/octet-stream", "x").header("if-match", "\"41\""),
        ),
    ];
    for (kind, request) in rows {
        seen.provoke(kind, request).await;
    }
    let body = seen
        .provoke(ErrorKind::MalformedJson, client.post(records, JSON, "{\"records\":\n[{]}"))
        .await;
    assert!(body["message"].as_str().unwrap().contains("line 2 column 3"), "{body}");
    // Nothing of all this was appended.
    assert_eq!(client.json(records).await["high_watermark"], 0);
}

/// What an idempotent producer must not send.
async fn producers(seen: &mut Seen, client: &Client) {
    let records = "/v1/topics/t/partitions/1/records";
    let one = r#"{"records":[{"value":"x"}]}"#;
    let by = |epoch: &'static str, seq: &'static str| {
        let request = client.post(records, JSON, one).header("producer-id", "p");
        request.header("producer-epoch", epoch).header("producer-seq", seq)
    };
    assert_eq!(by("4", "0").send().await.unwrap().status(), 200);
    let gap = by("4", "7").send().await.unwrap();
    assert_eq!(gap.headers()["producer-expected-seq"], "1");
    let body = seen.provoke(ErrorKind::OutOfOrderSequence, by("4", "7")).await;
    assert_eq!(body["expected_seq"], 1);
    let fenced = by("3", "1").send().await.unwrap();
    assert_eq!(fenced.headers()["producer-epoch"], "4");
    let body = seen.provoke(ErrorKind::ProducerFenced, by("3", "1")).await;
    assert_eq!(body["producer_epoch"], 4);
    let keyed =
        |body: &'static str| client.post(records, JSON, body).header("idempotency-key", "k");
    assert_eq!(keyed(one).send().await.unwrap().status(), 200);
    seen.provoke(ErrorKind::KeyReused, keyed(r#"{"records":[{"value":"x"},{}]}"#)).await;
    for refused in [by("4", "x"), client.post(records, JSON, one).header("producer-seq", "0")] {
        seen.provoke(ErrorKind::InvalidRequest, refused).await;
    }
    // Nothing of all this was appended but what was said to be.
    assert_eq!(client.json(records).await["high_watermark"], 2);
}

/// More than the door takes.
async fn limits(seen: &mut Seen, cluster: &Cluster) {
    let door = Door::open(
        cluster.broker(0),
        Limits {
            body_bytes_max: 1000,
            inflated_bytes_max: 2000,
            header_bytes_max: 4000,
            follows_max: 0,
            body_pause_max: Duration::from_millis(100),
            ..Limits::DEFAULT
        },
    )
    .await;
    let client = door.client();
    let records = "/v1/topics/t/partitions/0/records";
    let octets = "application/octet-stream";
    seen.provoke(ErrorKind::BodyTooLarge, client.post(records, octets, vec![0; 1001])).await;
    let bomb = zstd::encode_all(&[0_u8; 2001][..], 1).unwrap();
    let request = client.post(records, octets, bomb).header("content-encoding", "zstd");
    seen.provoke(ErrorKind::InflatedTooLarge, request).await;
    let request = client.get("/livez").header("x-long", "x".repeat(4000));
    seen.provoke(ErrorKind::HeadersTooLarge, request).await;
    slow(seen, &door).await;

    let request = client.get(&format!("{records}?follow=true"));
    seen.provoke(ErrorKind::Busy, request.header("accept", "application/x-ndjson")).await;

    // One waits for records while the door closes.
    let waiting = client.get(&format!("{records}?wait_ms=30000")).send();
    let shut = async {
        eventually("it waits", async || {
            let metrics = client.get("/metrics").send().await.unwrap().text().await.unwrap();
            metrics.contains("ottla_http_requests_in_flight 2").then_some(())
        })
        .await;
        door.shutdown.cancel();
    };
    let ((), waited) = tokio::join!(shut, waiting);
    let waited = waited.unwrap();
    assert_eq!(waited.status(), ErrorKind::ShuttingDown.row().status);
    assert!(waited.headers().contains_key("retry-after"));
    seen.check(ErrorKind::ShuttingDown, &waited.json().await.unwrap(), true);
    door.close().await;
}

/// A body that stops coming.
async fn slow(seen: &mut Seen, door: &Door) {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = "POST /v1/topics/t/records HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\
                content-type: application/json\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("connection: close"), "{head}");
    seen.check(ErrorKind::SlowRequest, &serde_json::from_str(body).unwrap(), false);
}

/// A byte in the middle of a partition's log is not what was written.
async fn a_damaged_log(seen: &mut Seen, cluster: &mut Cluster) {
    let client = cluster.client(0);
    client.topic("damaged", json!({})).await;
    for _ in 0..20 {
        let response = client.produce("damaged", &["0123456789".repeat(50).as_str()]).await;
        assert_eq!(response.status(), 200);
    }
    cluster.stop_node(0).await;
    // Only this topic's log is that long.
    let mut logs = Vec::new();
    for group in std::fs::read_dir(cluster.data(0).join("segments")).unwrap() {
        for file in std::fs::read_dir(group.unwrap().path()).unwrap() {
            logs.push(file.unwrap().path());
        }
    }
    let damaged = logs.iter().find(|log| {
        let bytes = std::fs::read(log).unwrap();
        bytes.windows(500).any(|window| window == "0123456789".repeat(50).as_bytes())
    });
    let damaged = damaged.expect("the records are on the disk");
    let mut bytes = std::fs::read(damaged).unwrap();
    let at = bytes.windows(500).position(|window| window == "0123456789".repeat(50).as_bytes());
    bytes[at.unwrap() + 100] ^= 1;
    std::fs::write(damaged, bytes).unwrap();

    cluster.start_node(0).await;
    let client = cluster.client(0);
    let broker = cluster.broker(0).clone();
    eventually("the metadata is back", async || (broker.topics().len() == 3).then_some(())).await;
    eventually("the replica is known to be broken", async || {
        let health = client.json("/v1/cluster/health").await;
        (!health["broken"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let path = "/v1/topics/damaged/partitions/0/records?timeout_ms=2000";
    seen.provoke(ErrorKind::PartitionBroken, client.post(path, JSON, r#"{"records":[{}]}"#)).await;
    // The others live on.
    assert_eq!(client.produce("t", &["still here"]).await.status(), 200);
}

/// Brokers that are needed are not there.
async fn nodes_that_are_gone(seen: &mut Seen, mut cluster: Cluster) {
    let client = cluster.client(2);
    client.topic("three", json!({ "partitions": 6, "replication_factor": 3 })).await;
    client.topic("one", json!({ "partitions": 6, "replication_factor": 1 })).await;
    let three = client.json("/v1/topics/three").await;
    let one = client.json("/v1/topics/one").await;
    let led_by_us = |partition: &&Value| partition["leader"] == 3;
    let ours = three["partitions"].as_array().unwrap().iter().find(led_by_us);
    let ours = ours.expect("leaders are spread")["partition"].clone();
    let elsewhere = one["partitions"].as_array().unwrap().iter().find(|p| p["leader"] == 2);
    let elsewhere = elsewhere.expect("replicas are spread")["partition"].clone();

    client.topic("all", json!({ "config": { "min.insync.replicas": "3" } })).await;
    let all = "/v1/topics/all/partitions/0/records";
    let record = || client.post(all, JSON, r#"{"records":[{}]}"#);
    eventually("all replicas are in sync", async || {
        (record().send().await.unwrap().status() == 200).then_some(())
    })
    .await;

    cluster.stop_node(1).await;
    eventually("the leader misses a replica", async || {
        let body: Value = record().send().await.unwrap().json().await.unwrap();
        (body["error_code"] == ErrorKind::NotEnoughReplicas.row().code).then_some(())
    })
    .await;
    let body = seen.provoke(ErrorKind::NotEnoughReplicas, record()).await;
    assert!(body["message"].as_str().unwrap().contains("2 replicas are in sync"), "{body}");
    let leaders = client.post(&format!("{all}?acks=leader"), JSON, r#"{"records":[{}]}"#);
    assert_eq!(leaders.send().await.unwrap().status(), 200, "only a quorum's is asked for");
    let path = format!("/v1/topics/one/partitions/{elsewhere}/records");
    let request = client.post(&format!("{path}?timeout_ms=500"), JSON, r#"{"records":[{}]}"#);
    seen.provoke(ErrorKind::BrokerUnavailable, request).await;

    // Of two records one has a broker and one has none.
    let ours_too = one["partitions"].as_array().unwrap().iter().find(|p| p["leader"] == 3);
    let ours_too = ours_too.expect("replicas are spread")["partition"].clone();
    let records = json!([{ "partition": elsewhere }, { "partition": ours_too }]);
    let request = client.ask(Method::POST, "/v1/topics/one/records?timeout_ms=500");
    let response = request.json(&json!({ "records": records })).send().await.unwrap();
    assert_eq!(response.status(), 207);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["offsets"][1], json!({ "partition": ours_too, "offset": 0 }));
    let refused = &body["offsets"][0];
    assert_eq!((&refused["partition"], &refused["offset"]), (&elsewhere, &Value::Null));
    assert_eq!(refused["error_code"], ErrorKind::BrokerUnavailable.row().code);
    assert_eq!(refused["outcome"], "not_appended");

    // Without a majority a leader neither commits nor confirms that it leads; soon it is none.
    let unsure = format!("/v1/topics/three/partitions/{ours}/records");
    let stopping = cluster.servers[0].take().unwrap().shutdown();
    stopping.await.unwrap();
    let request = client.post(&format!("{unsure}?timeout_ms=400"), JSON, r#"{"records":[{}]}"#);
    seen.provoke(ErrorKind::OutcomeUnknown, request).await;
    seen.provoke(ErrorKind::ReadTimedOut, client.get(&format!("{unsure}?read=linearizable"))).await;
    let request = client.ask(Method::PUT, "/v1/topics/new?timeout_ms=500").json(&json!({}));
    seen.provoke(ErrorKind::NotReady, request).await;
    // Until its lease is over the last leader believes that it leads.
    let body = eventually("the leader knows that it is none", async || {
        let request = client.post(&format!("{unsure}?timeout_ms=500"), JSON, r#"{"records":[{}]}"#);
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        (body["error_code"] == ErrorKind::NoLeader.row().code).then_some(body)
    })
    .await;
    seen.check(ErrorKind::NoLeader, &body, false);
    cluster.stop().await;
}
