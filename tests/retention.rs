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
use std::sync::atomic::{AtomicBool, Ordering};

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
    a_consumer_keeps_up_while_both_limits_remove_behind_it: segment;
    what_is_written_slowly_ages_too: segment sled;
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

/// Reads partition 0 from the earliest record on until told to stop; what is removed before it was read is
/// passed over. Returns how many records were read, and how many were passed over.
async fn consume(cluster: &Cluster, topic: &str, stop: &AtomicBool) -> (u64, u64) {
    let (mut next, mut read, mut missed) = (None, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        let from = next.map_or("earliest".to_owned(), |next: u64| next.to_string());
        let path = format!(
            "/v1/topics/{topic}/partitions/0/records?offset={from}&wait_ms=100&max_bytes=200000"
        );
        let answer = cluster.client.get(cluster.url(1, &path)).send().await.unwrap();
        let status = answer.status();
        let page: Value = answer.json().await.unwrap();
        if status == 416 {
            // The answer says where to go on.
            let start = page["log_start_offset"].as_u64().unwrap();
            assert!(start > next.unwrap(), "{page}");
            missed += start - next.unwrap();
            next = Some(start);
            continue;
        }
        assert_eq!(status, 200, "{page}");
        for record in page["records"].as_array().unwrap() {
            let offset = record["offset"].as_u64().unwrap();
            assert!(next.is_none_or(|next| next == offset), "{offset} after {next:?}");
            next = Some(offset + 1);
            read += 1;
        }
    }
    (read, missed)
}

async fn a_consumer_keeps_up_while_both_limits_remove_behind_it(engine: &'static str) {
    let cluster = cluster(engine).await;
    let config = json!({"retention.bytes": KEPT_BYTES.to_string(), "retention.ms": "2000"});
    cluster.create_topic("followed", 1, config).await;
    let before: Vec<u64> = (0..3).map(|at| cluster.disk_bytes(at)).collect();
    let stop = AtomicBool::new(false);
    let produce = async {
        let mut most = 0;
        for round in 0..12 {
            write(&cluster, "followed", BOUND_BYTES).await;
            for at in 0..3 {
                most = most.max(cluster.disk_bytes(at).saturating_sub(before[at]));
                until_back(&cluster, at, &before, BOUND_BYTES).await;
            }
            let kept = ends_when(&cluster, "followed", "it has ends", |_, _| true).await;
            eprintln!("round {round}: offsets {kept:?}, at most {} KiB on a disk", most >> 10);
        }
        // Nothing more comes, and age takes all of it.
        let (_, end) =
            ends_when(&cluster, "followed", "all is old", |start, end| start == end).await;
        stop.store(true, Ordering::Relaxed);
        end
    };
    let (end, (read, missed)) = tokio::join!(produce, consume(&cluster, "followed", &stop));
    eprintln!("{end} written, {read} read, {missed} removed before they were read");
    assert!(read > end / 4, "the consumer reads as they are written");
    assert!(read + missed <= end);
}

async fn what_is_written_slowly_ages_too(engine: &'static str) {
    let cluster = cluster(engine).await;
    // The segment never fills, and its newest record is never old: only its age ends it.
    let config = json!({"retention.ms": "1000", "segment.ms": "500"});
    cluster.create_topic("slow", 1, config).await;
    let url = cluster.url(0, "/v1/topics/slow/partitions/0/records");
    let mut written = 0;
    eventually("old records go although new ones come", async || {
        let post = cluster.client.post(&url).json(&json!({"records": [{"value": "slow"}]}));
        written += u64::from(post.send().await.unwrap().status() == 200);
        let partition = &cluster.describe("slow").await?["partitions"][0];
        let start = partition["log_start_offset"].as_u64()?;
        (start > 0 && start < partition["high_watermark"].as_u64()?).then_some(())
    })
    .await;
    assert!(written * 200 < SEGMENT_BYTES, "{written} records do not fill a segment");
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
