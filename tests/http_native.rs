//! Produce and fetch over HTTP against real nodes, in every form they come in.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use bytes::Bytes;
use futures::StreamExt;
use http_cluster::{Client, Cluster, Door, eventually, header};
use ottla::http::Limits;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;
use storage::batch::{BatchBuilder, Compression, Record, RecordBatch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const JSON: &str = "application/json";
const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";
const V2_JSON: &str = "application/vnd.kafka.json.v2+json";
const V2_BINARY: &str = "application/vnd.kafka.binary.v2+json";

async fn one_node(topic: &str, partitions: u32) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic(topic, json!({ "partitions": partitions })).await;
    (cluster, client)
}

fn values(page: &Value) -> Vec<&str> {
    let records = page["records"].as_array().unwrap();
    records.iter().map(|record| record["value"].as_str().unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_produce_is_read_back_as_it_was_sent() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    let native =
        r#"{"records":[{"key":"k","value":"é \"q\"","timestamp":17,"headers":{"h":"x"}}]}"#;
    let binary = r#"{"records":[{"value":"/wA=","value_encoding":"base64"},{"key":"gone"}]}"#;
    let lines = "{\"value\":{\"a\":1}}\n\n{\"value\":2}\n";
    let sent: [(&str, Bytes, u64); 7] = [
        (JSON, native.into(), 1),
        ("application/json; charset=utf-8", binary.into(), 2),
        ("application/x-ndjson", lines.into(), 2),
        (V2_JSON, r#"{"records":[{"key":"k","value":{"b":[2]}}]}"#.into(), 1),
        (V2_BINARY, r#"{"records":[{"key":"aw==","value":"djI="}]}"#.into(), 1),
        ("application/octet-stream", Bytes::from_static(b"raw"), 1),
        ("application/octet-stream", Bytes::new(), 1),
    ];
    let mut next = 0;
    for (media, body, count) in sent {
        let response = client.post(path, media, body).header("record-key", "rk");
        let response = response.header("record-header-trace", "abc").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{media}");
        assert_eq!(header(&response, "durability"), "quorum-fsync");
        assert!(header(&response, "leader").starts_with("1; url=\"http://127.0.0.1:"));
        let body: Value = response.json().await.unwrap();
        let offsets: Vec<Value> =
            (next..next + count).map(|at| json!({ "partition": 0, "offset": at })).collect();
        assert_eq!(body, json!({ "offsets": offsets }), "{media}");
        next += count;
    }
    let page = client.json(path).await;
    let record = |at: usize| {
        let mut record = page["records"][at].clone();
        assert_eq!(record["offset"], at);
        let fields = record.as_object_mut().unwrap();
        let timestamp = fields.remove("timestamp").unwrap().as_i64().unwrap();
        assert!(if at == 0 { timestamp == 17 } else { timestamp > 1_700_000_000_000 });
        for name in ["partition", "offset"] {
            fields.remove(name);
        }
        record
    };
    let trace = json!([{ "name": "trace", "value": "abc" }]);
    let expected = [
        json!({ "key": "k", "value": "é \"q\"", "headers": [{ "name": "h", "value": "x" }] }),
        json!({ "key": null, "value": "/wA=", "value_encoding": "base64" }),
        json!({ "key": "gone", "value": null }),
        json!({ "key": null, "value": "{\"a\":1}" }),
        json!({ "key": null, "value": "2" }),
        json!({ "key": "\"k\"", "value": "{\"b\":[2]}" }),
        json!({ "key": "k", "value": "v2" }),
        json!({ "key": "rk", "value": "raw", "headers": trace }),
        json!({ "key": "rk", "value": "", "headers": trace }),
    ];
    for (at, expected) in expected.into_iter().enumerate() {
        assert_eq!(record(at), expected, "offset {at}");
    }
    assert_eq!(page["next_offset"], 9);

    other_forms_of_fetch(&client, path).await;
    cluster.stop().await;
}

/// The same nine records as one raw value, as lines, and in the types of v2.
async fn other_forms_of_fetch(client: &Client, path: &str) {
    let octets = |offset: u64| {
        let request = client.get(&format!("{path}?offset={offset}"));
        request.header("accept", "application/octet-stream").send()
    };
    let response = octets(7).await.unwrap();
    assert_eq!(header(&response, "record-key"), "rk");
    assert_eq!(header(&response, "record-header-trace"), "abc");
    assert_eq!(header(&response, "record-offset"), "7");
    assert_eq!(header(&response, "next-offset"), "8");
    assert_eq!(response.bytes().await.unwrap(), "raw");
    assert_eq!(header(&octets(2).await.unwrap(), "record-tombstone"), "true");
    assert_eq!(octets(9).await.unwrap().status(), StatusCode::NO_CONTENT);

    // Lines, and the v2 types.
    let text = |media: &str| client.get(path).header("accept", media.to_owned()).send();
    let lines = text("application/x-ndjson").await.unwrap().text().await.unwrap();
    assert_eq!(lines.lines().count(), 9);
    for line in lines.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    let v2: Value = text(V2_JSON).await.unwrap().json().await.unwrap();
    assert_eq!(v2[5]["value"], json!({ "b": [2] }));
    assert_eq!(v2[7]["value"], "raw");
    let v2: Value = text(V2_BINARY).await.unwrap().json().await.unwrap();
    assert_eq!((&v2[7]["value"], &v2[7]["topic"]), (&json!("cmF3"), &json!("t")));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_go_through_untouched_and_codings_are_taken_off() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    let mut sent = Vec::new();
    let mut payloads = Vec::new();
    for (compression, first) in [(Compression::Zstd, 0), (Compression::None, 2)] {
        let mut builder = BatchBuilder::new();
        for at in first..first + 2 {
            builder.push(at, None, Some(format!("value {at}").as_bytes()), []);
        }
        let batch = builder.finish(compression);
        payloads.push(batch.bytes().slice(21..));
        sent.extend_from_slice(batch.bytes());
    }
    let response = client.post(path, BATCHES, sent).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await.unwrap();
    let fate = |offset| json!({ "partition": 0, "offset": offset, "records": 2 });
    assert_eq!(body, json!({ "offsets": [fate(0), fate(2)] }));

    let response = client.get(path).header("accept", BATCHES).send().await.unwrap();
    assert_eq!(header(&response, "next-offset"), "4");
    let batches = RecordBatch::split(response.bytes().await.unwrap()).unwrap();
    let found: Vec<Bytes> = batches.iter().map(|batch| batch.bytes().slice(21..)).collect();
    assert_eq!(found, payloads, "attributes, records and all that the checksum covers");
    assert_eq!(batches[1].base_offset(), 2);

    let body = br#"{"records":[{"value":"coded"}]}"#;
    for (coding, bytes) in [("gzip", gzip(body)), ("zstd", zstd::encode_all(&body[..], 1).unwrap())]
    {
        let request = client.post(path, JSON, bytes).header("content-encoding", coding);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{coding}");
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let path = format!("{path}?compression={codec}");
        let request = client.post(&path, JSON, &body[..]);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK, "{codec}");
    }
    let page = client.json(&format!("{path}?offset=4")).await;
    assert_eq!(values(&page), ["coded"; 7]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_together_and_the_rest_takes_turns() {
    let (cluster, client) = one_node("t", 4).await;
    let records: Vec<Value> = (0..40)
        .map(|at| if at % 2 == 0 { json!({ "key": "ada" }) } else { json!({ "value": at }) })
        .collect();
    let body = json!({ "records": records });
    let request = client.ask(Method::POST, "/v1/topics/t/records").json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let mut by_turn = [0; 4];
    let mut by_key = std::collections::BTreeSet::new();
    for (at, fate) in answer["offsets"].as_array().unwrap().iter().enumerate() {
        let partition = fate["partition"].as_u64().unwrap();
        if at % 2 == 0 {
            by_key.insert(partition);
        } else {
            by_turn[usize::try_from(partition).unwrap()] += 1;
        }
    }
    assert_eq!(by_turn, [5; 4]);
    // Kafka's murmur2 of "ada", with four partitions.
    let expected = ottla::partitioner::murmur2(b"ada") & 0x7fff_ffff;
    assert_eq!(by_key.into_iter().collect::<Vec<_>>(), [u64::from(expected % 4)]);

    let body = json!({ "records": [{ "partition": 3, "value": 1 }, { "partition": 1 }] });
    let request = client.ask(Method::POST, "/v1/topics/t/records").json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&answer["offsets"][0]["partition"], &answer["offsets"][1]["partition"]),
        (&json!(3), &json!(1))
    );

    // More than one batch holds: in order, and dense.
    client.topic("small", json!({ "config": { "max.message.bytes": "1024" } })).await;
    let many: Vec<String> = (0..100).map(|at| format!("{at:050}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer: Value = client.produce("small", &many).await.json().await.unwrap();
    let offsets: Vec<u64> = answer["offsets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fate| fate["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    let page = client.json("/v1/topics/small/partitions/0/records").await;
    assert_eq!(values(&page), many);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_can_depend_on_the_end_of_the_log() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    let tail = || client.ask(Method::HEAD, "/v1/topics/t/partitions/0").send();
    let mut tag = header(&tail().await.unwrap(), "etag");
    assert_eq!(tag, "\"-1\"");
    for at in 0..3_u64 {
        let append = || {
            let request = client.post(path, "application/octet-stream", "x");
            request.header("if-match", tag.clone()).send()
        };
        assert_eq!(append().await.unwrap().status(), StatusCode::OK);
        let again = append().await.unwrap();
        assert_eq!(again.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(header(&again, "high-watermark"), (at + 1).to_string());
        tag = header(&tail().await.unwrap(), "etag");
        assert_eq!(tag, format!("\"{at}\""));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_say_what_was_promised() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    for (acks, status, durability) in
        [("quorum", 200, "quorum-fsync"), ("leader", 200, "leader"), ("none", 202, "none")]
    {
        let request = client.post(&format!("{path}?acks={acks}"), JSON, r#"{"records":[{}]}"#);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{acks}");
        assert_eq!(header(&response, "durability"), durability);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["offsets"][0]["offset"].is_null(), acks == "none", "{body}");
    }
    eventually("all three are committed", async || {
        (client.json(path).await["high_watermark"] == 3).then_some(())
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_log_has_many_names() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    let empty = client.json(&format!("{path}?offset=latest")).await;
    assert_eq!(
        empty,
        json!({ "records": [], "next_offset": 0, "high_watermark": 0, "log_start_offset": 0 })
    );
    for at in 0..10 {
        let body = json!({ "records": [{ "value": at.to_string(), "timestamp": at * 1000 }] });
        let request = client.ask(Method::POST, path).json(&body);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
    let rows = [
        ("earliest", "0"),
        ("4", "4"),
        ("-3", "7"),
        ("-100", "0"),
        ("@4500", "5"),
        ("@1970-01-01T00:00:08Z", "8"),
    ];
    for (offset, first) in rows {
        let page = client.json(&format!("{path}?offset={offset}&max_records=1")).await;
        assert_eq!(values(&page), [first], "{offset}");
    }
    for offset in ["latest", "10", "@10000"] {
        let page = client.json(&format!("{path}?offset={offset}")).await;
        assert_eq!((values(&page).len(), &page["next_offset"]), (0, &json!(10)), "{offset}");
    }
    // Trimmed away.
    let trim = client.ask(Method::POST, "/v1/topics/t/partitions/0/trim");
    let ends: Value =
        trim.json(&json!({ "offset": 6 })).send().await.unwrap().json().await.unwrap();
    assert_eq!(ends, json!({ "log_start_offset": 6, "high_watermark": 10 }));
    let response = client.get(&format!("{path}?offset=5")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        (header(&response, "log-start-offset"), header(&response, "high-watermark")),
        ("6".into(), "10".into())
    );
    assert_eq!(values(&client.json(path).await), ["6", "7", "8", "9"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_the_logs_and_the_groups_do() {
    let (cluster, client) = one_node("t", 2).await;
    client.produce("t", &["a"]).await;
    let text = client.get("/metrics").send().await.unwrap().text().await.unwrap();
    let value = |name: &str| -> &str {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        line.split(' ').nth(1).unwrap()
    };
    let number = |name: &str| value(name).parse::<f64>().unwrap();
    // The metadata and two partitions.
    assert_eq!(value("ottla_raft_groups_leading"), "3");
    assert_eq!(value("ottla_raft_groups_broken"), "0");
    assert!(number("ottla_storage_flushes_total") >= 1.0);
    assert!(number("ottla_storage_entries_written_total") >= 4.0);
    assert!(number("ottla_storage_flush_time_seconds_total") > 0.0);
    assert_eq!(value("ottla_transport_sent_bytes_total"), "0", "there is no peer");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_the_first_record() {
    let (cluster, client) = one_node("t", 2).await;
    for path in
        ["/v1/topics/t/partitions/0/records?offset=latest", "/v1/topics/t/records?offset=latest"]
    {
        let began = Instant::now();
        let page = client.json(&format!("{path}&wait_ms=300")).await;
        assert!(values(&page).is_empty());
        assert!(began.elapsed() >= Duration::from_millis(300));

        let began = Instant::now();
        let path = format!("{path}&wait_ms=30000");
        let waiting = client.json(&path);
        let producing = async {
            eventually("it waits", async || {
                let metrics = client.get("/metrics").send().await.unwrap().text().await.unwrap();
                metrics.contains("ottla_http_requests_in_flight 2").then_some(())
            })
            .await;
            client.produce("t", &["now"]).await
        };
        let (page, _) = tokio::join!(waiting, producing);
        assert_eq!(values(&page), ["now"]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_gives_each_record_once_and_ends_with_the_node() {
    let (cluster, client) = one_node("t", 3).await;
    let limits = Limits { heartbeat: Duration::from_millis(100), ..Limits::DEFAULT };
    let door = Door::open(cluster.broker(0), limits).await;
    client.produce("t", &["before"]).await;
    let request = door.client().get("/v1/topics/t/records?follow=true");
    let response = request.header("accept", "application/x-ndjson").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    let mut heartbeats = 0;
    let mut sent = 0;
    while sent < 50 || heartbeats < 2 || text.lines().count() < 51 {
        if sent < 50 {
            let body = json!({ "records": [{ "value": sent.to_string() }] });
            client.ask(Method::POST, "/v1/topics/t/records").json(&body).send().await.unwrap();
            sent += 1;
        }
        let chunk = chunks.next().await.unwrap().unwrap();
        if chunk == "\n" { heartbeats += 1 } else { text += std::str::from_utf8(&chunk).unwrap() }
    }
    door.shutdown.cancel();
    while let Some(chunk) = chunks.next().await {
        assert!(chunk.unwrap().iter().all(|byte| *byte == b'\n'), "nothing came twice");
    }
    let mut values: Vec<String> = text
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["value"].as_str().unwrap().to_owned()
        })
        .collect();
    values.sort_by_key(|value| value.parse::<i32>().unwrap_or(-1));
    let expected: Vec<String> =
        std::iter::once("before".to_owned()).chain((0..50).map(|at| at.to_string())).collect();
    assert_eq!(values, expected);
    door.close().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_pages_are_for_ever_and_the_tail_is_not_stored() {
    let (cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    client.produce("t", &["a", "b", "c"]).await;
    let page = client.get(&format!("{path}?offset=0&max_records=2")).send().await.unwrap();
    assert_eq!(header(&page, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&page, "next-offset"), "2");
    let tag = header(&page, "etag");
    let again = client.get(&format!("{path}?offset=0&max_records=2"));
    let again = again.header("if-none-match", tag.clone()).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&again, "etag"), tag);
    assert!(again.bytes().await.unwrap().is_empty());
    for (query, accept) in [
        ("?offset=1", JSON),
        ("?offset=earliest&max_records=1", JSON),
        ("?offset=-3&max_records=1", JSON),
        ("?offset=3", JSON),
    ] {
        let page = client.get(&format!("{path}{query}")).header("accept", accept);
        let page = page.header("if-none-match", tag.clone()).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{query}");
        assert_eq!(header(&page, "cache-control"), "no-store", "{query}");
    }
    // The same records in another form are another page.
    let lines = client.get(&format!("{path}?offset=0&max_records=2"));
    let lines = lines.header("accept", "application/x-ndjson").send().await.unwrap();
    assert_ne!(header(&lines, "etag"), tag);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_changed_and_deleted() {
    let (cluster, client) = one_node("t", 1).await;
    let put = async |name: &str, body: Value| {
        let request = client.ask(Method::PUT, &format!("/v1/topics/{name}"));
        request.json(&body).send().await.unwrap().status()
    };
    assert_eq!(put("t", json!({ "partitions": 1 })).await, 200);
    assert_eq!(put("t", json!({ "partitions": 2 })).await, 409);
    assert_eq!(put("u", json!({ "validate_only": true })).await, 200);
    assert_eq!(put("u", json!({ "partitons": 2 })).await, 400);
    assert_eq!(client.get("/v1/topics/u").send().await.unwrap().status(), 404);
    let change = json!({ "partitions": 3, "config": { "flush.ms": "50" } });
    let request = client.ask(Method::PATCH, "/v1/topics/t").json(&change);
    let summary: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(summary["partitions"], 3);
    let setting = async || {
        let config = client.json("/v1/topics/t/config").await["config"].clone();
        let all = config.as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == "flush.ms").unwrap();
        (found["value"].clone(), found["is_default"].clone())
    };
    assert_eq!(setting().await, (json!("50"), json!(false)));
    let request = client.ask(Method::PATCH, "/v1/topics/t/config");
    let response = request.json(&json!({ "flush.ms": null })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(setting().await.1, json!(true));
    eventually("the new partition has a leader", async || {
        let topic = client.json("/v1/topics/t").await;
        (topic["partitions"][2]["leader"] == 1).then_some(())
    })
    .await;
    let deleted = client.ask(Method::DELETE, "/v1/topics/t").send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.json("/v1/topics").await, json!({ "topics": [] }));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_answers_and_names_the_leader() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": 3, "replication_factor": 3 })).await;
    for partition in 0..3 {
        let path = format!("/v1/topics/t/partitions/{partition}/records");
        let mut leaders = std::collections::BTreeSet::new();
        for at in 0..3 {
            let client = cluster.client(at);
            let request = client.post(&path, "application/octet-stream", at.to_string());
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            leaders.insert(header(&response, "leader"));
            let page = client.json(&format!("{path}?read=linearizable")).await;
            assert_eq!(values(&page).len(), at + 1, "what was acknowledged is there");
        }
        assert_eq!(leaders.len(), 1, "{leaders:?}");
        let leader = leaders.pop_first().unwrap();
        let (id, url) = leader.split_once("; url=").unwrap();
        let url = url.trim_matches('"');
        for at in 0..3 {
            let request = cluster.client(at).get(&path).header("prefer", "redirect");
            let response = request.send().await.unwrap();
            if id == (at + 1).to_string() {
                assert_eq!(response.status(), StatusCode::OK);
            } else {
                assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
                assert_eq!(header(&response, "location"), format!("{url}{path}"));
                assert_eq!(header(&response, "preference-applied"), "redirect");
            }
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_from_the_first_byte() {
    let (cluster, _client) = one_node("t", 1).await;
    let mut stream = tokio::net::TcpStream::connect(cluster.address(0)).await.unwrap();
    // The preface and empty settings (RFC 9113, 3.4 and 6.5): frames are length, type, flags, stream.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the server's settings come first");
    drop(stream);
    cluster.stop().await;
}

/// CRC-32C, bit by bit: as the forger of a batch has it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_batch_that_lies_about_how_many_records_it_has_takes_no_offsets() {
    let (_cluster, client) = one_node("t", 1).await;
    let path = "/v1/topics/t/partitions/0/records";
    let record = Record { value: Some(Bytes::from_static(b"one")), ..Record::default() };
    let honest = RecordBatch::build(&[record], Compression::Gzip).into_bytes();
    let mut forged = honest.to_vec();
    forged[23..27].copy_from_slice(&999_999_i32.to_be_bytes());
    forged[57..61].copy_from_slice(&1_000_000_i32.to_be_bytes());
    let crc = crc32c(&forged[21..]);
    forged[17..21].copy_from_slice(&crc.to_be_bytes());
    let refused = client.post(path, BATCHES, forged).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let said: Value = refused.json().await.unwrap();
    assert_eq!((&said["error_code"], &said["outcome"]), (&json!(40004), &json!("not_appended")));
    let taken = client.post(path, BATCHES, honest).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::OK);
    let said: Value = taken.json().await.unwrap();
    assert_eq!(said["offsets"][0]["offset"], 0);
}
