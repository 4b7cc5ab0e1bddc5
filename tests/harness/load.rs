//! Producers that remember exactly what they were told, and the comparison with what is in the log.

use super::Cluster;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// What a producer was told of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Appended at this offset.
    Acknowledged(u64),
    /// Certainly not appended.
    Refused,
    /// May be.
    Unknown,
}

/// Every value ever sent, with what was said of it.
#[derive(Default)]
pub struct Ledger {
    told: Mutex<BTreeMap<(u32, String), Told>>,
    acknowledged_at: Mutex<BTreeMap<u32, Vec<Instant>>>,
}

impl Ledger {
    pub fn acknowledged(&self) -> usize {
        self.told
            .lock()
            .unwrap()
            .values()
            .filter(|told| matches!(told, Told::Acknowledged(_)))
            .count()
    }

    /// The longest time that any partition acknowledged nothing between two acknowledgements.
    pub fn longest_gap(&self) -> Duration {
        let times = self.acknowledged_at.lock().unwrap();
        let gaps = times.values().flat_map(|times| times.windows(2).map(|pair| pair[1] - pair[0]));
        gaps.max().unwrap_or_default()
    }

    fn note(&self, partition: u32, value: String, told: Told) {
        if matches!(told, Told::Acknowledged(_)) {
            let mut times = self.acknowledged_at.lock().unwrap();
            times.entry(partition).or_default().push(Instant::now());
        }
        let before = self.told.lock().unwrap().insert((partition, value), told);
        assert_eq!(before, None, "a value is sent once");
    }

    /// Compares with the log: acknowledged records are where they were said to be, refused ones are
    /// nowhere, nothing is there twice, nothing was invented, and offsets are dense.
    pub fn check(&self, partition: u32, log: &[(u64, String)]) {
        let told = self.told.lock().unwrap();
        for (expected, (offset, _)) in log.iter().enumerate() {
            assert_eq!(*offset, expected as u64, "offsets of partition {partition} are dense");
        }
        let at: HashMap<&str, u64> =
            log.iter().map(|(offset, value)| (&**value, *offset)).collect();
        assert_eq!(at.len(), log.len(), "no record of partition {partition} is there twice");
        let mut sent = HashSet::new();
        for ((_, value), told) in told.iter().filter(|((p, _), _)| *p == partition) {
            sent.insert(&**value);
            match told {
                Told::Acknowledged(offset) => assert_eq!(
                    at.get(&**value),
                    Some(offset),
                    "acknowledged record {value} of partition {partition} is where it was said to be"
                ),
                Told::Refused => {
                    assert_eq!(at.get(&**value), None, "refused record {value} is not in the log");
                }
                Told::Unknown => {}
            }
        }
        for (value, offset) in &at {
            assert!(sent.contains(value), "record {value} at {offset} was never sent");
        }
    }
}

/// Producers in the background, until stopped.
pub struct Load {
    pub ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts one producer a partition, each sending single records as fast as they are answered,
    /// through any node that answers.
    pub fn start(cluster: &Cluster, topic: &str, partitions: u32) -> Self {
        let ledger = Arc::new(Ledger::default());
        let stop = Arc::new(AtomicBool::new(false));
        let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.http.clone()).collect();
        let tasks = (0..partitions)
            .map(|partition| {
                let path =
                    format!("/v1/topics/{topic}/partitions/{partition}/records?timeout_ms=3000");
                let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
                let (client, nodes) = (cluster.client.clone(), nodes.clone());
                tokio::spawn(async move {
                    let mut round = partition as usize;
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let value = format!("p{partition}-{number}");
                        let url = format!("http://{}{path}", nodes[round % nodes.len()]);
                        let told = send(&client, &url, &value).await;
                        ledger.note(partition, value, told);
                        number += 1;
                        if !matches!(told, Told::Acknowledged(_)) {
                            round += 1;
                            sleep(Duration::from_millis(10)).await;
                        }
                    }
                })
            })
            .collect();
        Self { ledger, stop, tasks }
    }

    /// Waits until `more` further records were acknowledged.
    pub async fn until_more(&self, more: usize) {
        let goal = self.ledger.acknowledged() + more;
        super::eventually("more records are acknowledged", async || {
            (self.ledger.acknowledged() >= goal).then_some(())
        })
        .await;
    }

    /// Stops the producers and returns what they were told.
    pub async fn stop(self) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.ledger
    }
}

async fn send(client: &reqwest::Client, url: &str, value: &str) -> Told {
    let body = json!({"records": [{"value": value}]});
    let answer = match client.post(url).json(&body).send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() => return Told::Refused,
        Err(_) => return Told::Unknown,
    };
    let status = answer.status();
    let Ok(said) = answer.json::<Value>().await else { return Told::Unknown };
    if status == 200 {
        return Told::Acknowledged(said["offsets"][0]["offset"].as_u64().unwrap());
    }
    match said["outcome"].as_str() {
        Some("not_appended") => Told::Refused,
        Some("unknown") => Told::Unknown,
        _ => panic!("{status}: {said}: an error says what became of the record"),
    }
}
