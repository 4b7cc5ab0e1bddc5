//! A connection that is a member of a group while it lives.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::events::Events;
use http_cluster::{Client, Cluster, Door, eventually, header};
use ottla::http::Limits;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const STREAM: &str = "/v1/groups/g/records?topics=t&auto_offset_reset=earliest";

async fn produce(client: &Client, partitions: u64, values: std::ops::Range<u64>) {
    let records: Vec<Value> = values
        .map(|value| json!({ "partition": value % partitions, "value": value.to_string() }))
        .collect();
    let request = client.ask(Method::POST, "/v1/topics/t/records");
    let sent = request.json(&json!({ "records": records })).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
}

async fn members(client: &Client) -> Vec<Value> {
    let response = client.get("/v1/groups/g").send().await.unwrap();
    if response.status() == StatusCode::NOT_FOUND {
        return Vec::new();
    }
    let group: Value = response.json().await.unwrap();
    group["members"].as_array().unwrap().clone()
}

async fn nobody(client: &Client) {
    eventually("the connections' members are gone", async || {
        members(client).await.is_empty().then_some(())
    })
    .await;
}

/// Who the stream says that it is.
async fn member_of(events: &mut Events) -> String {
    loop {
        let block = events.next().await.unwrap();
        if block.event.as_deref() == Some("member") {
            return block.data.unwrap()["member_id"].as_str().unwrap().to_owned();
        }
    }
}

/// The next record, past what is told beside: its id and its value.
async fn record(events: &mut Events) -> (String, String) {
    loop {
        let block = events.next().await.expect("a record comes");
        if let (None, Some(data)) = (&block.event, &block.data) {
            return (block.id.unwrap(), data["value"].as_str().unwrap().to_owned());
        }
    }
}

