//! Compaction with real processes, on both engines: of each key the last record stays, whoever is killed
//! meanwhile; replicas come to hold the same; the disk does not fill.
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

use harness::{Cluster, DEADLINE, Options, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The smallest there are, so that a few records fill one.
const SEGMENT_BYTES: u64 = 65_536;
const KEYS: u64 = 40;
const VALUE_BYTES: usize = 1_000;
/// Records of one write.
const WRITE_RECORDS: u64 = 20;
/// Records that are never compacted: the segment that takes entries, and one that is about to be.
const YOUNG_RECORDS: u64 = 4 * SEGMENT_BYTES / VALUE_BYTES as u64;

/// Every test runs on every engine that can pass it.
macro_rules! on_engines {
    ($($name:ident: $($engine:ident)*;)*) => {
        $(mod $name {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $engine() {
                super::$name(stringify!($engine)).await;
            })*
        })*
    };
}

on_engines! {
    readers_from_the_beginning_find_the_last_of_each_key_and_replicas_agree: segment sled;
    tombstones_go_once_they_were_kept_long_enough: segment sled;
    a_node_killed_while_it_compacts_loses_nothing: segment sled;
    // sled gives space back to its own free list first, to the file system late.
    disk_usage_is_bounded_under_constant_overwriting: segment;
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    offset: u64,
    key: String,
    /// The number that its writer gave it; none of a tombstone.
    number: Option<u64>,
}

async fn cluster(engine: &'static str) -> Cluster {
    let options = Options::three(engine)
        .with_flag("--segment-bytes", SEGMENT_BYTES)
        .with_flag("--retention-check-ms", 100);
    Cluster::start(options).await
}

/// A topic that is compacted as soon as a segment is sealed.
async fn compacted_topic(cluster: &Cluster, name: &str) {
    let config = json!({"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"});
    cluster.create_topic(name, 1, config).await;
}

