//! Server-sent events of a partition and of a topic: what they give, where they go on, how they end, and
//! what a slow reader costs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::events::{Block, EVENTS, Events};
use http_cluster::{Client, Cluster, Door, eventually};
use ottla::http::Limits;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const PARTITION: &str = "/v1/topics/t/partitions/0/records";
const TOPIC: &str = "/v1/topics/t/records";

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect()
}

async fn one_node(partitions: u32) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": partitions })).await;
    (cluster, client)
}

async fn produce_to(client: &Client, partition: u32, value: &str) {
    let path = format!("/v1/topics/t/partitions/{partition}/records");
    let sent = client.post(&path, "application/octet-stream", value.to_owned());
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_followed_and_gone_on_with_after_the_last_event_seen() {
    let (cluster, client) = one_node(1).await;
    client.produce("t", &["a", "b"]).await;
    let mut events = Events::open(client.get(PARTITION)).await;
    let head = events.next().await.unwrap();
    assert_eq!((head.id.as_deref(), head.retry.as_deref()), (Some("0:-1"), Some("1000")));
    assert_eq!(events.records(2).await, pairs(&[("0:0", "a"), ("0:1", "b")]));
    client.produce("t", &["c"]).await;
    assert_eq!(events.records(1).await, pairs(&[("0:2", "c")]));
    drop(events);

    client.produce("t", &["d"]).await;
    let rows = [
        (client.get(PARTITION).header("last-event-id", "0:1"), "0:1", "c"),
        (client.get(&format!("{PARTITION}?offset=latest&last_event_id=0:2")), "0:2", "d"),
        (client.get(&format!("{PARTITION}?offset=-1")), "0:2", "d"),
        // Who comes back says where it is in the header, and still has the URL it began with.
        (
            client.get(&format!("{PARTITION}?last_event_id=0:0")).header("last-event-id", "0:2"),
            "0:2",
            "d",
        ),
        (client.get(PARTITION).header("last-event-id", "0:-1"), "0:-1", "a"),
    ];
    for (request, begins, value) in rows {
        let mut events = Events::open(request).await;
        assert_eq!(events.next().await.unwrap().id.as_deref(), Some(begins));
        assert_eq!(events.record().await.1, value, "after {begins}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topics_events_say_how_far_each_partition_was_seen() {
    let (cluster, client) = one_node(2).await;
    produce_to(&client, 1, "a").await;
    let mut events = Events::open(client.get(&format!("{TOPIC}?offset=latest"))).await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("0:-1,1:0"));
    produce_to(&client, 0, "b").await;
    assert_eq!(events.records(1).await, pairs(&[("0:0,1:0", "b")]));
    produce_to(&client, 1, "c").await;
    assert_eq!(events.records(1).await, pairs(&[("0:0,1:1", "c")]));
    drop(events);

    // What came while nobody looked is there, though the URL still says `latest`.
    produce_to(&client, 0, "d").await;
    let again = client.get(&format!("{TOPIC}?offset=latest")).header("last-event-id", "0:0,1:1");
    let mut events = Events::open(again).await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("0:0,1:1"));
    assert_eq!(events.records(1).await, pairs(&[("0:1,1:1", "d")]));

    // A partition that is new is followed from its beginning.
    let grow = client.ask(Method::PATCH, "/v1/topics/t").json(&json!({ "partitions": 3 }));
    assert_eq!(grow.send().await.unwrap().status(), StatusCode::OK);
    produce_to(&client, 2, "e").await;
    assert_eq!(events.records(1).await, pairs(&[("0:1,1:1,2:0", "e")]));

    // The same as lines, which have no ids.
    let lines = client.get(&format!("{TOPIC}?follow=true&max_records=1&last_event_id=0:0,1:1"));
    let lines = lines.header("accept", "application/x-ndjson").send().await.unwrap();
    let line: Value = serde_json::from_str(lines.text().await.unwrap().trim()).unwrap();
    assert_eq!(line["value"], "d");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_that_it_lives_and_why_it_ends() {
    let (cluster, client) = one_node(1).await;
    let limits = Limits { heartbeat: Duration::from_millis(50), ..Limits::DEFAULT };
    let door = Door::open(cluster.broker(0), limits).await;
    let mut events = Events::open(door.client().get(PARTITION)).await;
    events.next().await.unwrap();
    for _ in 0..3 {
        let alive = events.next().await.unwrap();
        assert_eq!(alive, Block { comment: Some("hb".to_owned()), ..Block::default() });
    }
    door.shutdown.cancel();
    let last = async {
        let mut last = None;
        while let Some(block) = events.next().await {
            last = Some(block);
        }
        last.unwrap()
    }
    .await;
    assert_eq!(last.event.as_deref(), Some("end"));
    assert_eq!(last.data, Some(json!({ "reason": "shutting_down" })));
    door.close().await;

    client.produce("t", &["a", "b", "c"]).await;
    let mut events = Events::open(client.get(&format!("{PARTITION}?max_records=2"))).await;
    assert_eq!(events.records(2).await, pairs(&[("0:0", "a"), ("0:1", "b")]));
    let last = events.next().await.unwrap();
    assert_eq!(last.data, Some(json!({ "reason": "max_records" })));
    assert_eq!(events.next().await, None);

    // What goes wrong later than the status is an event of its own.
    let mut events = Events::open(client.get(&format!("{PARTITION}?offset=latest"))).await;
    events.next().await.unwrap();
    let deleted = client.ask(Method::DELETE, "/v1/topics/t").send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let last = loop {
        let block = events.next().await.expect("it says why it ends");
        if block.event.is_some() {
            break block;
        }
    };
    assert_eq!(last.event.as_deref(), Some("error"));
    assert_eq!(last.data.unwrap()["error_code"], 40401);
    assert_eq!(events.next().await, None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_of_a_backlog_comes_whole_and_in_order() {
    let (cluster, client) = one_node(3).await;
    let records: Vec<Value> =
        (0..3000).map(|at| json!({ "partition": at % 3, "value": format!("{at:0100}") })).collect();
    let sent = client.ask(Method::POST, TOPIC).json(&json!({ "records": records }));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let mut events = Events::open(client.get(&format!("{TOPIC}?max_bytes=10000"))).await;
    let mut next = [0_u32, 1, 2];
    for (id, value) in events.records(3000).await {
        let value: u32 = value.parse().unwrap();
        let partition = usize::try_from(value % 3).unwrap();
        assert_eq!(value, next[partition], "{id}");
        next[partition] += 3;
        let seen: Vec<String> =
            (0..3).map(|p| format!("{p}:{}", i64::from(next[p]) / 3 - 1)).collect();
        assert_eq!(id, seen.join(","), "an id is all that was seen");
    }
    cluster.stop().await;
}

fn counted(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_ahead_for_a_reader_who_takes_nothing() {
    const MESSAGE_BYTES: usize = 128 * 1024;
    const MESSAGES: usize = 256;
    let (cluster, client) = one_node(1).await;
    for at in 0..MESSAGES {
        let body = format!("{}{at:04}", "0".repeat(MESSAGE_BYTES - 4));
        let sent = client.post(PARTITION, "application/octet-stream", body).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::OK);
    }
    let limits = Limits { answer_pause_max: Duration::from_secs(1), ..Limits::DEFAULT };
    let door = Door::open(cluster.broker(0), limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut slow = socket.connect(door.address).await.unwrap();
    let request = format!("GET {PARTITION} HTTP/1.1\r\nhost: x\r\naccept: {EVENTS}\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 1000]).await.unwrap();

    // It is let go once it took nothing for so long. Until then nothing more was read for it than the
    // page in flight and what the connection and the kernel hold.
    let other = door.client();
    let fetched = eventually("the slow reader is let go", async || {
        let metrics = other.get("/metrics").send().await.unwrap().text().await.unwrap();
        let alone = counted(&metrics, "ottla_http_connections") == 1;
        alone.then(|| counted(&metrics, "ottla_http_fetched_batch_bytes_total"))
    })
    .await;
    let all = u64::try_from(MESSAGES * MESSAGE_BYTES).unwrap();
    assert!(fetched < all / 3, "{fetched} of {all} bytes were read for who took 1000");

    // One who reads gets all of it.
    let mut events = Events::open(other.get(PARTITION)).await;
    for (at, (id, value)) in events.records(MESSAGES).await.into_iter().enumerate() {
        assert_eq!((id, value.parse()), (format!("0:{at}"), Ok(at)));
    }
    drop(events);
    door.close().await;
    cluster.stop().await;
}
