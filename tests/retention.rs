//! Retention with real processes: what is too old or too much goes on every replica, and its space
//! returns.
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

use harness::{Cluster, Options, eventually, on_engines};
use serde_json::{Value, json};

/// The smallest there are, so that a few records fill one.
const SEGMENT_BYTES: u64 = 65_536;
/// What `retention.bytes` keeps in these tests: some segments.
const KEPT_BYTES: u64 = 8 * SEGMENT_BYTES;
/// What is kept, and room for what a purge has not reached yet, spare files and small state.
const BOUND_BYTES: u64 = 4 * KEPT_BYTES;
const VALUE_BYTES: u64 = 1_000;
/// Records of one write.
const WRITE_RECORDS: u64 = 20;

on_engines! {
    // sled gives space back to its own free list first, to the file system late.
    retention_by_size_keeps_disk_usage_bounded: segment;
    retention_by_time_removes_everything_old: segment sled;
    retention_changed_at_run_time_takes_effect: segment sled;
    a_follower_restarted_after_trims_begins_where_the_others_do: segment sled;
}

async fn cluster(engine: &'static str) -> Cluster {
    let options = Options::three(engine)
        .with_flag("--segment-bytes", SEGMENT_BYTES)
        .with_flag("--retention-check-ms", 200);
    Cluster::start(options).await
}

/// Writes at least so many bytes of values to partition 0.
async fn write(cluster: &Cluster, topic: &str, bytes: u64) {
    let value = "x".repeat(usize::try_from(VALUE_BYTES).unwrap());
    let records: Vec<Value> = (0..WRITE_RECORDS).map(|_| json!({"value": value})).collect();
    let at = (0..3).find(|at| cluster.runs(*at)).unwrap();
    let url = cluster.url(at, &format!("/v1/topics/{topic}/partitions/0/records"));
    for _ in 0..bytes.div_ceil(WRITE_RECORDS * VALUE_BYTES) {
        eventually("a write goes through", async || {
            let post = cluster.client.post(&url).json(&json!({"records": records}));
            (post.send().await.unwrap().status() == 200).then_some(())
        })
        .await;
    }
}

/// Log start and high watermark of partition 0, once they fit.
async fn ends_when(
    cluster: &Cluster,
    topic: &str,
    what: &str,
    fits: impl Fn(u64, u64) -> bool,
) -> (u64, u64) {
    eventually(what, async || {
        let partition = &cluster.describe(topic).await?["partitions"][0];
        let start = partition["log_start_offset"].as_u64()?;
        let end = partition["high_watermark"].as_u64()?;
        fits(start, end).then_some((start, end))
    })
    .await
}

