//! The calls by name: where each lives, what it takes and gives.

use super::{Call, Client, Error};
use crate::broker::{BrokerView, ClusterView, HealthView, SettingView, TopicSummary, TopicView};
use crate::topic::{PartitionId, TopicName};
use bytes::Bytes;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Batches as they are stored, in both directions.
const RECORD_BATCH: &str = "application/vnd.kafka.recordbatch.v2";

/// The longest time that a broker takes for a request.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);

/// A topic to create.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewTopic {
    /// How many partitions.
    pub partitions: Option<u32>,
    /// How many replicas of each.
    pub replication_factor: Option<u32>,
    /// Settings that are not the default.
    pub config: BTreeMap<String, String>,
}

/// Where a batch is to be appended.
#[derive(Debug, Clone)]
pub struct AppendAt<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// When a batch counts as appended.
    pub acks: Acks,
    /// The partition's leader, as far as known.
    pub leader: Option<String>,
    /// Only behind the record with this offset, -1 where no record may be: else
    /// [refused](crate::error::ErrorKind::EndMoved), so that what is sent again is never there twice.
    pub after: Option<i64>,
}

/// Where a partition is to be read.
#[derive(Debug, Clone)]
pub struct FetchAt<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// The first record wanted.
    pub offset: u64,
    /// Batches are added until this is reached.
    pub bytes_max: u64,
    /// How long the broker may wait for a record.
    pub wait: Duration,
    /// The partition's leader, as far as known.
    pub leader: Option<String>,
}

/// What a fetch found.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Whole batches one after the other; the first may begin before the offset that was wanted.
    pub batches: Bytes,
    /// The first offset that can still be read.
    pub log_start: u64,
    /// Where to fetch next.
    pub next: u64,
    /// Who leads, if told.
    pub leader: Option<String>,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The first offset that can be read.
    #[serde(rename = "log_start_offset")]
    pub log_start: u64,
    /// The offset after the last committed record.
    pub high_watermark: u64,
}

/// When a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// Once a majority of the replicas has it.
    #[default]
    Quorum,
    /// Once the leader has it: lost if the leader is lost soon after.
    Leader,
    /// At once; it may be lost without a word.
    None,
}

impl Acks {
    /// As the broker takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Leader => "leader",
            Self::None => "none",
        }
    }
}

/// A batch was appended.
#[derive(Debug, Clone)]
pub struct AppendDone {
    /// The offset of its first record; not told with [`Acks::None`].
    pub base_offset: Option<u64>,
    /// Who leads, if told.
    pub leader: Option<String>,
}

fn partition(topic: &TopicName, partition: PartitionId, what: &str) -> String {
    format!("/v1/topics/{topic}/partitions/{partition}{what}")
}

impl Client {
    /// The cluster as the broker that answers knows it.
    pub async fn cluster(&self) -> Result<ClusterView, Error> {
        self.call(&Call::get("/v1/cluster")).await?.json()
    }

    /// How the cluster is. An unhealthy cluster is an answer too.
    pub async fn health(&self) -> Result<HealthView, Error> {
        self.call(&Call::get("/v1/cluster/health")).await?.json()
    }

    /// Learns of all brokers, so that any may go down from now on.
    pub async fn discover(&self) -> Result<Vec<BrokerView>, Error> {
        #[derive(Deserialize)]
        struct Brokers {
            brokers: Vec<BrokerView>,
        }
        let Brokers { brokers } = self.call(&Call::get("/v1/brokers")).await?.json()?;
        self.learn(brokers.iter().map(|broker| broker.http.clone()));
        Ok(brokers)
    }

    /// A producer's identity, for appends that may be repeated: its id and its epoch.
    pub async fn new_producer(&self) -> Result<(i64, i16), Error> {
        #[derive(Deserialize)]
        struct Identity {
            producer_id: i64,
            epoch: i16,
        }
        let call = Call::new(Method::POST, "/v1/producers").repeatable();
        let Identity { producer_id, epoch } = self.call(&call).await?.json()?;
        Ok((producer_id, epoch))
    }

    /// All topics.
    pub async fn topics(&self) -> Result<Vec<TopicSummary>, Error> {
        #[derive(Deserialize)]
        struct Topics {
            topics: Vec<TopicSummary>,
        }
        let Topics { topics } = self.call(&Call::get("/v1/topics")).await?.json()?;
        Ok(topics)
    }

    /// A topic, whole.
    pub async fn describe(&self, topic: &TopicName) -> Result<TopicView, Error> {
        self.call(&Call::get(format!("/v1/topics/{topic}"))).await?.json()
    }

