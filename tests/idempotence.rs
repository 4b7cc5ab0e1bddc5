//! Real processes, answers that are lost, kills and purges: what an idempotent producer sends is in the
//! log once, in its order, and it learns where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use futures::future::join_all;
use harness::deaf::Deaf;
use harness::{Cluster, Options, eventually, on_engines};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

on_engines! {
    answers_lost_while_leaders_are_killed_leave_one_copy_of_each_batch: segment sled;
    answers_lost_while_the_whole_cluster_is_killed_leave_one_copy_of_each_batch: segment sled;
    a_follower_that_caught_up_through_the_marker_knows_the_producers_when_it_leads: segment sled;
    a_leader_that_hangs_costs_time_and_no_certainty: segment sled;
}

/// Records of a batch.
const BATCH: u32 = 2;
/// Of so many batches one is sent where its first answer is lost.
const LOST_EVERY: u32 = 3;

/// What the writers share.
struct Wires {
    client: reqwest::Client,
    nodes: Vec<String>,
    deaf: Vec<Deaf>,
    stop: AtomicBool,
    told: AtomicUsize,
    duplicates: AtomicUsize,
}

/// Where each record of a producer was said to be.
type Told = BTreeMap<String, u64>;

/// Producers in the background, until stopped; each has several batches on their way.
struct Writers {
    wires: Arc<Wires>,
    tasks: Vec<JoinHandle<(u32, Told)>>,
}

impl Writers {
    async fn start(cluster: &Cluster, topic: &'static str, partitions: u32) -> Self {
        let nodes: Vec<String> = cluster.nodes.iter().map(|node| node.http.clone()).collect();
        let wires = Arc::new(Wires {
            client: cluster.client.clone(),
            deaf: join_all(nodes.iter().map(|node| Deaf::before(node))).await,
            nodes,
            stop: AtomicBool::new(false),
            told: AtomicUsize::new(0),
            duplicates: AtomicUsize::new(0),
        });
        // One that waits for each answer, one that does not.
        let tasks = (0..partitions)
            .flat_map(|partition| [(partition, 1), (partition, 4)])
            .map(|(partition, window)| {
                let wires = Arc::clone(&wires);
                tokio::spawn(
                    async move { (partition, write(&wires, topic, partition, window).await) },
                )
            })
            .collect();
        Self { wires, tasks }
    }

