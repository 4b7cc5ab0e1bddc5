//! Groups of a whole cluster: elections, proposals, stops, purges.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;
mod invariants;

use harness::{Cluster, records, soon};
use raft::{NodeId, Outcome};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_is_led_by_its_preferred_leader() {
    let cluster = Cluster::three().await;
    assert_eq!(cluster.leader(1).await, NodeId(2));
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_read_on_every_replica() {
    let cluster = Cluster::three().await;
    assert_eq!(cluster.produce(1, &["a", "b"]).await.get(), 0);
    assert_eq!(cluster.produce(1, &["c"]).await.get(), 2);
    cluster.settle(1).await;
    for node in cluster.ids() {
        assert_eq!(cluster.values(node, 1).await, ["a", "b", "c"]);
    }
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_takes_nothing_acknowledged_with_it() {
    let mut cluster = Cluster::three().await;
    let mut outcomes = Vec::new();
    let leader = cluster.leader(1).await;
    for number in 0..20 {
        let value = format!("before {number}");
        let outcome = cluster.group(leader, 1).propose(records(&[&value]), soon()).await;
        outcomes.push((value, outcome));
    }
    let before = cluster.values(leader, 1).await;
    cluster.stop(leader).await;
    let next = cluster.leader(1).await;
    assert_ne!(next, leader);
    for number in 0..20 {
        let value = format!("after {number}");
        let outcome = cluster.group(next, 1).propose(records(&[&value]), soon()).await;
        assert!(matches!(outcome, Outcome::Appended(_)), "{outcome:?}");
        outcomes.push((value, outcome));
    }
    cluster.start(leader).await;
    cluster.settle(1).await;
    for node in cluster.ids() {
        let after = cluster.values(node, 1).await;
        invariants::state_machine_safety::check(&before, &after);
        invariants::acknowledged::check(&outcomes, &after);
    }
    invariants::check(&cluster, 1);
}
