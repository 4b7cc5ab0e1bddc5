//! What is forgotten: trims, purges, markers, and replicas that were away meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; the harness is shared"
)]

mod harness;
mod invariants;

use harness::{COUNT_RECORDS, Cluster, command, records, soon, until};
use raft::{FlushPolicy, Group, GroupHealth, Index, NodeId, Offset, Outcome};
use storage::EngineKind;

/// Small, so that a few records fill one.
const SEGMENT_BYTES: u64 = 4096;

async fn small_segments(engine: EngineKind) -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.engine = engine;
    cluster.segment_bytes = SEGMENT_BYTES;
    cluster.start_all().await;
    cluster.open(1, FlushPolicy::Always).await;
    cluster
}

async fn produce_many(cluster: &Cluster, count: usize) {
    let filling = "x".repeat(500);
    for number in 0..count {
        cluster.produce(1, &[&format!("{number} {filling}")]).await;
    }
}

async fn trim(cluster: &Cluster, offset: u64) {
    let group = cluster.group(cluster.leader(1).await, 1);
    let outcome = group.trim(Offset::new(offset), soon()).await;
    assert!(matches!(outcome, Outcome::Appended(_)), "{outcome:?}");
}

/// The purge point of a replica, once it has one beyond `beyond`.
async fn purged(group: &Group, beyond: Option<Index>) -> Index {
    until("the log is purged", async || {
        let purged = group.log().state().purged.map(|marker| marker.position.index);
        purged.filter(|purged| Some(*purged) > beyond)
    })
    .await
}

async fn a_follower_catches_up_through_the_marker(engine: EngineKind) {
    let mut cluster = small_segments(engine).await;
    produce_many(&cluster, 5).await;
    cluster.settle(1).await;
    let leader = cluster.leader(1).await;
    let away = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    let had = cluster.group(away, 1).log().state().last.unwrap().index;
    cluster.kill(away).await;
    produce_many(&cluster, 60).await;
    trim(&cluster, 50).await;
    for replica in cluster.replicas(1) {
        let point = purged(&replica, Some(had)).await;
        let next = replica.log().next_offset_after(point).unwrap();
        assert!(next.get() <= 50, "records from 50 on are kept");
        assert_eq!(replica.watermark().log_start.get(), 50);
    }
    cluster.start(away).await;
    cluster.settle(1).await;
    let back = cluster.group(away, 1);
    assert_eq!(purged(&back, Some(had)).await, purged(&cluster.group(leader, 1), None).await);
    assert_eq!(cluster.values(away, 1).await, cluster.values(leader, 1).await);
    assert_eq!(cluster.values(away, 1).await.len(), 15);
    invariants::check(&cluster, 1);
    // Its machine knows of the batches it never saw, from the checkpoint.
    cluster.make_lead(away, 1).await;
    let Outcome::Appended(counted) = back.propose(command(COUNT_RECORDS), soon()).await else {
        panic!("not counted")
    };
    assert_eq!(counted.answer, b"65");
    drop(back);

    // And all of it again from disk.
    cluster.kill_all().await;
    cluster.start_all().await;
    cluster.settle(1).await;
    for node in cluster.ids() {
        assert_eq!(cluster.group(node, 1).watermark().log_start.get(), 50);
        assert_eq!(cluster.values(node, 1).await.len(), 15);
    }
    assert_eq!(cluster.produce(1, &["after"]).await.get(), 65);
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_behind_the_purge_point_catches_up_through_the_marker() {
    a_follower_catches_up_through_the_marker(EngineKind::Segment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_behind_the_purge_point_catches_up_through_the_marker_on_sled() {
    a_follower_catches_up_through_the_marker(EngineKind::Sled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_beyond_the_end_stops_at_the_high_watermark() {
    let cluster = small_segments(EngineKind::Segment).await;
    produce_many(&cluster, 3).await;
    trim(&cluster, 1000).await;
    cluster.settle(1).await;
    for replica in cluster.replicas(1) {
        assert_eq!(replica.watermark().log_start.get(), 3);
        assert_eq!(replica.watermark().high_watermark.get(), 3);
    }
    trim(&cluster, 1).await;
    cluster.settle(1).await;
    assert!(cluster.replicas(1).iter().all(|group| group.watermark().log_start.get() == 3));
    assert_eq!(cluster.produce(1, &["next"]).await.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_purged_by_themselves_and_live_on_in_the_machine() {
    let mut cluster = small_segments(EngineKind::Segment).await;
    let filling = "x".repeat(500);
    let mut count = 0;
    let mut say = async |cluster: &Cluster, times: usize| {
        for _ in 0..times {
            let group = cluster.group(cluster.leader(1).await, 1);
            let outcome = group.propose(command(&filling), soon()).await;
            let Outcome::Appended(appended) = outcome else { panic!("{outcome:?}") };
            count += 1;
            assert_eq!(appended.answer, count.to_string().as_bytes());
        }
    };
    let away = NodeId(1);
    say(&cluster, 1).await;
    cluster.settle(1).await;
    cluster.kill(away).await;
    say(&cluster, 60).await;
    for replica in cluster.replicas(1) {
        let point = purged(&replica, None).await;
        assert!(point < replica.log().state().last.unwrap().index, "the last segments are kept");
    }
    cluster.start(away).await;
    cluster.settle(1).await;
    cluster.kill_all().await;
    cluster.start_all().await;
    cluster.settle(1).await;
    // Whoever leads, its machine has counted every command.
    say(&cluster, 3).await;
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_gets_the_marker_then_the_log_and_becomes_a_voter() {
    let mut cluster = Cluster::new(4);
    cluster.segment_bytes = SEGMENT_BYTES;
    cluster.start_all().await;
    cluster.open_with(1, FlushPolicy::Always, &[1, 2, 3]).await;
    produce_many(&cluster, 30).await;
    trim(&cluster, 20).await;
    let leader = cluster.group(cluster.leader(1).await, 1);
    purged(&leader, None).await;
    leader.add_learner(NodeId(4), soon()).await.unwrap();
    leader.change_voters(&[NodeId(2), NodeId(3), NodeId(4)], soon()).await.unwrap();
    until("the new voter has everything", async || {
        let (voters, _) = cluster.group(NodeId(4), 1).members();
        let values = cluster.values(NodeId(4), 1).await;
        (voters == [2, 3, 4].map(NodeId) && values.len() == 10).then_some(())
    })
    .await;
    assert_eq!(cluster.produce(1, &["next"]).await.get(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_group_leaves_nothing_behind() {
    let cluster = small_segments(EngineKind::Segment).await;
    produce_many(&cluster, 20).await;
    let before = cluster.group(NodeId(1), 1);
    cluster.node(NodeId(1)).remove(before.id()).await.unwrap();
    assert!(cluster.node(NodeId(1)).group(before.id()).is_none());
    assert_eq!(before.health(), GroupHealth::Running, "removed, not broken");
    let outcome = before.propose(records(&["late"]), soon()).await;
    assert!(matches!(outcome, Outcome::NotAppended(_)), "{outcome:?}");
}