async fn one_node(partitions: u64) -> (Cluster, Client) {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": partitions })).await;
    (cluster, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_share_a_group_and_leave_it_when_they_are_closed() {
    let (cluster, client) = one_node(2).await;
    let mut one = Events::open(client.get(STREAM)).await;
    let mut two = Events::open(client.get(STREAM)).await;
    let (first, second) = (member_of(&mut one).await, member_of(&mut two).await);
    assert_ne!(first, second);
    eventually("each has one partition", async || {
        let members = members(&client).await;
        let all = members.iter().all(|each| each["assigned"].as_array().unwrap().len() == 1);
        (members.len() == 2 && all).then_some(())
    })
    .await;
    produce(&client, 2, 0..2).await;
    let seen = BTreeSet::from([record(&mut one).await.1, record(&mut two).await.1]);
    assert_eq!(seen, BTreeSet::from(["0".to_owned(), "1".to_owned()]));

    // It may commit as the member that it is.
    let path = format!("/v1/groups/g/members/{second}/offsets");
    let response = client.ask(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    drop(one);
    eventually("the one that is closed has left", async || {
        let members = members(&client).await;
        let alone = members.len() == 1 && members[0]["member_id"] == second;
        (alone && members[0]["assigned"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    // What the other had been given and nobody acknowledged comes again.
    assert!(seen.contains(&record(&mut two).await.1));
    drop(two);
    nobody(&client).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_comes_back_has_acknowledged_what_it_saw() {
    let (cluster, client) = one_node(1).await;
    produce(&client, 1, 0..6).await;
    let mut events = Events::open(client.get(STREAM)).await;
    let mut last = String::new();
    for expected in 0..3 {
        let (id, value) = record(&mut events).await;
        assert_eq!((id.as_str(), value), (&*format!("t/0:{expected}"), expected.to_string()));
        last = id;
    }
    drop(events);
    nobody(&client).await;
    let committed = async || {
        let offsets = client.json("/v1/groups/g/offsets?partitions=t:0").await;
        offsets["offsets"][0]["offset"].clone()
    };
    assert_eq!(committed().await, Value::Null, "what was sent may not have come");

    let again = client.get(STREAM).header("last-event-id", last.as_str());
    let mut events = Events::open(again).await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("t/0:2"));
    assert_eq!(record(&mut events).await, ("t/0:3".to_owned(), "3".to_owned()));
    assert_eq!(committed().await, 3);
    drop(events);
    nobody(&client).await;

    // Who only now remembers something older does not put the group back.
    let late = client.get(&format!("{STREAM}&last_event_id=t/0:0"));
    let mut events = Events::open(late).await;
    assert_eq!(record(&mut events).await.1, "3");
    assert_eq!(committed().await, 3);
    drop(events);
    nobody(&client).await;

    // What no event said is not believed.
    let far = client.get(&format!("{STREAM}&last_event_id=t/0:99"));
    let mut events = Events::open(far).await;
    assert_eq!(record(&mut events).await.1, "3");
    assert_eq!(committed().await, 3);
    for wrong in ["t", "t/0", "0:1", "t/x:1", "t/0:1,t/0:2"] {
        let refused = client.get(STREAM).header("last-event-id", wrong).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_commit_what_the_connection_took() {
    let (cluster, client) = one_node(2).await;
    produce(&client, 2, 0..10).await;
    let lines = client.get(&format!("{STREAM}&auto_commit=true&client_id=tail"));
    let response = lines.header("accept", "application/x-ndjson").send().await.unwrap();
    assert!(header(&response, "member-id").starts_with("tail-"));
    eventually("all of it is committed", async || {
        let offsets = client.json("/v1/groups/g/offsets?partitions=t:0,t:1").await;
        let offsets = offsets["offsets"].as_array().unwrap();
        offsets.iter().all(|row| row["offset"] == 5).then_some(())
    })
    .await;
    drop(response);
    nobody(&client).await;
    let limits = Limits { heartbeat: Duration::from_millis(50), ..Limits::DEFAULT };
    let door = Door::open(cluster.broker(0), limits).await;
    let mut events = Events::open(door.client().get(STREAM)).await;
    let mut comments = 0;
    while comments < 3 {
        let block = events.next().await.unwrap();
        assert!(block.id.is_none(), "there is nothing new: {block:?}");
        comments += u32::from(block.comment.is_some());
    }
    // A node that goes says so, and its members leave before it.
    door.shutdown.cancel();
    let mut last = None;
    while let Some(block) = events.next().await {
        last = Some(block);
    }
    assert_eq!(last.unwrap().data, Some(json!({ "reason": "shutting_down" })));
    door.close().await;
    nobody(&client).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_when_the_coordinators_node_is_gone() {
    let mut cluster = Cluster::start(3).await;
    let clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    clients[0].topic("t", json!({ "partitions": 2, "replication_factor": 3 })).await;
    produce(&clients[0], 2, 0..2).await;
    let request = |client: &Client| client.get(STREAM);
    let mut events = Events::open(request(&clients[0])).await;
    let mut seen = BTreeSet::from([record(&mut events).await.1, record(&mut events).await.1]);
    let group = clients[0].json("/v1/groups/g").await;
    let coordinator = usize::try_from(group["coordinator"].as_u64().unwrap()).unwrap() - 1;
    let other = (0..3).find(|at| *at != coordinator).unwrap();
    drop(events);
    nobody(&clients[other]).await;

    let mut events = Events::open(request(&clients[other])).await;
    seen.insert(record(&mut events).await.1);
    cluster.stop_node(coordinator).await;
    eventually("the topic can be written again", async || {
        let body = json!({ "records": [
            { "partition": 0, "value": "2" }, { "partition": 1, "value": "3" }
        ] });
        let request = clients[other].ask(Method::POST, "/v1/topics/t/records").json(&body);
        (request.send().await.unwrap().status() == StatusCode::OK).then_some(())
    })
    .await;
    while seen.len() < 4 {
        seen.insert(record(&mut events).await.1);
    }
    cluster.stop().await;
}
