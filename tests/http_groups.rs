//! Consumer groups over HTTP, in the native dialect, through any node.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Client, Cluster, eventually, header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One member, which may speak to a different node each time.
struct Member {
    path: String,
    id: String,
}

impl Member {
    async fn join(client: &Client, group: &str, wanted: Value) -> Self {
        let path = format!("/v1/groups/{group}/members");
        let response = client.ask(Method::POST, &path).json(&wanted).send().await.unwrap();
        let status = response.status();
        let location = response.headers().get("location").cloned();
        let body: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let id = body["member_id"].as_str().unwrap().to_owned();
        let path = location.unwrap().to_str().unwrap().to_owned();
        assert_eq!(path, format!("/v1/groups/{group}/members/{id}"));
        Self { path, id }
    }

    async fn poll(&self, client: &Client, query: &str) -> Value {
        client.json(&format!("{}/records?{query}", self.path)).await
    }

    /// Polls until it has had so many records; gives them as (partition, value).
    async fn read(&self, client: &Client, count: usize) -> Vec<(u64, String)> {
        let mut read = Vec::new();
        while read.len() < count {
            read.extend(records(&self.poll(client, "wait_ms=5000").await));
        }
        read
    }

    async fn leave(&self, client: &Client) {
        let left = client.ask(Method::DELETE, &self.path).send().await.unwrap();
        assert_eq!(left.status(), StatusCode::NO_CONTENT);
    }

    async fn assigned(&self, client: &Client) -> Vec<u64> {
        let view = client.json(&self.path).await;
        let assigned = view["assigned"].as_array().unwrap();
        assigned.iter().map(|place| place["partition"].as_u64().unwrap()).collect()
    }
}

fn records(page: &Value) -> Vec<(u64, String)> {
    let records = page["records"].as_array().unwrap();
    let pair = |record: &Value| {
        (record["partition"].as_u64().unwrap(), record["value"].as_str().unwrap().to_owned())
    };
    records.iter().map(pair).collect()
}

/// Produces values `from..to`, to partition `value % partitions`.
async fn produce(client: &Client, topic: &str, partitions: u64, values: std::ops::Range<u64>) {
    let records: Vec<Value> = values
        .map(|value| json!({ "partition": value % partitions, "value": value.to_string() }))
        .collect();
    let request = client.ask(Method::POST, &format!("/v1/topics/{topic}/records"));
    let sent = request.json(&json!({ "records": records })).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
}