async fn set(cluster: &Cluster, topic: &str, name: &str, value: &str) {
    eventually("the setting is changed", async || {
        let at = (0..3).find(|at| cluster.runs(*at))?;
        let url = cluster.url(at, &format!("/v1/topics/{topic}/config"));
        let answer = cluster.client.patch(url).json(&json!({name: value})).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

/// Partition 0 from the earliest record to the end, through any node that answers.
async fn read(client: &reqwest::Client, nodes: &[String], topic: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut from = "earliest".to_owned();
    let (started, mut round) = (Instant::now(), 0);
    loop {
        assert!(started.elapsed() < DEADLINE, "reading {topic} takes too long, at {from}");
        round += 1;
        let node = &nodes[round % nodes.len()];
        let path =
            format!("/v1/topics/{topic}/partitions/0/records?offset={from}&max_bytes=262144");
        let Ok(answer) = client.get(format!("http://{node}{path}")).send().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let status = answer.status();
        if status.is_server_error() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        assert_eq!(status, 200, "{path}: {}", answer.text().await.unwrap());
        let page: Value = answer.json().await.unwrap();
        for record in page["records"].as_array().unwrap() {
            let value = record["value"].as_str();
            let record = Found {
                offset: record["offset"].as_u64().unwrap(),
                key: record["key"].as_str().unwrap().to_owned(),
                number: value.map(|value| value.split('.').next().unwrap().parse().unwrap()),
            };
            assert!(found.last().is_none_or(|last| last.offset < record.offset), "in order, once");
            found.push(record);
        }
        let next = page["next_offset"].as_u64().unwrap();
        if next >= page["high_watermark"].as_u64().unwrap() {
            return found;
        }
        from = next.to_string();
    }
}

fn value(number: u64) -> String {
    format!("{number}.{}", "x".repeat(VALUE_BYTES))
}

/// What a writer was told.
#[derive(Default)]
struct Ledger {
    /// By offset: key and number.
    acknowledged: Mutex<BTreeMap<u64, (String, u64)>>,
    /// By key, the last number that is certainly in the log.
    last: Mutex<BTreeMap<String, u64>>,
    /// The highest number that was sent.
    sent: AtomicU64,
}

impl Ledger {
    fn last(&self) -> BTreeMap<String, u64> {
        self.last.lock().unwrap().clone()
    }

    /// Compares with what was read: of each key the last acknowledged record is there, or a later one;
    /// every record that was acknowledged is where it was said to be, or gone.
    fn check(&self, before: &BTreeMap<String, u64>, found: &[Found]) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let mut table = BTreeMap::new();
        for Found { offset, key, number } in found {
            let number = number.expect("nobody wrote a tombstone");
            if let Some(said) = acknowledged.get(offset) {
                assert_eq!(said, &(key.clone(), number), "offset {offset}");
            }
            table.insert(key.clone(), number);
        }
        let sent = self.sent.load(Ordering::Relaxed);
        for (key, number) in before {
            let read = table.get(key).unwrap_or_else(|| panic!("key {key} is gone"));
            assert!((number..=&sent).contains(&read), "key {key}: {read}, after {number}");
        }
    }
}

/// A writer that overwrites the same keys again and again, until it is stopped.
struct Writer {
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(cluster: &Cluster, topic: &str) -> Self {
        let ledger = Arc::new(Ledger::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (client, nodes) = (cluster.client.clone(), addresses(cluster));
        let path = format!("/v1/topics/{topic}/partitions/0/records?timeout_ms=2000");
        let (told, stopped) = (Arc::clone(&ledger), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let (mut number, mut round) = (0_u64, 0);
            while !stopped.load(Ordering::Relaxed) {
                let numbers = number..number + WRITE_RECORDS;
                number = numbers.end;
                told.sent.store(number, Ordering::Relaxed);
                let key = |number: u64| (number * 7 % KEYS).to_string();
                let records: Vec<Value> = numbers
                    .clone()
                    .map(|number| json!({"key": key(number), "value": value(number)}))
                    .collect();
                let url = format!("http://{}{path}", nodes[round % nodes.len()]);
                let sent = client.post(url).json(&json!({"records": records})).send().await;
                let Some(answer) = sent.ok().filter(|answer| answer.status() == 200) else {
                    // It may be in the log or not; the next numbers are later ones.
                    round += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let Ok(said) = answer.json::<Value>().await else { continue };
                let offsets = said["offsets"].as_array().unwrap();
                for (number, offset) in numbers.zip(offsets) {
                    let offset = offset["offset"].as_u64().unwrap();
                    told.acknowledged.lock().unwrap().insert(offset, (key(number), number));
                    told.last.lock().unwrap().insert(key(number), number);
                }
            }
        });
        Self { ledger, stop, task }
    }

    /// Waits until so many further records were acknowledged.
    async fn until_more(&self, more: usize) {
        let count = || self.ledger.acknowledged.lock().unwrap().len();
        let goal = count() + more;
        eventually("more is written", async || (count() >= goal).then_some(())).await;
    }

    async fn stop(self) -> Arc<Ledger> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.ledger
    }
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.nodes.iter().map(|node| node.http.clone()).collect()
}

/// Makes each node lead until all three give the same records. Nothing may be decided meanwhile; what was
/// is carried out by each replica in its own time.
async fn replicas_agree(cluster: &mut Cluster, topic: &str) -> Vec<Found> {
    let mut logs = vec![Vec::new(); 3];
    let started = Instant::now();
    for chosen in (0..3).cycle() {
        logs[chosen] = led_by(cluster, chosen, topic).await;
        if !logs[0].is_empty() && logs.iter().all(|log| *log == logs[0]) {
            break;
        }
        let counts: Vec<usize> = logs.iter().map(Vec::len).collect();
        assert!(started.elapsed() < 2 * DEADLINE, "replicas hold {counts:?} records");
    }
    logs.swap_remove(0)
}

/// What is read from a node that leads.
async fn led_by(cluster: &mut Cluster, chosen: usize, topic: &str) -> Vec<Found> {
    let (one, other) = ((chosen + 1) % 3, (chosen + 2) % 3);
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < DEADLINE, "node {chosen} does not come to lead");
        cluster.until_in_sync(topic).await;
        // Who asks for votes already is there before the one that starts.
        cluster.kill(one);
        cluster.kill(other);
        cluster.start_node(one);
        let leads = eventually("one of two leads", async || {
            let id = cluster.describe(topic).await?["partitions"][0]["leader"].as_u64()?;
            [chosen, one].into_iter().find(|at| cluster.nodes[*at].id == id)
        })
        .await;
        let log = read(&cluster.client, &addresses(cluster)[leads..=leads], topic).await;
        cluster.start_node(other);
        cluster.until_healthy().await;
        if leads == chosen {
            return log;
        }
    }
}

