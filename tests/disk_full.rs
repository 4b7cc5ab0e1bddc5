//! A disk that fills up under a real process: it says so, goes on with what it can, and keeps its word.
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

use harness::{Cluster, Options, eventually};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Large enough for a node's own files, small enough to be filled in a second.
const DISK_BYTES: u64 = 48 << 20;
/// Left for records once the ballast is in place.
const LEFT_BYTES: u64 = 6 << 20;
const VALUE_BYTES: usize = 100_000;

/// A file system of its own, gone when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => None,
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn free_bytes(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).unwrap();
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.path()).status().ok();
    }
}

async fn create(cluster: &Cluster, topic: &str) {
    let answer = cluster
        .client
        .put(cluster.url(0, &format!("/v1/topics/{topic}")))
        .json(&json!({"partitions": 1, "replication_factor": 1}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
}

async fn produce(cluster: &Cluster, topic: &str, value: &str) -> (u16, Value) {
    let answer = cluster
        .client
        .post(cluster.url(0, &format!("/v1/topics/{topic}/partitions/0/records?timeout_ms=5000")))
        .json(&json!({"records": [{"value": value}]}))
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_takes_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a small file system cannot be mounted here (needs root)");
        return;
    };
    let options = Options { nodes: 1, ..Options::three("segment") };
    let mut cluster = Cluster::prepare(options.with_flag("--segment-bytes", 1 << 20));
    cluster.nodes[0].data = disk.path().join("node-1");
    cluster.start_node(0);
    cluster.until_healthy().await;
    for topic in ["full", "other"] {
        create(&cluster, topic).await;
    }
    assert_eq!(produce(&cluster, "other", "kept").await.0, 200);

    let ballast = disk.path().join("ballast");
    let bytes = usize::try_from(disk.free_bytes() - LEFT_BYTES).unwrap();
    File::create(&ballast).unwrap().write_all(&vec![1; bytes]).unwrap();
    let mut acknowledged = Vec::new();
    let (status, said) = loop {
        let value = format!("{}-{}", acknowledged.len(), "z".repeat(VALUE_BYTES));
        match produce(&cluster, "full", &value).await {
            (200, said) => {
                assert_eq!(said["offsets"][0]["offset"], acknowledged.len());
                acknowledged.push(value);
            }
            refused => break refused,
        }
        assert!(acknowledged.len() < 1000, "the disk never fills");
    };
    assert!(status == 503 || status == 504, "{status}: {said}");
    assert!(said["outcome"] == "unknown" || said["outcome"] == "not_appended", "{said}");

    // From now on it is definite, and says why.
    eventually("the partition is told as broken", async || {
        let health = cluster.get(0, "/v1/cluster/health").await?;
        let broken = health["broken"].as_array()?;
        let told = broken.iter().any(|why| why.as_str().is_some_and(|w| w.starts_with("full-0")));
        (health["healthy"] == false && told).then_some(())
    })
    .await;
    let (status, said) = produce(&cluster, "full", "late").await;
    assert_eq!((status, said["outcome"].as_str()), (503, Some("not_appended")), "{said}");
    // The process lives on for its other partitions.
    assert_eq!(cluster.read_all(0, "other", 0).await, [(0, "kept".to_owned())]);

    cluster.kill(0);
    std::fs::remove_file(&ballast).unwrap();
    cluster.start_node(0);
    cluster.until_healthy().await;
    let log = cluster.read_all(0, "full", 0).await;
    assert!(log.len() <= acknowledged.len() + 1, "only the last one was unknown");
    for (at, value) in acknowledged.iter().enumerate() {
        assert_eq!(log[at], (at as u64, value.clone()));
    }
    assert_eq!(produce(&cluster, "full", "again").await.0, 200);
}