async fn send(client: &Client, method: Method, path: &str, body: Value) -> (u16, Value) {
    let response = client.ask(method, path).json(&body).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn committed(offsets: &Value) -> BTreeMap<u64, u64> {
    let rows = offsets["offsets"].as_array().unwrap().iter();
    rows.filter_map(|row| Some((row["partition"].as_u64().unwrap(), row["offset"].as_u64()?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_work_through_any_node_and_take_over_what_one_leaves() {
    let cluster = Cluster::start(3).await;
    let clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    clients[0].topic("t", json!({ "partitions": 6, "replication_factor": 3 })).await;
    produce(&clients[0], "t", 6, 0..60).await;
    let wanted = json!({ "topics": ["t"], "auto_offset_reset": "earliest", "client_id": "w" });
    let one = Member::join(&clients[0], "g", wanted.clone()).await;
    let two = Member::join(&clients[1], "g", wanted.clone()).await;
    assert!(one.id.starts_with("w-") && one.id != two.id);
    let shared = eventually("both have their half", async || {
        for (member, client) in [(&one, &clients[1]), (&two, &clients[2])] {
            member.poll(client, "max_records=1&max_bytes=1").await;
        }
        let halves = [one.assigned(&clients[2]).await, two.assigned(&clients[0]).await];
        halves.iter().all(|half| half.len() == 3).then_some(halves)
    })
    .await;
    let all: BTreeSet<u64> = shared.concat().into_iter().collect();
    assert_eq!(all.len(), 6, "each partition is one member's: {shared:?}");

    // What one goes off without having worked is the other's.
    one.leave(&clients[1]).await;
    let mut seen = BTreeSet::new();
    let rest = eventually("everything was read", async || {
        let page = two.poll(&clients[2], "wait_ms=1000").await;
        seen.extend(records(&page).into_iter().map(|(_, value)| value));
        let lag = clients[0].json("/v1/groups/g/lag").await;
        (lag["lag"] == 0).then_some(lag)
    })
    .await;
    assert_eq!(rest["partitions"].as_array().unwrap().len(), 6);
    assert_eq!(two.assigned(&clients[1]).await.len(), 6);

    // Another group has everything for itself.
    let other = Member::join(&clients[2], "h", wanted).await;
    let read = other.read(&clients[0], 60).await;
    let values: BTreeSet<&String> = read.iter().map(|(_, value)| value).collect();
    assert_eq!((read.len(), values.len()), (60, 60));

    let groups = clients[1].json("/v1/groups").await;
    let names: Vec<&Value> =
        groups["groups"].as_array().unwrap().iter().map(|group| &group["group"]).collect();
    assert_eq!(names, ["g", "h"]);
    let view = clients[0].json("/v1/groups/g").await;
    assert_eq!((&view["state"], &view["assignor"]), (&json!("stable"), &json!("sticky")));
    assert_eq!(view["members"][0]["member_id"], two.id);

    // A group with members stays; one without goes.
    let (status, body) = send(&clients[0], Method::DELETE, "/v1/groups/g", json!({})).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40908)));
    two.leave(&clients[0]).await;
    let (status, _) = send(&clients[2], Method::DELETE, "/v1/groups/g", json!({})).await;
    assert_eq!(status, 204);
    assert_eq!(clients[1].get("/v1/groups/g").send().await.unwrap().status(), 404);
    cluster.stop().await;
}

async fn one_node(partitions: u64) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": partitions })).await;
    (cluster, client)
}

fn earliest() -> Value {
    json!({ "topics": ["t"], "auto_offset_reset": "earliest" })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_was_lost_on_the_way_is_given_again() {
    let (cluster, client) = one_node(1).await;
    produce(&client, "t", 1, 0..10).await;
    let member = Member::join(&client, "g", earliest()).await;
    let first = member.poll(&client, "wait_ms=5000&max_records=4").await;
    assert_eq!(records(&first).len(), 4);
    let number = |page: &Value| page["delivery"].as_u64().unwrap();
    let second = member.poll(&client, &format!("max_records=3&delivery={}", number(&first))).await;
    assert_eq!(records(&second)[0].1, "4");
    assert_eq!(second["partitions"][0]["next_offset"], 7);
    // The answer was lost: all that its caller knows is the first.
    let again = member.poll(&client, &format!("max_records=9&delivery={}", number(&first))).await;
    assert_eq!(records(&again)[0].1, "4");
    assert_eq!(records(&again).len(), 6);
    assert!(number(&again) > number(&second));

    // The same records in the other forms, and what stands in headers.
    for (accept, expected) in [
        ("application/x-ndjson", "\"topic\":\"t\""),
        ("application/vnd.kafka.json.v2+json", "\"value\":0"),
        ("application/vnd.kafka.binary.v2+json", "\"value\":\"MA==\""),
    ] {
        let back = json!({ "positions": [{ "topic": "t", "partition": 0, "offset": "earliest" }] });
        let (status, _) =
            send(&client, Method::POST, &format!("{}/positions", member.path), back).await;
        assert_eq!(status, 204);
        let request = client.get(&format!("{}/records?max_records=1", member.path));
        let response = request.header("accept", accept).send().await.unwrap();
        assert_eq!(header(&response, "content-type"), accept);
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert!(header(&response, "delivery").parse::<u64>().unwrap() > number(&again));
        assert_eq!(header(&response, "generation"), first["generation"].to_string());
        let text = response.text().await.unwrap();
        assert!(text.contains(expected), "{accept}: {text}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_the_members_or_the_callers() {
    let (cluster, client) = one_node(2).await;
    produce(&client, "t", 2, 0..20).await;
    let by_hand = json!({ "topics": ["t"], "auto_offset_reset": "earliest", "auto_commit": false });
    let member = Member::join(&client, "g", by_hand.clone()).await;
    assert_eq!(member.read(&client, 20).await.len(), 20);
    member.poll(&client, "").await;
    let offsets = client.json("/v1/groups/g/offsets").await;
    assert_eq!(committed(&offsets), BTreeMap::new(), "nobody committed");

    // An empty body is everything that was given.
    let path = format!("{}/offsets", member.path);
    let response = client.ask(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let offsets = client.json("/v1/groups/g/offsets").await;
    assert_eq!(committed(&offsets), BTreeMap::from([(0, 10), (1, 10)]));

    // It may go back, with words of its own.
    let row = json!({ "topic": "t", "partition": 1, "offset": 3, "metadata": "back" });
    let (status, _) = send(&client, Method::POST, &path, json!({ "offsets": [row] })).await;
    assert_eq!(status, 204);
    let offsets = client.json("/v1/groups/g/offsets?partitions=t:1,t:0").await;
    assert_eq!(offsets["offsets"][0]["offset"], 3);
    assert_eq!(offsets["offsets"][0]["metadata"], "back");
    assert!(offsets["offsets"][0]["committed_at_ms"].as_i64().unwrap() > 1_700_000_000_000);

    // Nobody in particular does not take what a member has, nor a stranger.
    let put = |body: Value| send(&client, Method::PUT, "/v1/groups/g/offsets", body);
    let (status, body) = put(json!({ "offsets": [row] })).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40907)));
    let (status, body) = put(json!({ "offsets": [row], "member_id": "nobody" })).await;
    assert_eq!((status, &body["error_code"]), (404, &json!(40403)));
    let (status, body) =
        put(json!({ "offsets": [row], "member_id": member.id, "generation": 99 })).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40905)));
    let (status, body) =
        put(json!({ "offsets": [{ "topic": "t", "partition": 2, "offset": 0 }] })).await;
    assert_eq!((status, &body["error_code"]), (404, &json!(40402)));

    // Without members the caller balances by itself, if it wants to.
    member.leave(&client).await;
    assert_eq!(
        put(json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": 7 }] })).await.0,
        204
    );
    assert_eq!(put(json!({ "offsets": [] })).await.0, 400);
    let offsets = client.json("/v1/groups/g/offsets").await;
    assert_eq!(committed(&offsets), BTreeMap::from([(0, 7), (1, 3)]));
    let (status, _) =
        send(&client, Method::DELETE, "/v1/groups/g/offsets?partitions=t:0", json!({})).await;
    assert_eq!(status, 204);
    let offsets = client.json("/v1/groups/g/offsets?partitions=t:0,t:1").await;
    assert_eq!(committed(&offsets), BTreeMap::from([(1, 3)]));
    assert_eq!(send(&client, Method::DELETE, "/v1/groups/g/offsets", json!({})).await.0, 204);
    assert_eq!(committed(&client.json("/v1/groups/g/offsets").await), BTreeMap::new());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_put_elsewhere_and_told_so_before() {
    let (cluster, client) = one_node(1).await;
    let records: Vec<Value> =
        (0..10).map(|at| json!({ "value": at.to_string(), "timestamp": at * 1000 })).collect();
    let sent =
        client.ask(Method::POST, "/v1/topics/t/records").json(&json!({ "records": records }));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let reset = |body: Value| send(&client, Method::POST, "/v1/groups/g/reset", body);
    let rows = [
        (json!("latest"), 10),
        (json!("earliest"), 0),
        (json!({ "offset": 4 }), 4),
        (json!({ "shift": 3 }), 7),
        (json!({ "shift": -100 }), 0),
        (json!({ "offset": 1000 }), 10),
        (json!({ "timestamp": 4500 }), 5),
        (json!({ "timestamp": "1970-01-01T00:00:08Z" }), 8),
        (json!({ "duration": "PT1H" }), 10),
    ];
    let mut before = Value::Null;
    for (to, expected) in rows {
        for dry_run in [true, false] {
            let (status, body) =
                reset(json!({ "to": to, "topics": ["t"], "dry_run": dry_run })).await;
            let row = json!({ "topic": "t", "partition": 0, "from": before, "to": expected });
            assert_eq!(status, 200, "{to}: {body}");
            assert_eq!(body, json!({ "dry_run": dry_run, "offsets": [row] }), "{to}");
        }
        before = json!(expected);
    }
    let member = Member::join(&client, "g", earliest()).await;
    let (status, body) = reset(json!({ "to": "earliest" })).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40908)), "it has a member");
    member.leave(&client).await;
    for wrong in [json!({}), json!({ "to": "newest" }), json!({ "to": { "duration": "P1M" } })] {
        assert_eq!(reset(wrong.clone()).await.0, 400, "{wrong}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_fetches_by_itself_moves_by_generations() {
    let (cluster, client) = one_node(4).await;
    let wanted = json!({ "topics": ["t"], "delivery": "client", "session_timeout_ms": 60000 });
    let one = Member::join(&client, "g", wanted.clone()).await;
    let beat = async |member: &Member, generation: Value| {
        let path = format!("{}/heartbeat", member.path);
        send(&client, Method::POST, &path, json!({ "generation": generation, "wait_ms": 100 }))
            .await
    };
    let settled = async |member: &Member, count: usize| {
        let mut known = Value::Null;
        eventually("it has its share", async || {
            let (status, share) = beat(member, known.clone()).await;
            assert_eq!(status, 200, "{share}");
            known = share["generation"].clone();
            (share["assigned"].as_array().unwrap().len() == count
                && share["revoke"].as_array().unwrap().is_empty())
            .then_some(share)
        })
        .await
    };
    let alone = settled(&one, 4).await;
    let two = Member::join(&client, "g", wanted).await;
    // Told what to give away, it can still commit that; only when it says the new generation is it gone.
    let told = eventually("it is told to give two away", async || {
        let (_, share) = beat(&one, alone["generation"].clone()).await;
        (share["revoke"].as_array().unwrap().len() == 2).then_some(share)
    })
    .await;
    let given = told["revoke"][0]["partition"].clone();
    let row = json!({ "topic": "t", "partition": given, "offset": 0 });
    let commit = |generation: &Value| {
        let body =
            json!({ "offsets": [row.clone()], "member_id": one.id, "generation": generation });
        send(&client, Method::PUT, "/v1/groups/g/offsets", body)
    };
    assert_eq!(commit(&alone["generation"]).await.0, 204);
    let (_, half) = beat(&one, told["generation"].clone()).await;
    assert_eq!(half["assigned"].as_array().unwrap().len(), 2);
    let (status, body) = commit(&alone["generation"]).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40905)), "fenced: {body}");
    let theirs = settled(&two, 2).await;
    assert_eq!(theirs["generation"], told["generation"]);
    let (status, body) = beat(&one, alone["generation"].clone()).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40905)));
    // It is not read for.
    let (status, _) = send(&client, Method::GET, &format!("{}/records", one.path), json!({})).await;
    assert_eq!(status, 400);

    // Another subscription is another share.
    client.topic("u", json!({ "partitions": 1 })).await;
    let (status, view) =
        send(&client, Method::PATCH, &one.path, json!({ "topic_pattern": "u.*" })).await;
    assert_eq!((status, &view["topic_pattern"]), (200, &json!("u.*")));
    settled(&one, 1).await;
    settled(&two, 4).await;
    assert_eq!(send(&client, Method::PATCH, &one.path, json!({})).await.0, 400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_that_comes_again_has_what_it_had_and_fences_its_past() {
    let (cluster, client) = one_node(2).await;
    produce(&client, "t", 2, 0..4).await;
    let wanted =
        json!({ "topics": ["t"], "auto_offset_reset": "earliest", "instance_id": "pod-0" });
    let before = Member::join(&client, "g", wanted.clone()).await;
    assert_eq!(before.read(&client, 4).await.len(), 4);
    before.poll(&client, "").await;
    let generation = client.json("/v1/groups/g").await["generation"].clone();
    let after = Member::join(&client, "g", wanted).await;
    assert_eq!(after.assigned(&client).await.len(), 2);
    assert_eq!(client.json("/v1/groups/g").await["generation"], generation, "no rebalance");
    let fenced = client.get(&format!("{}/records", before.path)).send().await.unwrap();
    let body: Value = fenced.json().await.unwrap();
    assert_eq!(body["error_code"], 40906, "{body}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_can_be_put_anywhere_in_what_a_member_has() {
    let (cluster, client) = one_node(1).await;
    let records_in: Vec<Value> =
        (0..10).map(|at| json!({ "value": at.to_string(), "timestamp": at * 1000 })).collect();
    let sent =
        client.ask(Method::POST, "/v1/topics/t/records").json(&json!({ "records": records_in }));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let member = Member::join(&client, "g", earliest()).await;
    assert_eq!(member.read(&client, 10).await.len(), 10);
    let path = format!("{}/positions", member.path);
    for (to, expected) in [
        (json!(4), Some("4")),
        (json!("@6500"), Some("7")),
        (json!("earliest"), Some("0")),
        (json!("latest"), None),
    ] {
        let body = json!({ "positions": [{ "topic": "t", "partition": 0, "offset": to }] });
        assert_eq!(send(&client, Method::POST, &path, body).await.0, 204);
        let page = member.poll(&client, "max_records=1").await;
        assert_eq!(records(&page).first().map(|(_, value)| value.as_str()), expected, "{to}");
    }
    let positions = client.json(&path).await;
    assert_eq!(positions["positions"], json!([{ "topic": "t", "partition": 0, "offset": 10 }]));
    let elsewhere = json!({ "positions": [{ "topic": "u", "partition": 0, "offset": 0 }] });
    let (status, body) = send(&client, Method::POST, &path, elsewhere).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40907)));
    let from_the_end = json!({ "positions": [{ "topic": "t", "partition": 0, "offset": "-3" }] });
    assert_eq!(send(&client, Method::POST, &path, from_the_end).await.0, 400);
    cluster.stop().await;
}
