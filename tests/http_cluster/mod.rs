//! Nodes of a cluster inside the test's own process, and doors over them with other limits.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod events;

use ottla::broker::Broker;
use ottla::config::{Bootstrap, Config, Founder};
use ottla::http::Limits;
use ottla::server::Server;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The longest any wait of a test takes before it fails.
pub const DEADLINE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until `condition` gives a value; panics with `what` at the deadline.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

/// The nodes.
pub struct Cluster {
    pub servers: Vec<Option<Server>>,
    pub configs: Vec<Config>,
    dir: TempDir,
}

impl Cluster {
    /// Starts so many nodes and waits until all are ready.
    pub async fn start(nodes: u64) -> Self {
        Self::start_with(nodes, |_| {}).await
    }

    /// The same, each with a changed configuration.
    pub async fn start_with(nodes: u64, change: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self::prepare(nodes, change);
        for at in 0..cluster.configs.len() {
            cluster.start_node(at).await;
        }
        cluster.until_ready().await;
        cluster
    }

    /// Says what each is to be and starts none.
    pub fn prepare(nodes: u64, change: impl Fn(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // All are held until all are known, so that no two are the same.
        let held: Vec<_> =
            (0..nodes).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let founders: Vec<Founder> = (1..)
            .zip(&held)
            .map(|(id, held)| Founder { id, peer: held.local_addr().unwrap().to_string() })
            .collect();
        let config = |founder: &Founder| Config {
            node_id: founder.id,
            data: dir.path().join(format!("node-{}", founder.id)),
            http: "127.0.0.1:0".into(),
            peer: founder.peer.clone(),
            bootstrap: Bootstrap::Found(founders.clone()),
            segment_bytes: 1 << 20,
            ..Config::default()
        };
        let mut configs: Vec<Config> = founders.iter().map(config).collect();
        configs.iter_mut().for_each(change);
        Self { servers: configs.iter().map(|_| None).collect(), configs, dir }
    }

    /// Waits until every node that runs is ready and knows all others.
    pub async fn until_ready(&self) {
        for broker in self.running() {
            eventually("every node is ready and knows all others", async || {
                let all = broker.cluster().brokers.len() >= self.configs.len();
                (broker.ready().is_ok() && all).then_some(())
            })
            .await;
        }
    }

    pub async fn start_node(&mut self, at: usize) {
        self.servers[at] = Some(Box::pin(Server::start(self.configs[at].clone())).await.unwrap());
    }

    pub async fn stop_node(&mut self, at: usize) {
        self.servers[at].take().unwrap().shutdown().await.unwrap();
    }

    pub fn broker(&self, at: usize) -> &Broker {
        self.servers[at].as_ref().unwrap().broker()
    }

    pub fn running(&self) -> impl Iterator<Item = &Broker> {
        self.servers.iter().flatten().map(Server::broker)
    }

    pub fn address(&self, at: usize) -> SocketAddr {
        self.servers[at].as_ref().unwrap().http_address()
    }

    pub fn data(&self, at: usize) -> &Path {
        &self.configs[at].data
    }

    pub fn client(&self, at: usize) -> Client {
        Client::to(self.address(at))
    }

    pub async fn stop(mut self) {
        for server in self.servers.iter_mut().filter_map(Option::take) {
            server.shutdown().await.unwrap();
        }
    }
}

/// A door of its own over a broker.
pub struct Door {
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    serving: JoinSet<std::io::Result<()>>,
}

impl Door {
    pub async fn open(broker: &Broker, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(ottla::http::serve(listener, broker.clone(), limits, shutdown.clone()));
        Self { address, shutdown, serving }
    }

    pub fn client(&self) -> Client {
        Client::to(self.address)
    }

    pub async fn close(mut self) {
        self.shutdown.cancel();
        self.serving.join_next().await.unwrap().unwrap().unwrap();
    }
}

/// Requests to one node, without following redirects.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub fn to(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()
            .unwrap();
        Self { http, base: format!("http://{address}") }
    }

    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path)
    }

    pub fn post(&self, path: &str, media: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.ask(Method::POST, path).header("content-type", media).body(body)
    }

    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Makes a topic; its leaders are there once it is.
    pub async fn topic(&self, name: &str, wanted: Value) {
        let request = self.ask(Method::PUT, &format!("/v1/topics/{name}"));
        let response = request.json(&wanted).send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{name}: {body}");
    }

    /// Appends values to partition 0.
    pub async fn produce(&self, topic: &str, values: &[&str]) -> Response {
        let records: Vec<Value> =
            values.iter().map(|value| serde_json::json!({ "value": value })).collect();
        let path = format!("/v1/topics/{topic}/partitions/0/records");
        let body = serde_json::json!({ "records": records });
        self.ask(Method::POST, &path).json(&body).send().await.unwrap()
    }
}

pub fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no header {name}"));
    value.to_str().unwrap().to_owned()
}