    /// Waits until the producers were told of `more` further batches.
    async fn until_more(&self, more: usize) {
        let goal = self.wires.told.load(Ordering::Relaxed) + more;
        eventually("more batches are acknowledged", async || {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a producer has failed");
            (self.wires.told.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Stops them and compares what they were told with what is in the log, read through each node.
    async fn check(self, cluster: &Cluster, topic: &str) {
        self.wires.stop.store(true, Ordering::Relaxed);
        let mut told: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
        for task in self.tasks {
            let (partition, own) = task.await.unwrap();
            told.entry(partition).or_default().push(own);
        }
        for (partition, producers) in told {
            for at in (0..cluster.nodes.len()).filter(|at| cluster.runs(*at)) {
                let log = cluster.read_all(at, topic, partition).await;
                let sent: usize = producers.iter().map(Told::len).sum();
                assert_eq!(log.len(), sent, "as many records as were sent");
                let at: BTreeMap<&str, u64> =
                    log.iter().map(|(offset, value)| (value.as_str(), *offset)).collect();
                assert_eq!(at.len(), log.len(), "none is there twice");
                for own in &producers {
                    // Values are in the order of their numbers: so are offsets.
                    let mut last = None;
                    for (value, offset) in own {
                        assert_eq!(at.get(value.as_str()), Some(offset), "{value}");
                        assert!(last < Some(offset), "{value} is not before the next");
                        last = Some(offset);
                    }
                }
            }
        }
        let duplicates = self.wires.duplicates.load(Ordering::Relaxed);
        let batches = self.wires.told.load(Ordering::Relaxed);
        assert!(duplicates > 0, "no answer was lost");
        eprintln!("{batches} batches, {duplicates} of them found to be there already");
    }
}

/// Sends batches of one producer, `window` at a time, until it is to stop.
async fn write(wires: &Wires, topic: &str, partition: u32, window: u32) -> Told {
    let name = format!("p{partition}-{window}");
    let mut told = Told::new();
    let mut batch = 0;
    while !wires.stop.load(Ordering::Relaxed) {
        // The first alone: of an unknown producer any batch may be the first.
        let count = if batch == 0 { 1 } else { window };
        let sending = (batch..batch + count).rev().map(|batch| {
            let sent = Sent { topic, partition, name: &name, batch };
            async move { (batch, sent.until_told(wires).await) }
        });
        for (batch, offset) in join_all(sending).await {
            for record in 0..BATCH {
                told.insert(value(&name, batch * BATCH + record), offset + u64::from(record));
            }
        }
        batch += count;
    }
    told
}

fn value(name: &str, number: u32) -> String {
    format!("{name}:{number:09}")
}

/// A batch.
struct Sent<'a> {
    topic: &'a str,
    partition: u32,
    name: &'a str,
    batch: u32,
}

impl Sent<'_> {
    /// Sends it until its offset is told.
    async fn until_told(&self, wires: &Wires) -> u64 {
        let first = self.batch * BATCH;
        let records: Vec<Value> = (first..first + BATCH)
            .map(|number| json!({"value": value(self.name, number)}))
            .collect();
        let body = json!({ "records": records }).to_string();
        let started = Instant::now();
        for round in self.batch as usize.. {
            assert!(started.elapsed() < harness::DEADLINE, "{}: batch {}", self.name, self.batch);
            let is_first = round == self.batch as usize;
            let node = if is_first && self.batch.is_multiple_of(LOST_EVERY) {
                &wires.deaf[round % wires.deaf.len()].address
            } else {
                &wires.nodes[round % wires.nodes.len()]
            };
            let (topic, partition) = (self.topic, self.partition);
            let url = format!(
                "http://{node}/v1/topics/{topic}/partitions/{partition}/records?timeout_ms=3000"
            );
            let request = wires.client.post(url).header("content-type", "application/json");
            let request = request.header("producer-id", self.name).header("producer-seq", first);
            if let Ok(answer) = request.body(body.clone()).send().await
                && let Some(offset) = self.told(wires, answer).await
            {
                return offset;
            }
            sleep(Duration::from_millis(10)).await;
        }
        unreachable!("it is sent until it is told")
    }

    /// The offset, if the answer has it.
    async fn told(&self, wires: &Wires, answer: reqwest::Response) -> Option<u64> {
        let status = answer.status().as_u16();
        let duplicate = answer.headers().contains_key("duplicate");
        let said: Value = answer.json().await.ok()?;
        match status {
            200 => {
                wires.told.fetch_add(1, Ordering::Relaxed);
                wires.duplicates.fetch_add(usize::from(duplicate), Ordering::Relaxed);
                let first = said["offsets"][0]["offset"].as_u64().unwrap();
                assert_eq!(said["offsets"][1]["offset"], first + 1, "all or nothing");
                Some(first)
            }
            // Those before it are on their way again, too.
            409 if said["expected_seq"].as_u64() < Some(u64::from(self.batch * BATCH)) => None,
            429 | 503 | 504 => None,
            _ => panic!("{}: batch {}: {status}: {said}", self.name, self.batch),
        }
    }
}

async fn answers_lost_while_leaders_are_killed_leave_one_copy_of_each_batch(engine: &'static str) {
    let mut cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("kills", 2, json!({})).await;
    let writers = Writers::start(&cluster, "kills", 2).await;
    for partition in [0, 1, 0] {
        writers.until_more(50).await;
        let leader = cluster.leader("kills", partition).await;
        cluster.kill(leader);
        writers.until_more(50).await;
        cluster.start_node(leader);
        cluster.until_healthy().await;
    }
    writers.check(&cluster, "kills").await;
}

async fn answers_lost_while_the_whole_cluster_is_killed_leave_one_copy_of_each_batch(
    engine: &'static str,
) {
    // Small segments: part of what is known is in checkpoints, part is replayed.
    let options = Options::three(engine).with_flag("--segment-bytes", 65_536);
    let mut cluster = Cluster::start(options).await;
    cluster.create_topic("all", 2, json!({})).await;
    let writers = Writers::start(&cluster, "all", 2).await;
    for _ in 0..2 {
        writers.until_more(200).await;
        for at in 0..3 {
            cluster.kill(at);
        }
        for at in 0..3 {
            cluster.start_node(at);
        }
        cluster.until_healthy().await;
    }
    writers.until_more(50).await;
    writers.check(&cluster, "all").await;
}

/// Sends a record by producer `p` through node `at` until it is answered; the answer.
async fn by_p(cluster: &Cluster, at: usize, topic: &str, seq: u32) -> (u16, Value) {
    let url = cluster.url(at, &format!("/v1/topics/{topic}/partitions/0/records"));
    eventually("an answer that is no excuse", async || {
        let body = json!({ "records": [{ "value": format!("p-{seq}") }] });
        let request = cluster.client.post(&url).json(&body).header("producer-id", "p");
        let answer = request.header("producer-seq", seq).send().await.ok()?;
        let status = answer.status().as_u16();
        let said: Value = answer.json().await.ok()?;
        (!matches!(status, 503 | 504)).then_some((status, said))
    })
    .await
}

async fn a_follower_that_caught_up_through_the_marker_knows_the_producers_when_it_leads(
    engine: &'static str,
) {
    let options = Options::three(engine).with_flag("--segment-bytes", 65_536);
    let mut cluster = Cluster::start(options).await;
    cluster.create_topic("purged", 1, json!({})).await;
    // Who is to lead is the one that sleeps: leadership comes back to it once it is in sync.
    let home = cluster.leader("purged", 0).await;
    let other = (home + 1) % 3;
    assert_eq!(by_p(&cluster, other, "purged", 0).await.0, 200);
    cluster.kill(home);
    let mut offsets = Vec::new();
    for seq in 1..8 {
        let (status, said) = by_p(&cluster, other, "purged", seq).await;
        assert_eq!(status, 200, "{said}");
        offsets.push((seq, said["offsets"][0]["offset"].as_u64().unwrap()));
    }
    let path = "/v1/topics/purged/partitions/0";
    let filler = "x".repeat(1000);
    let records: Vec<Value> = (0..20).map(|_| json!({ "value": filler })).collect();
    for _ in 0..20 {
        let url = cluster.url(other, &format!("{path}/records"));
        let sent = cluster.client.post(url).json(&json!({ "records": records })).send().await;
        assert_eq!(sent.unwrap().status(), 200);
    }
    let trim = cluster.client.post(cluster.url(other, &format!("{path}/trim")));
    let trimmed = trim.json(&json!({ "offset": 400 })).send().await.unwrap();
    assert_eq!(trimmed.status(), 200, "{}", trimmed.text().await.unwrap());
    cluster.start_node(home);
    cluster.until_in_sync("purged").await;
    eventually("leadership is home", async || {
        (cluster.leader("purged", 0).await == home).then_some(())
    })
    .await;
    assert!(cluster.read_all(home, "purged", 0).await[0].0 >= 400, "the records are gone");
    // What it never saw as a record: the last five, with their offsets, and no more than those.
    for (seq, offset) in &offsets[2..] {
        let (status, said) = by_p(&cluster, other, "purged", *seq).await;
        assert_eq!(status, 200, "{said}");
        let expected = json!({ "partition": 0, "offset": offset, "duplicate": true });
        assert_eq!(said["offsets"], json!([expected]));
    }
    let (status, said) = by_p(&cluster, other, "purged", offsets[1].0).await;
    assert_eq!((status, &said["expected_seq"]), (409, &json!(8)), "{said}");
    let (status, said) = by_p(&cluster, other, "purged", 8).await;
    assert_eq!((status, &said["offsets"][0]["duplicate"]), (200, &Value::Null), "{said}");
    // And when it starts again, from its own disk.
    cluster.kill(home);
    cluster.start_node(home);
    cluster.until_in_sync("purged").await;
    eventually("leadership is home again", async || {
        (cluster.leader("purged", 0).await == home).then_some(())
    })
    .await;
    let again = by_p(&cluster, home, "purged", 8).await.1;
    assert_eq!(again["offsets"][0]["offset"], said["offsets"][0]["offset"]);
    assert_eq!(again["offsets"][0]["duplicate"], true);
}

async fn a_leader_that_hangs_costs_time_and_no_certainty(engine: &'static str) {
    let cluster = Cluster::start(Options::three(engine)).await;
    cluster.create_topic("hangs", 1, json!({})).await;
    assert_eq!(by_p(&cluster, 0, "hangs", 0).await.0, 200);
    let leader = cluster.leader("hangs", 0).await;
    let other = (leader + 1) % 3;
    cluster.pause(leader).await;
    // One request, asked by nobody again but by the broker that has it.
    let url = cluster.url(other, "/v1/topics/hangs/partitions/0/records?timeout_ms=30000");
    let request = cluster.client.post(url).json(&json!({ "records": [{ "value": "p-1" }] }));
    let answer = request.header("producer-id", "p").header("producer-seq", 1).send().await.unwrap();
    let status = answer.status();
    let said: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["offsets"][0]["offset"], 1, "{said}");
    cluster.resume(leader);
    cluster.until_healthy().await;
    assert_eq!(by_p(&cluster, leader, "hangs", 1).await.1["offsets"][0]["duplicate"], true);
    let expected = [(0, "p-0".to_owned()), (1, "p-1".to_owned())];
    for at in 0..3 {
        assert_eq!(cluster.read_all(at, "hangs", 0).await, expected);
    }
}