async fn until_compacted(cluster: &Cluster, topic: &str) {
    eventually("the log is compacted", async || {
        let found = read(&cluster.client, &addresses(cluster), topic).await;
        (found.len() as u64 <= KEYS + YOUNG_RECORDS).then_some(())
    })
    .await;
}

async fn readers_from_the_beginning_find_the_last_of_each_key_and_replicas_agree(
    engine: &'static str,
) {
    let mut cluster = cluster(engine).await;
    compacted_topic(&cluster, "table").await;
    let writer = Writer::start(&cluster, "table");
    writer.until_more(200).await;
    let ledger = Arc::clone(&writer.ledger);
    let goal = 4_000;
    let mut reads = 0;
    while ledger.acknowledged.lock().unwrap().len() < goal || reads < 5 {
        let before = ledger.last();
        let found = read(&cluster.client, &addresses(&cluster), "table").await;
        ledger.check(&before, &found);
        reads += 1;
    }
    let ledger = writer.stop().await;
    until_compacted(&cluster, "table").await;
    // From here on nothing is decided any more: what was is carried out everywhere.
    set(&cluster, "table", "min.cleanable.dirty.ratio", "1").await;
    let log = replicas_agree(&mut cluster, "table").await;
    ledger.check(&ledger.last(), &log);
    let written = ledger.acknowledged.lock().unwrap().len();
    eprintln!(
        "{engine}: {reads} reads from the beginning; of {written} records {} are left",
        log.len()
    );
    assert!(log.len() as u64 <= KEYS + YOUNG_RECORDS, "{} records", log.len());
    let next = cluster.describe("table").await.unwrap()["partitions"][0]["high_watermark"].clone();
    assert!(next.as_u64().unwrap() >= written as u64, "offsets stay");
}

async fn tombstones_go_once_they_were_kept_long_enough(engine: &'static str) {
    let mut cluster = cluster(engine).await;
    compacted_topic(&cluster, "deleted").await;
    let post = async |records: Vec<Value>| {
        eventually("a write goes through", async || {
            let url = cluster.url(0, "/v1/topics/deleted/partitions/0/records");
            let post = cluster.client.post(url).json(&json!({"records": records}));
            (post.send().await.ok()?.status() == 200).then_some(())
        })
        .await;
    };
    let keys: Vec<String> = (0..KEYS).map(|key| key.to_string()).collect();
    post(keys.iter().map(|key| json!({"key": key, "value": value(1)})).collect()).await;
    post(keys.iter().step_by(2).map(|key| json!({"key": key, "value": null})).collect()).await;
    // Other records, so that the segments with those are sealed.
    for number in 0..30 {
        post((0..10).map(|_| json!({"key": "filler", "value": value(number)})).collect()).await;
    }
    until_compacted(&cluster, "deleted").await;
    let tombstones = |found: &[Found]| -> BTreeSet<String> {
        let deleted = found.iter().filter(|record| record.number.is_none());
        deleted.map(|record| record.key.clone()).collect()
    };
    let even: BTreeSet<String> = keys.iter().step_by(2).cloned().collect();
    let found = read(&cluster.client, &addresses(&cluster), "deleted").await;
    assert_eq!(tombstones(&found), even, "a day has not passed");
    // Nothing is written any more, and they go all the same.
    set(&cluster, "deleted", "delete.retention.ms", "1").await;
    eventually("tombstones expire", async || {
        let found = read(&cluster.client, &addresses(&cluster), "deleted").await;
        tombstones(&found).is_empty().then_some(())
    })
    .await;
    set(&cluster, "deleted", "min.cleanable.dirty.ratio", "1").await;
    set(&cluster, "deleted", "delete.retention.ms", "86400000").await;
    let log = replicas_agree(&mut cluster, "deleted").await;
    let left: BTreeSet<&String> = log.iter().map(|record| &record.key).collect();
    assert!(even.iter().all(|key| !left.contains(key)), "neither tombstones nor what was deleted");
    assert!(keys.iter().skip(1).step_by(2).all(|key| left.contains(key)), "the others are there");
}