/// Sets a setting of the topic at run time.
async fn set(cluster: &Cluster, topic: &str, name: &str, value: &str) {
    let url = cluster.url(1, &format!("/v1/topics/{topic}/config"));
    let answer = cluster.client.patch(url).json(&json!({name: value})).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// Waits until a node holds less than `more` bytes on disk above what it held `before`.
async fn until_back(cluster: &Cluster, at: usize, before: &[u64], more: u64) {
    eventually("the space returns", async || {
        (cluster.disk_bytes(at) < before[at] + more).then_some(())
    })
    .await;
}

async fn retention_by_size_keeps_disk_usage_bounded(engine: &'static str) {
    let cluster = cluster(engine).await;
    cluster.create_topic("sized", 1, json!({"retention.bytes": KEPT_BYTES.to_string()})).await;
    let before: Vec<u64> = (0..3).map(|at| cluster.disk_bytes(at)).collect();
    let mut most = 0;
    for _ in 0..20 {
        write(&cluster, "sized", BOUND_BYTES).await;
        for at in 0..3 {
            most = most.max(cluster.disk_bytes(at).saturating_sub(before[at]));
            until_back(&cluster, at, &before, BOUND_BYTES).await;
        }
    }
    eprintln!("{} bytes written, at most {most} on a disk at once", 20 * BOUND_BYTES);
    let (start, end) = ends_when(&cluster, "sized", "it has ends", |_, _| true).await;
    assert!(end * VALUE_BYTES >= 20 * BOUND_BYTES);
    assert!((end - start) * VALUE_BYTES >= KEPT_BYTES * 9 / 10, "{start}..{end}: enough is kept");
}

async fn retention_by_time_removes_everything_old(engine: &'static str) {
    let cluster = cluster(engine).await;
    let before: Vec<u64> = (0..3).map(|at| cluster.disk_bytes(at)).collect();
    cluster.create_topic("aged", 1, json!({"retention.ms": "500"})).await;
    write(&cluster, "aged", BOUND_BYTES).await;
    // The active segment too, though nothing comes that would fill it.
    let (_, end) = ends_when(&cluster, "aged", "all is removed", |start, end| start == end).await;
    assert!(end * VALUE_BYTES >= BOUND_BYTES, "offsets stay");
    if engine == "segment" {
        for at in 0..3 {
            until_back(&cluster, at, &before, BOUND_BYTES / 2).await;
        }
    }
    let path = "/v1/topics/aged/partitions/0/records?offset=0";
    let answer = cluster.client.get(cluster.url(2, path)).send().await.unwrap();
    assert_eq!(answer.status(), 416);
    let said: Value = answer.json().await.unwrap();
    let range = format!("{end}..={end}");
    assert!(said["message"].as_str().unwrap().contains(&range), "{said} names {range}");
}

async fn retention_changed_at_run_time_takes_effect(engine: &'static str) {
    let cluster = cluster(engine).await;
    cluster.create_topic("changed", 1, json!({"retention.ms": "-1"})).await;
    write(&cluster, "changed", BOUND_BYTES).await;
    let (start, end) = ends_when(&cluster, "changed", "it has ends", |_, _| true).await;
    assert_eq!(start, 0, "nothing goes without a limit");
    set(&cluster, "changed", "retention.bytes", &KEPT_BYTES.to_string()).await;
    let (start, _) = ends_when(&cluster, "changed", "size counts", |start, _| start > 0).await;
    assert!((end - start) * VALUE_BYTES >= KEPT_BYTES * 9 / 10, "{start}..{end}: enough is kept");
    set(&cluster, "changed", "retention.ms", "1").await;
    ends_when(&cluster, "changed", "age counts", |start, at| start == end && at == end).await;
}

async fn a_follower_restarted_after_trims_begins_where_the_others_do(engine: &'static str) {
    let mut cluster = cluster(engine).await;
    cluster.create_topic("restarted", 1, json!({"retention.bytes": KEPT_BYTES.to_string()})).await;
    write(&cluster, "restarted", BOUND_BYTES).await;
    let leader = cluster.leader("restarted", 0).await;
    let (first, second) = ((leader + 1) % 3, (leader + 2) % 3);
    // One was there for the trims, the other sleeps through some of them.
    ends_when(&cluster, "restarted", "it was trimmed", |start, _| start > 0).await;
    cluster.kill(second);
    let (before, _) = ends_when(&cluster, "restarted", "it has ends", |_, _| true).await;
    write(&cluster, "restarted", BOUND_BYTES).await;
    ends_when(&cluster, "restarted", "it was trimmed again", |start, _| start > before).await;
    cluster.kill(first);
    cluster.start_node(first);
    cluster.start_node(second);
    cluster.until_healthy().await;
    cluster.until_in_sync("restarted").await;
    // No further trim is begun, so that what each has is the same.
    set(&cluster, "restarted", "retention.bytes", "-1").await;
    let log = cluster.read_all(leader, "restarted", 0).await;
    assert!(log[0].0 > before);
    // Each of them in turn leads, or follows a leader that is as fresh: all begin at the same record.
    cluster.kill(leader);
    let settled = cluster.read_all(first, "restarted", 0).await;
    // A trim that was on its way when retention was lifted may still have come.
    assert!(log.ends_with(&settled) && !settled.is_empty(), "from {}", settled[0].0);
    cluster.start_node(leader);
    cluster.until_healthy().await;
    cluster.until_in_sync("restarted").await;
    cluster.kill(cluster.leader("restarted", 0).await);
    let at = (0..3).find(|at| cluster.runs(*at)).unwrap();
    let read = cluster.read_all(at, "restarted", 0).await;
    assert!(read == settled, "from {} instead of {}", read[0].0, settled[0].0);
}
