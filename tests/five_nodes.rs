//! Five nodes with five replicas: two may die, and nothing is lost or stopped.
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

use harness::load::Load;
use harness::{Cluster, Options};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn of_five_replicas_two_may_die() {
    let options = Options { nodes: 5, ..Options::three("segment") };
    let mut cluster = Cluster::start(options).await;
    let answer = cluster
        .client
        .put(cluster.url(3, "/v1/topics/five"))
        .json(&json!({"partitions": 2, "replication_factor": 5}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    let load = Load::start(&cluster, "five", 2);
    load.until_more(100).await;
    for partition in 0..2 {
        let leader = cluster.leader("five", partition).await;
        cluster.kill(leader);
        load.until_more(100).await;
    }
    let ledger = load.stop().await;
    for partition in 0..2 {
        for at in (0..5).filter(|at| cluster.runs(*at)) {
            ledger.check(partition, &cluster.read_all(at, "five", partition).await);
        }
    }
}
