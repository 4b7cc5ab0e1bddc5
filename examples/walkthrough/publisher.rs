//! A producer that writes each record exactly once through a leader's death, by conditional appends:
//! it is the only writer of its topic, so each batch is appended `If-Match` the end that it expects.
//!
//! | answer | the end is | then |
//! |---|---|---|
//! | appended | | the next batch |
//! | not appended, unknown, lost or 412 | where it was | the same batch again |
//! | " | one batch further | it is appended: the next batch |
//! | " | elsewhere | somebody else writes: give up |

use crate::Outcome;
use crate::cluster::Cluster;
use crate::history::Event;
use ottla::partitioner::{Murmur2, Partitioner};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Records in one request.
const BATCH_RECORDS: usize = 50;
/// One request; a broker that takes longer is given up for another.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at a partition without a leader.
const PAUSE: Duration = Duration::from_millis(20);

/// What publishing came to.
pub(super) struct Published {
    /// From the first to the last acknowledgement.
    pub(super) took: Duration,
    /// Which node was killed.
    pub(super) killed: u64,
    /// How many partitions it led.
    pub(super) led: usize,
    /// From the kill until the last of its partitions acknowledged a write again.
    pub(super) gap: Duration,
}

/// All events, by partition.
pub(super) struct Publisher {
    http: reqwest::Client,
    brokers: Arc<[String]>,
    topic: String,
    events: BTreeMap<u32, Vec<Event>>,
    total: usize,
}

/// A batch was acknowledged.
struct Acknowledged {
    partition: u32,
    records: usize,
    at: Instant,
}

impl Publisher {
    /// Sorts events to their partitions, as every Kafka client does.
    pub(super) fn new(cluster: &Cluster, topic: &str, partitions: u32, all: &[Event]) -> Self {
        let mut events: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
        for event in all {
            let partition = Murmur2.partition(event.key.as_bytes(), partitions).0;
            events.entry(partition).or_default().push(event.clone());
        }
        let brokers = cluster.addresses().into();
        let http = cluster.http.clone();
        Self { http, brokers, topic: topic.to_owned(), events, total: all.len() }
    }

    /// Publishes everything; half-way a leader is killed.
    pub(super) async fn run(self, cluster: &Cluster) -> Outcome<Published> {
        let begun = Instant::now();
        let (acknowledged, mut acknowledgements) = mpsc::unbounded_channel();
        let mut writers = JoinSet::new();
        for (partition, events) in self.events {
            let writer = Writer {
                http: self.http.clone(),
                brokers: Arc::clone(&self.brokers),
                path: format!("/v1/topics/{}/partitions/{partition}", self.topic),
                partition,
                end: 0,
                acknowledged: acknowledged.clone(),
            };
            writers.spawn(writer.run(events));
        }
        drop(acknowledged);
        let mut done = 0;
        let mut kill: Option<Kill> = None;
        while let Some(ack) = acknowledgements.recv().await {
            done += ack.records;
            if let Some(kill) = &mut kill {
                kill.resumed(&ack);
            } else if done * 2 >= self.total {
                let (node, led) = cluster.busiest(&self.topic).await?;
                cluster.kill(node)?;
                kill = Some(Kill { node, led, at: Instant::now(), resumed: BTreeMap::new() });
            }
        }
        while let Some(written) = writers.join_next().await {
            written??;
        }
        let kill = kill.ok_or("nothing was published")?;
        let gap = kill.resumed.values().max().copied().ok_or("no write after the kill")?;
        Ok(Published { took: begun.elapsed(), killed: kill.node, led: kill.led.len(), gap })
    }
}

/// A leader's death, and when its partitions took writes again.
struct Kill {
    node: u64,
    led: Vec<u32>,
    at: Instant,
    resumed: BTreeMap<u32, Duration>,
}

impl Kill {
    fn resumed(&mut self, ack: &Acknowledged) {
        if self.led.contains(&ack.partition) && ack.at > self.at {
            self.resumed.entry(ack.partition).or_insert(ack.at - self.at);
        }
    }
}

/// The only writer of a partition.
struct Writer {
    http: reqwest::Client,
    brokers: Arc<[String]>,
    path: String,
    partition: u32,
    /// The offset that the next record gets.
    end: u64,
    acknowledged: mpsc::UnboundedSender<Acknowledged>,
}

impl Writer {
    async fn run(mut self, events: Vec<Event>) -> Outcome<()> {
        for batch in events.chunks(BATCH_RECORDS) {
            self.write(batch).await?;
            let (partition, at) = (self.partition, Instant::now());
            self.acknowledged.send(Acknowledged { partition, records: batch.len(), at })?;
        }
        Ok(())
    }

    /// Returns once the batch is there; the deadline of the whole story bounds it.
    async fn write(&mut self, batch: &[Event]) -> Outcome<()> {
        let after = self.end + u64::try_from(batch.len())?;
        for attempt in 0.. {
            let broker = self.broker(attempt)?;
            if self.append(&broker, batch).await {
                break;
            }
            match self.end_at(&broker).await {
                Some(end) if end == after => break,
                Some(end) if end != self.end => {
                    let partition = self.partition;
                    return Err(format!("partition {partition} ends at {end}, not {after}").into());
                }
                Some(_) | None => sleep(PAUSE).await,
            }
        }
        self.end = after;
        Ok(())
    }

    /// Each attempt asks another one.
    fn broker(&self, attempt: usize) -> Outcome<String> {
        let at = attempt.checked_rem(self.brokers.len()).ok_or("no brokers")?;
        Ok(self.brokers.get(at).ok_or("no brokers")?.clone())
    }

    /// Whether a broker says that it is appended.
    async fn append(&self, broker: &str, batch: &[Event]) -> bool {
        let records: Vec<Value> =
            batch.iter().map(|event| json!({ "key": event.key, "value": event.value })).collect();
        let last = self.end.checked_sub(1).map_or("-1".to_owned(), |last| last.to_string());
        let answer = self
            .http
            .post(format!("http://{broker}{}/records", self.path))
            .timeout(REQUEST_TIMEOUT)
            .header("If-Match", format!("\"{last}\""))
            .json(&json!({ "records": records }))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// The partition's end with everything that will ever come of earlier requests, if it has a leader.
    async fn end_at(&self, broker: &str) -> Option<u64> {
        let url = format!("http://{broker}{}?read=linearizable", self.path);
        let answer = self.http.head(url).timeout(REQUEST_TIMEOUT).send().await.ok()?;
        answer.headers().get("high-watermark")?.to_str().ok()?.parse().ok()
    }
}
