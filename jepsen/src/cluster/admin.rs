//! What an administrator sees and orders over HTTP, on links that no fault touches.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::history::Key;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer than the first node the others may take to tell what they see.
const OTHERS_PATIENCE: Duration = Duration::from_millis(300);

/// A partition as a broker tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PartitionView {
    /// Its number.
    pub partition: u32,
    /// Its leader, if it has one.
    pub leader: Option<u64>,
    /// The leader's term.
    pub leader_epoch: Option<u64>,
    /// Its replicas.
    pub replicas: Vec<u64>,
    /// Those in sync.
    pub in_sync: Vec<u64>,
    /// The offset after the last committed record.
    pub high_watermark: Option<u64>,
}

#[derive(Deserialize)]
struct TopicView {
    partitions: Vec<PartitionView>,
}

#[derive(Deserialize)]
struct CoordinatorView {
    coordinator: u64,
}

#[derive(Deserialize)]
struct HealthView {
    healthy: bool,
    reasons: Vec<String>,
    broken: Vec<String>,
}

/// The administrator.
#[derive(Clone, Debug)]
pub struct Admin {
    http: Client,
    doors: Vec<(u8, SocketAddr)>,
}

impl Admin {
    pub(super) fn new(doors: Vec<(u8, SocketAddr)>, source: Option<IpAddr>) -> io::Result<Self> {
        let http = Client::builder()
            .local_address(source)
            .connect_timeout(Duration::from_secs(1))
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { http, doors })
    }

    fn url(&self, id: u8, path: &str) -> String {
        let door = self.doors.iter().find(|(other, _)| *other == id);
        door.map_or_else(String::new, |(_, door)| format!("http://{door}{path}"))
    }

    async fn get<T: DeserializeOwned>(&self, id: u8, path: &str) -> Result<T, String> {
        let answer = self.http.get(self.url(id, path)).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|error| words(&error))?;
        answer.json().await.map_err(|error| words(&error))
    }

    /// Whether a node finds the cluster healthy; why not.
    pub async fn healthy(&self, id: u8) -> Result<(), String> {
        let health: HealthView = self.get(id, "/v1/cluster/health").await?;
        if health.healthy { Ok(()) } else { Err(health.reasons.join("; ")) }
    }

    /// Replicas that stopped, as a node tells them: `topic-partition on node id: why`.
    pub async fn broken(&self, id: u8) -> Vec<String> {
        let health: Result<HealthView, String> = self.get(id, "/v1/cluster/health").await;
        health.map_or_else(|_| Vec::new(), |health| health.broken)
    }

    /// Whether a node says that it can serve.
    pub async fn ready(&self, id: u8) -> Result<(), String> {
        let answer = self.http.get(self.url(id, "/readyz")).send().await;
        let answer = answer.map_err(|error| words(&error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(answer.text().await.unwrap_or_default())
    }

    /// Who coordinates a group, as the first node that knows tells it.
    pub async fn coordinator(&self, group: &str) -> Option<u8> {
        let path = format!("/v1/groups/{group}");
        for (id, _) in &self.doors {
            if let Ok(CoordinatorView { coordinator }) = self.get(*id, &path).await {
                return u8::try_from(coordinator).ok();
            }
        }
        None
    }

    /// The clock of a node, as its answers tell it.
    pub async fn date(&self, id: u8) -> Result<String, String> {
        let answer = self.http.get(self.url(id, "/livez")).send().await;
        let answer = answer.map_err(|error| words(&error))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        date.map(str::to_owned).ok_or_else(|| "its answer has no date".to_owned())
    }

    /// Makes a topic, through any node that does it.
    pub async fn create_topic(
        &self,
        topic: &str,
        partitions: u32,
        replicas: usize,
    ) -> Result<(), String> {
        let body = json!({"partitions": partitions, "replication_factor": replicas});
        let path = format!("/v1/topics/{topic}");
        self.by_any(async |id| {
            let answer = self.http.put(self.url(id, &path)).json(&body).send().await;
            accepted(answer, &[StatusCode::CREATED, StatusCode::OK]).await
        })
        .await
    }

    /// Gives a topic more partitions, through any node that does it.
    pub async fn add_partitions(&self, topic: &str, partitions: u32) -> Result<(), String> {
        let path = format!("/v1/topics/{topic}");
        self.by_any(async |id| {
            let order = self.http.patch(self.url(id, &path));
            let answer = order.json(&json!({"partitions": partitions})).send().await;
            accepted(answer, &[StatusCode::OK]).await
        })
        .await
    }

    /// Deletes a topic, through any node that does it; one that is gone already is as good.
    pub async fn delete_topic(&self, topic: &str) -> Result<(), String> {
        let path = format!("/v1/topics/{topic}");
        let done =
            [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::ACCEPTED, StatusCode::NOT_FOUND];
        self.by_any(async |id| {
            accepted(self.http.delete(self.url(id, &path)).send().await, &done).await
        })
        .await
    }

    async fn by_any(&self, ask: impl AsyncFn(u8) -> Result<(), String>) -> Result<(), String> {
        let mut last = "there are no nodes".to_owned();
        for (id, _) in &self.doors {
            match ask(*id).await {
                Ok(()) => return Ok(()),
                Err(why) => last = format!("n{id}: {why}"),
            }
        }
        Err(last)
    }

    /// Every partition of a topic. All nodes are asked at once; of two that name a leader, the one of the
    /// newer term is believed.
    pub async fn partitions(
        &self,
        topic: &str,
        patience: Duration,
    ) -> BTreeMap<Key, PartitionView> {
        let mut asked = JoinSet::new();
        for (id, _) in &self.doors {
            let (admin, id, path) = (self.clone(), *id, format!("/v1/topics/{topic}"));
            asked.spawn(async move { admin.get::<TopicView>(id, &path).await.ok() });
        }
        let mut partitions: BTreeMap<Key, PartitionView> = BTreeMap::new();
        let mut deadline = Instant::now() + patience;
        while let Ok(Some(told)) = timeout_at(deadline, asked.join_next()).await {
            if matches!(told, Ok(Some(_))) {
                // One that hangs is not waited for.
                deadline = deadline.min(Instant::now() + OTHERS_PATIENCE);
            }
            for view in told.ok().flatten().into_iter().flat_map(|topic| topic.partitions) {
                let key = Key(view.partition);
                let newer = partitions.get(&key).is_none_or(|known| {
                    (known.leader_epoch, known.leader.is_some())
                        < (view.leader_epoch, view.leader.is_some())
                });
                if newer {
                    partitions.insert(key, view);
                }
            }
        }
        partitions
    }
}

async fn accepted(
    answer: reqwest::Result<reqwest::Response>,
    good: &[StatusCode],
) -> Result<(), String> {
    let answer = answer.map_err(|error| words(&error))?;
    let status = answer.status();
    if good.contains(&status) {
        return Ok(());
    }
    Err(format!("{status}: {}", answer.text().await.unwrap_or_default()))
}

/// An error with its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
