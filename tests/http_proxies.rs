//! REST Proxy v2 and v3: the shapes that existing clients know, over real nodes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Cluster, eventually, header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const V2: &str = "application/vnd.kafka.v2+json";
const V2_JSON: &str = "application/vnd.kafka.json.v2+json";
const V2_BINARY: &str = "application/vnd.kafka.binary.v2+json";

#[tokio::test(flavor = "multi_thread")]
async fn v2_has_its_own_shapes() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": 2 })).await;
    let ask = async |path: &str| {
        let response = client.get(path).header("accept", V2).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), V2, "{path}");
        response.json::<Value>().await.unwrap()
    };
    let partition = |number: u32| {
        let replica = json!({ "broker": 1, "leader": true, "in_sync": true });
        json!({ "partition": number, "leader": 1, "replicas": [replica] })
    };
    assert_eq!(ask("/").await, json!({}));
    assert_eq!(ask("/brokers").await, json!({ "brokers": [1] }));
    assert_eq!(ask("/topics").await, json!(["t"]));
    assert_eq!(ask("/topics/t/partitions").await, json!([partition(0), partition(1)]));
    assert_eq!(ask("/topics/t/partitions/1").await, partition(1));
    let topic = ask("/topics/t").await;
    assert_eq!((&topic["name"], &topic["partitions"][0]), (&json!("t"), &partition(0)));
    assert_eq!(topic["configs"]["flush.policy"], "always");

    let produce = async |path: &str, media: &str, body: &str| {
        let response = client.post(path, media, body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path} {media}");
        assert_eq!(header(&response, "content-type"), V2);
        response.json::<Value>().await.unwrap()
    };
    let body = r#"{"value_schema_id":null,"records":[{"key":"k","value":{"a":1},"partition":1}]}"#;
    let answer = produce("/topics/t", V2_JSON, body).await;
    let fate =
        |offset| json!({ "partition": 1, "offset": offset, "error_code": null, "error": null });
    let answer_of =
        |fates: Value| json!({ "offsets": fates, "key_schema_id": null, "value_schema_id": null });
    assert_eq!(answer, answer_of(json!([fate(0)])));
    let body = r#"{"records":[{"value":"Zm9v"},{"key":null,"value":null}]}"#;
    let answer = produce("/topics/t/partitions/1", V2_BINARY, body).await;
    assert_eq!(answer, answer_of(json!([fate(1), fate(2)])));
    let body = r#"{"records":[{"value":"text"}]}"#;
    produce("/topics/t/partitions/1", "application/json", body).await;
    let ends = ask("/topics/t/partitions/1/offsets").await;
    assert_eq!(ends, json!({ "beginning_offset": 0, "end_offset": 4 }));

    let path = "/topics/t/partitions/1/records?offset=0&timeout=0&max_bytes=100000000";
    let read = async |accept: &str| {
        let response = client.get(path).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        response.json::<Value>().await.unwrap()
    };
    let mut records = read(V2_JSON).await;
    for record in records.as_array_mut().unwrap() {
        assert!(record.as_object_mut().unwrap().remove("timestamp").unwrap().is_i64());
    }
    let record = |offset: u32, key: Value, value: Value| json!({ "topic": "t", "key": key, "value": value, "partition": 1, "offset": offset });
    let expected = json!([
        record(0, json!("k"), json!({ "a": 1 })),
        // Not JSON: a string, so that the others can still be read.
        record(1, Value::Null, json!("foo")),
        record(2, Value::Null, Value::Null),
        record(3, Value::Null, json!("text")),
    ]);
    assert_eq!(records, expected);
    let records = read(V2_BINARY).await;
    assert_eq!((&records[0]["key"], &records[1]["value"]), (&json!("Imsi"), &json!("Zm9v")));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v3_topics_are_made_described_changed_and_deleted() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    let clusters = client.json("/v3/clusters").await;
    assert_eq!(clusters["kind"], "KafkaClusterList");
    let id = clusters["data"][0]["cluster_id"].as_str().unwrap().to_owned();
    let base = format!("http://{}/v3/clusters/{id}", cluster.address(0));
    assert_eq!(clusters["data"][0]["metadata"]["self"], base);
    let path = |below: &str| format!("/v3/clusters/{id}{below}");
    let brokers = client.json(&path("/brokers")).await;
    assert_eq!(
        (&brokers["data"][0]["broker_id"], &brokers["data"][0]["host"]),
        (&json!(1), &json!("127.0.0.1"))
    );

    let wanted = json!({
        "topic_name": "t", "partitions_count": 2, "replication_factor": 1,
        "configs": [{ "name": "flush.ms", "value": "20" }],
    });
    let create = |body: Value| client.ask(Method::POST, &path("/topics")).json(&body).send();
    let mut checked = wanted.clone();
    checked["validate_only"] = true.into();
    assert_eq!(create(checked).await.unwrap().status(), StatusCode::OK);
    let response = create(wanted.clone()).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "location"), format!("{base}/topics/t"));
    let topic: Value = response.json().await.unwrap();
    assert_eq!(topic["kind"], "KafkaTopic");
    assert_eq!(topic["metadata"]["resource_name"], format!("crn:///kafka={id}/topic=t"));
    assert_eq!(topic["partitions"]["related"], format!("{base}/topics/t/partitions"));
    assert_eq!(create(wanted).await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(client.json(&path("/topics/t")).await, topic);
    assert_eq!(client.json(&path("/topics")).await["data"], json!([topic]));

    let value = async || {
        let config = client.json(&path("/topics/t/configs/flush.ms")).await;
        assert_eq!(config["kind"], "KafkaTopicConfig");
        (config["value"].clone(), config["source"].clone())
    };
    let set = (json!("20"), json!("DYNAMIC_TOPIC_CONFIG"));
    assert_eq!(value().await, set);
    let alter = json!({ "data": [{ "name": "flush.ms", "operation": "DELETE" }] });
    let response = client.ask(Method::POST, &path("/topics/t/configs:alter")).json(&alter);
    assert_eq!(response.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(value().await.1, json!("DEFAULT_CONFIG"));
    let response = client.ask(Method::PUT, &path("/topics/t/configs/flush.ms"));
    let response = response.json(&json!({ "value": "20" })).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(value().await, set);
    let response = client.ask(Method::DELETE, &path("/topics/t/configs/flush.ms")).send();
    assert_eq!(response.await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(value().await.1, json!("DEFAULT_CONFIG"));

    let grown = client.ask(Method::PATCH, &path("/topics/t"));
    let grown = grown.json(&json!({ "partitions_count": 3 })).send().await.unwrap();
    assert_eq!(grown.json::<Value>().await.unwrap()["partitions_count"], 3);
    let partitions = client.json(&path("/topics/t/partitions")).await;
    assert_eq!(partitions["data"].as_array().unwrap().len(), 3);
    let partition = eventually("the new partition has a leader", async || {
        let partition = client.json(&path("/topics/t/partitions/2")).await;
        partition.get("leader").is_some().then_some(partition)
    })
    .await;
    assert_eq!(partition["leader"]["related"], format!("{base}/topics/t/partitions/2/replicas/1"));
    let replica = client.json(&path("/topics/t/partitions/2/replicas/1")).await;
    assert_eq!((&replica["is_leader"], &replica["is_in_sync"]), (&json!(true), &json!(true)));

    let deleted = client.ask(Method::DELETE, &path("/topics/t")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.json(&path("/topics")).await["data"], json!([]));
    cluster.stop().await;
}