async fn a_node_killed_while_it_compacts_loses_nothing(engine: &'static str) {
    let mut cluster = cluster(engine).await;
    compacted_topic(&cluster, "killed").await;
    let writer = Writer::start(&cluster, "killed");
    for round in 0..6 {
        // Some segments' worth: there is always one that is being compacted.
        writer.until_more(400).await;
        let leader = cluster.leader("killed", 0).await;
        let victim = (leader + round % 2) % 3;
        cluster.kill(victim);
        writer.until_more(100).await;
        let before = writer.ledger.last();
        let found = read(&cluster.client, &addresses(&cluster), "killed").await;
        writer.ledger.check(&before, &found);
        cluster.start_node(victim);
        cluster.until_healthy().await;
        cluster.until_in_sync("killed").await;
    }
    let ledger = writer.stop().await;
    until_compacted(&cluster, "killed").await;
    set(&cluster, "killed", "min.cleanable.dirty.ratio", "1").await;
    let log = replicas_agree(&mut cluster, "killed").await;
    ledger.check(&ledger.last(), &log);
}

async fn disk_usage_is_bounded_under_constant_overwriting(engine: &'static str) {
    /// What may be on a disk at once: living records, what is dirty, spare files, small state.
    const BOUND_BYTES: u64 = 48 * SEGMENT_BYTES;
    let cluster = cluster(engine).await;
    compacted_topic(&cluster, "bounded").await;
    let before: Vec<u64> = (0..3).map(|at| cluster.disk_bytes(at)).collect();
    let writer = Writer::start(&cluster, "bounded");
    let started = Instant::now();
    eprintln!("  seconds  records written  MB written  KB on disk of node 1, 2, 3  log start");
    let mut most = 0;
    for _ in 0..12 {
        writer.until_more(2_000).await;
        let used = || (0..3).map(|at| cluster.disk_bytes(at).saturating_sub(before[at]));
        most = used().max().unwrap().max(most);
        eventually("the space returns", async || {
            (used().max().unwrap() < BOUND_BYTES).then_some(())
        })
        .await;
        let written = writer.ledger.acknowledged.lock().unwrap().len();
        let kib: Vec<u64> = used().map(|bytes| bytes >> 10).collect();
        let view = cluster.describe("bounded").await.unwrap();
        eprintln!(
            "  {:7.1}  {written:15}  {:10}  {kib:?}  {}",
            started.elapsed().as_secs_f64(),
            written * VALUE_BYTES / 1_000_000,
            view["partitions"][0]["log_start_offset"],
        );
    }
    let ledger = writer.stop().await;
    let found = read(&cluster.client, &addresses(&cluster), "bounded").await;
    ledger.check(&ledger.last(), &found);
    let written = ledger.acknowledged.lock().unwrap().len() as u64 * VALUE_BYTES as u64;
    eprintln!("{written} bytes written, at most {most} on a disk at once");
    assert!(written > 6 * BOUND_BYTES, "{written} bytes are enough to tell");
}
