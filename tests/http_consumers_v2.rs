//! Consumers as REST Proxy v2 has them: an exchange exactly as its vendor documents it, by `curl` and byte
//! for byte over a socket; and what is done with each of the routes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Client, Cluster, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const V2: &str = "application/vnd.kafka.v2+json";
const V2_JSON: &str = "application/vnd.kafka.json.v2+json";
const V2_BINARY: &str = "application/vnd.kafka.binary.v2+json";

/// One request of the documented exchange and its documented answer.
struct Step {
    method: &'static str,
    path: String,
    headers: Vec<String>,
    data: Option<&'static str>,
    status: u16,
    answer: Option<Value>,
}

/// The quick start of the vendor's documentation, with the commit that its reference describes.
fn documented(address: SocketAddr) -> Vec<Step> {
    let instance = "/consumers/my_json_consumer/instances/my_consumer_instance";
    let step = |method, path: &str, headers: &[String], data, status, answer| Step {
        method,
        path: path.to_owned(),
        headers: headers.to_vec(),
        data,
        status,
        answer,
    };
    let content = |media: &str| format!("Content-Type: {media}");
    let accept = |media: &str| format!("Accept: {media}");
    vec![
        step(
            "POST",
            "/topics/jsontest",
            &[content(V2_JSON), accept(V2)],
            Some(r#"{"records":[{"value":{"foo":"bar"}}]}"#),
            200,
            Some(json!({
                "offsets": [{ "partition": 0, "offset": 0, "error_code": null, "error": null }],
                "key_schema_id": null,
                "value_schema_id": null,
            })),
        ),
        step(
            "POST",
            "/consumers/my_json_consumer",
            &[content(V2)],
            Some(
                r#"{"name": "my_consumer_instance", "format": "json", "auto.offset.reset": "earliest"}"#,
            ),
            200,
            Some(json!({
                "instance_id": "my_consumer_instance",
                "base_uri": format!("http://{address}{instance}"),
            })),
        ),
        step(
            "POST",
            &format!("{instance}/subscription"),
            &[content(V2)],
            Some(r#"{"topics":["jsontest"]}"#),
            204,
            None,
        ),
        step(
            "GET",
            &format!("{instance}/records"),
            &[accept(V2_JSON)],
            None,
            200,
            Some(json!([
                { "key": null, "value": { "foo": "bar" }, "partition": 0, "offset": 0, "topic": "jsontest" }
            ])),
        ),
        step(
            "POST",
            &format!("{instance}/offsets"),
            &[content(V2)],
            Some(r#"{"offsets":[{"topic":"jsontest","partition":0,"offset":0}]}"#),
            200,
            Some(json!([])),
        ),
        step(
            "GET",
            &format!("{instance}/offsets"),
            &[content(V2)],
            Some(r#"{"partitions":[{"topic":"jsontest","partition":0}]}"#),
            200,
            Some(json!({
                "offsets": [{ "topic": "jsontest", "partition": 0, "offset": 1, "metadata": "" }]
            })),
        ),
        step("DELETE", instance, &[content(V2)], None, 204, None),
        step("GET", &format!("{instance}/records"), &[accept(V2_JSON)], None, 404, None),
    ]
}

impl Step {
    fn check(&self, status: u16, body: &str) {
        let what = format!("{} {}: {status} {body}", self.method, self.path);
        assert_eq!(status, self.status, "{what}");
        if status == 204 {
            assert!(body.is_empty(), "{what}");
        }
        let Some(expected) = &self.answer else { return };
        let mut found: Value = serde_json::from_str(body).unwrap();
        // What is ours on top: a time.
        for record in found.as_array_mut().into_iter().flatten() {
            let timestamp = record.as_object_mut().unwrap().remove("timestamp");
            assert!(timestamp.is_some_and(|ms| ms.as_i64() > Some(1_700_000_000_000)), "{what}");
        }
        assert_eq!(&found, expected, "{what}");
    }

    /// What a shell would be told.
    fn curl(&self, address: SocketAddr) -> Option<(u16, String)> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--write-out", "\n%{http_code}", "-X", self.method]);
        for header in &self.headers {
            curl.args(["-H", header]);
        }
        if let Some(data) = self.data {
            curl.args(["--data", data]);
        }
        let output = match curl.arg(format!("http://{address}{}", self.path)).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("curl: {error}"),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        Some((status.parse().unwrap(), body.to_owned()))
    }

    /// The bytes that `curl` sends, and what comes back.
    async fn bytes(&self, address: SocketAddr) -> (u16, String) {
        let Self { method, path, headers, data, .. } = self;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/8.5.0\r\n");
        if !headers.iter().any(|header| header.starts_with("Accept")) {
            request += "Accept: */*\r\n";
        }
        for header in headers {
            write!(request, "{header}\r\n").unwrap();
        }
        if let Some(data) = data {
            write!(request, "Content-Length: {}\r\n", data.len()).unwrap();
        }
        request += "Connection: close\r\n\r\n";
        request += data.unwrap_or("");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_exchange_works_unchanged() {
    let cluster = Cluster::start(1).await;
    let address = cluster.address(0);
    let client = cluster.client(0);
    for by_curl in [true, false] {
        client.topic("jsontest", json!({ "partitions": 1 })).await;
        for step in documented(address) {
            let answered =
                if by_curl { step.curl(address) } else { Some(step.bytes(address).await) };
            // A machine without curl has the second round, which sends the same.
            let Some((status, body)) = answered else { break };
            step.check(status, &body);
        }
        for path in ["/v1/groups/my_json_consumer", "/v1/topics/jsontest"] {
            let deleted = client.ask(Method::DELETE, path).send().await.unwrap();
            assert!(matches!(deleted.status().as_u16(), 204 | 404));
        }
        eventually("the topic is gone", async || {
            (client.get("/v1/topics/jsontest").send().await.unwrap().status() == 404).then_some(())
        })
        .await;
    }
    cluster.stop().await;
}

/// A consumer instance, spoken to through whichever node.
struct Instance(String);

impl Instance {
    async fn create(client: &Client, group: &str, options: Value) -> Self {
        let request = client.post(&format!("/consumers/{group}"), V2, options.to_string());
        let response = request.header("x-forwarded-host", "proxy.example").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body: Value = response.json().await.unwrap();
        let path = body["base_uri"].as_str().unwrap().strip_prefix("http://proxy.example").unwrap();
        let id = body["instance_id"].as_str().unwrap();
        assert_eq!(path, format!("/consumers/{group}/instances/{id}"));
        Self(path.to_owned())
    }

    async fn post(&self, client: &Client, path: &str, body: Value) -> (u16, Value) {
        let request = client.post(&format!("{}{path}", self.0), V2, body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn get(&self, client: &Client, path: &str) -> Value {
        client.json(&format!("{}{path}", self.0)).await
    }

    /// Polls until something comes; gives the values.
    async fn values(&self, client: &Client) -> Vec<Value> {
        eventually("records come", async || {
            let page = self.get(client, "/records?timeout=1000").await;
            let values: Vec<Value> =
                page.as_array().unwrap().iter().map(|record| record["value"].clone()).collect();
            (!values.is_empty()).then_some(values)
        })
        .await
    }
}

async fn produce(client: &Client, topic: &str, values: std::ops::Range<i64>) {
    let records: Vec<Value> =
        values.map(|at| json!({ "value": at, "partition": 0, "timestamp": at * 1000 })).collect();
    let sent = client.ask(Method::POST, &format!("/v1/topics/{topic}/records"));
    let sent = sent.json(&json!({ "records": records })).send().await.unwrap();
    assert_eq!(sent.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_every_nodes_and_outlives_the_one_that_made_it() {
    let mut cluster = Cluster::start(3).await;
    let clients: Vec<Client> = (0..3).map(|at| cluster.client(at)).collect();
    clients[0].topic("t", json!({ "partitions": 1, "replication_factor": 3 })).await;
    let options =
        json!({ "format": "json", "auto.offset.reset": "earliest", "auto.commit.enable": "false" });
    let instance = Instance::create(&clients[0], "g", options).await;
    assert_eq!(
        instance.post(&clients[1], "/subscription", json!({ "topics": ["t"] })).await.0,
        204
    );
    produce(&clients[2], "t", 0..3).await;
    assert_eq!(instance.values(&clients[2]).await, [0, 1, 2]);
    assert_eq!(instance.post(&clients[1], "/offsets", json!({})).await, (200, json!([])));

    cluster.stop_node(0).await;
    eventually("the others have leaders again", async || {
        let produced = clients[1].produce("t", &["3"]).await;
        (produced.status() == 200).then_some(())
    })
    .await;
    let values = eventually("it reads on", async || {
        let response = clients[2].get(&format!("{}/records", instance.0)).send().await.unwrap();
        let page: Value = response.json().await.unwrap();
        let values: Vec<Value> =
            page.as_array()?.iter().map(|each| each["value"].clone()).collect();
        (!values.is_empty()).then_some(values)
    })
    .await;
    assert_eq!(values[0], 3, "it goes on where it had committed");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_of_an_instance_does_what_is_documented() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    for topic in ["t", "tt", "u"] {
        client.topic(topic, json!({ "partitions": 1 })).await;
    }
    produce(&client, "t", 0..10).await;
    let instance = Instance::create(&client, "g", json!({ "auto.offset.reset": "earliest" })).await;
    assert_eq!(instance.get(&client, "/subscription").await, json!({ "topics": [] }));
    let pattern = json!({ "topic_pattern": "t+" });
    assert_eq!(instance.post(&client, "/subscription", pattern).await.0, 204);
    eventually("it has what matches", async || {
        let topics = instance.get(&client, "/subscription").await;
        instance.get(&client, "/records?timeout=0").await;
        (topics == json!({ "topics": ["t", "tt"] })).then_some(())
    })
    .await;
    let unsubscribed = client.ask(Method::DELETE, &format!("{}/subscription", instance.0));
    assert_eq!(unsubscribed.send().await.unwrap().status(), 204);

    // By hand: it can seek at once.
    let place = json!({ "topic": "t", "partition": 0 });
    let places = json!({ "partitions": [place] });
    assert_eq!(instance.post(&client, "/assignments", places.clone()).await.0, 204);
    assert_eq!(instance.get(&client, "/assignments").await, places);
    let (status, body) = instance.post(&client, "/subscription", json!({ "topics": ["u"] })).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40903)));
    let seeks = [
        (
            "/positions",
            json!({ "offsets": [{ "topic": "t", "partition": 0, "offset": 7 }] }),
            "Nw==",
        ),
        (
            "/positions",
            json!({ "timestamps": [{ "topic": "t", "partition": 0, "timestamp": "1970-01-01T00:00:05Z" }] }),
            "NQ==",
        ),
        ("/positions/beginning", places.clone(), "MA=="),
    ];
    for (path, body, first) in seeks {
        assert_eq!(instance.post(&client, path, body).await.0, 204, "{path}");
        assert_eq!(instance.values(&client).await[0], first, "binary is base64");
    }
    assert_eq!(instance.post(&client, "/positions/end", places).await.0, 204);
    assert_eq!(instance.get(&client, "/records?timeout=0").await, json!([]));
    let elsewhere = json!({ "offsets": [{ "topic": "u", "partition": 0, "offset": 0 }] });
    let (status, body) = instance.post(&client, "/positions", elsewhere).await;
    assert_eq!((status, &body["error_code"]), (409, &json!(40903)));

    // Both bodies of a commit: the original's names the last record, Redpanda's the next one.
    let offset = json!([{ "topic": "t", "partition": 0, "offset": 4, "metadata": "m" }]);
    let (status, body) = instance.post(&client, "/offsets", json!({ "offsets": offset })).await;
    assert_eq!((status, body), (200, json!([])));
    let read = async || {
        let offsets = instance.get(&client, "/offsets?partitions=t:0,u:0").await;
        offsets["offsets"].clone()
    };
    let row =
        |offset: u64| json!([{ "topic": "t", "partition": 0, "offset": offset, "metadata": "m" }]);
    assert_eq!(read().await, row(5));
    assert_eq!(instance.post(&client, "/offsets", json!({ "partitions": offset })).await.0, 204);
    assert_eq!(read().await, row(4));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_reads_its_format_and_commits_by_itself_if_it_is_told_to() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client(0);
    client.topic("t", json!({ "partitions": 1 })).await;
    let headers = json!({ "h": "x" });
    let record = json!({ "records": [{ "key": "k", "value": "plain", "headers": headers }] });
    let sent = client.ask(Method::POST, "/v1/topics/t/records").json(&record).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let options = json!({
        "name": "c", "format": "json", "auto.offset.reset": "earliest", "auto.commit.enable": true,
        "fetch.min.bytes": 1, "consumer.request.timeout.ms": 5000,
    });
    let instance = Instance::create(&client, "g", options).await;
    assert_eq!(instance.post(&client, "/subscription", json!({ "topics": ["t"] })).await.0, 204);
    let path = format!("{}/records", instance.0);
    let response = client.get(&path).header("accept", V2_JSON).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], V2_JSON);
    let page: Value = response.json().await.unwrap();
    assert_eq!(page[0]["headers"], json!([{ "name": "h", "value": "x" }]));
    assert_eq!((&page[0]["key"], &page[0]["value"]), (&json!("k"), &json!("plain")));
    let response = client.get(&path).header("accept", V2_BINARY).send().await.unwrap();
    assert_eq!(response.status(), 406);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error_code"], 40601);

    assert_eq!(instance.get(&client, "/records?timeout=0").await, json!([]));
    let offsets = instance.get(&client, "/offsets").await;
    assert_eq!(offsets["offsets"][0]["offset"], 1, "what was given before was committed");
    let deleted = client.ask(Method::DELETE, &instance.0).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let again = client.ask(Method::DELETE, &instance.0).send().await.unwrap();
    let body: Value = again.json().await.unwrap();
    assert_eq!(body["error_code"], 40403);
    cluster.stop().await;
}