    /// Creates a topic; `true` if it was not there yet.
    pub async fn create(
        &self,
        topic: &TopicName,
        new: &NewTopic,
    ) -> Result<(bool, TopicSummary), Error> {
        let call = Call::new(Method::PUT, format!("/v1/topics/{topic}")).json(new);
        let answer = self.call(&call).await?;
        Ok((answer.is_created(), answer.json()?))
    }

    /// Deletes a topic.
    pub async fn delete(&self, topic: &TopicName) -> Result<(), Error> {
        self.call(&Call::new(Method::DELETE, format!("/v1/topics/{topic}"))).await.map(drop)
    }

    /// Sets (`Some`) and resets (`None`) settings.
    pub async fn alter(
        &self,
        topic: &TopicName,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<SettingView>, Error> {
        #[derive(Deserialize)]
        struct Settings {
            config: Vec<SettingView>,
        }
        let target = format!("/v1/topics/{topic}/config");
        let answer = self.call(&Call::new(Method::PATCH, target).json(changes)).await?;
        let Settings { config } = answer.json()?;
        Ok(config)
    }

    /// Grows a topic to so many partitions.
    pub async fn grow(&self, topic: &TopicName, partitions: u32) -> Result<TopicSummary, Error> {
        let change = serde_json::json!({ "partitions": partitions });
        let call = Call::new(Method::PATCH, format!("/v1/topics/{topic}")).json(&change);
        self.call(&call).await?.json()
    }

    /// Moves the log start of a partition up.
    pub async fn trim(
        &self,
        topic: &TopicName,
        at: PartitionId,
        before: u64,
    ) -> Result<Ends, Error> {
        let change = serde_json::json!({ "offset": before });
        let call = Call::new(Method::POST, partition(topic, at, "/trim")).json(&change);
        self.call(&call).await?.json()
    }

    /// The ends of a partition, with everything that was acknowledged before.
    pub async fn ends(&self, topic: &TopicName, at: PartitionId) -> Result<Ends, Error> {
        let target = partition(topic, at, "?read=linearizable");
        let answer = self.call(&Call::new(Method::HEAD, target)).await?;
        Ok(Ends {
            log_start: answer.number("log-start-offset")?,
            high_watermark: answer.number("high-watermark")?,
        })
    }

    /// The first offset whose record has this timestamp (ms) or a later one; the end if none has.
    pub async fn offset_at(
        &self,
        topic: &TopicName,
        at: PartitionId,
        timestamp: i64,
    ) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Page {
            records: Vec<At>,
        }
        #[derive(Deserialize)]
        struct At {
            offset: u64,
        }
        let query = format!("/records?offset=@{timestamp}&max_records=1&max_bytes=1&wait_ms=0");
        let answer = self.call(&Call::get(partition(topic, at, &query))).await?;
        let page: Page = answer.json()?;
        match page.records.first() {
            Some(record) => Ok(record.offset),
            None => answer.number("next-offset"),
        }
    }

    /// Appends one batch, asking once.
    pub async fn append(
        &self,
        at: AppendAt<'_>,
        batch: Bytes,
        deadline: Instant,
    ) -> Result<AppendDone, Error> {
        #[derive(Deserialize)]
        struct Appended {
            offsets: Vec<First>,
        }
        #[derive(Deserialize)]
        struct First {
            offset: Option<u64>,
        }
        // The broker gives up a little earlier than we do, so that it is the one who says what happened.
        let left = deadline.saturating_duration_since(Instant::now()).mul_f32(0.9);
        let timeout = left.min(TIMEOUT_MAX).as_millis();
        let query = format!("/records?acks={}&timeout_ms={timeout}", at.acks.as_str());
        let call = Call::new(Method::POST, partition(at.topic, at.partition, &query))
            .body(RECORD_BATCH, batch)
            .only_if_last(at.after)
            .ask_first(at.leader);
        let answer = self.send(&call, deadline).await?;
        let Appended { offsets } = answer.json()?;
        let base_offset = offsets.first().and_then(|first| first.offset);
        Ok(AppendDone { base_offset, leader: answer.leader() })
    }

    /// Reads one partition, asking each broker once.
    pub async fn fetch(&self, at: FetchAt<'_>, deadline: Instant) -> Result<Fetched, Error> {
        let (offset, bytes_max, wait) = (at.offset, at.bytes_max, at.wait.as_millis());
        let query = format!("/records?offset={offset}&max_bytes={bytes_max}&wait_ms={wait}");
        let call = Call::get(partition(at.topic, at.partition, &query))
            .accept(RECORD_BATCH)
            .ask_first(at.leader);
        let answer = self.send(&call, deadline).await?;
        Ok(Fetched {
            log_start: answer.number("log-start-offset")?,
            next: answer.number("next-offset")?,
            leader: answer.leader(),
            batches: answer.body().clone(),
        })
    }
}
