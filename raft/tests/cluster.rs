//! Groups of a whole cluster: elections, proposals, stops, restarts, transfers.

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

use futures::future::join_all;
use harness::{Cluster, command, records, soon, until};
use raft::{
    Acks, FlushPolicy, GroupId, GroupSpec, Machine, NodeId, NotAppended, Offset, Outcome, Position,
    Proposal, Role, Roll,
};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
async fn a_command_is_answered_by_the_machine() {
    let cluster = Cluster::three().await;
    let leader = cluster.group(cluster.leader(1).await, 1);
    for count in ["1", "2", "3"] {
        let Outcome::Appended(appended) = leader.propose(command("word"), soon()).await else {
            panic!("not appended");
        };
        assert_eq!(appended.answer, count.as_bytes());
    }
}

/// Counts the machines of its kind that somebody keeps.
struct Counted(#[expect(dead_code, reason = "counted")] Arc<()>);

impl Machine for Counted {
    fn apply(&mut self, _at: Position, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn checkpoint(&self) -> Vec<u8> {
        Vec::new()
    }
    fn restore(&mut self, _state: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_opened_many_times_at_once_has_one_core() {
    let mut cluster = Cluster::new(1);
    cluster.start_all().await;
    let node = cluster.node(NodeId(1));
    let kept = Arc::new(());
    let opened = join_all((0..8).map(|_| {
        let spec = GroupSpec {
            id: GroupId::new(7),
            voters: vec![NodeId(1)],
            flush: FlushPolicy::Always,
            roll: Roll::default(),
        };
        node.open(spec, Box::new(Counted(Arc::clone(&kept))))
    }))
    .await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(Arc::strong_count(&kept), 2, "ours, and that of the one core");
    let Ok(first) = &opened[0] else { panic!("open") };
    for group in opened.iter().flatten() {
        until("it leads", async || matches!(group.role(), Role::Leading { .. }).then_some(()))
            .await;
        let outcome = group.propose(records(&["x"]), soon()).await;
        assert!(matches!(outcome, Outcome::Appended(_)), "{outcome:?}");
    }
    assert_eq!(first.watermark().high_watermark.get(), 8, "all handles are the same group");
}

/// Proposes at one replica and notes what became of each.
async fn propose_all(
    cluster: &Cluster,
    node: NodeId,
    label: &str,
    outcomes: &mut Vec<(String, Outcome)>,
) {
    for number in 0..20 {
        let value = format!("{label} {number}");
        let outcome = cluster.group(node, 1).propose(records(&[&value]), soon()).await;
        outcomes.push((value, outcome));
    }
}

/// Every replica has the same, and what was said of every proposal is true.
async fn check_all(cluster: &Cluster, before: &[String], outcomes: &[(String, Outcome)]) {
    cluster.settle(1).await;
    for node in cluster.running() {
        let after = cluster.values(node, 1).await;
        invariants::state_machine_safety::check(before, &after);
        invariants::acknowledged::check(outcomes, &after);
    }
    invariants::check(cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_takes_nothing_with_it() {
    let mut cluster = Cluster::three().await;
    let mut outcomes = Vec::new();
    let leader = cluster.leader(1).await;
    propose_all(&cluster, leader, "before", &mut outcomes).await;
    let before = cluster.values(leader, 1).await;
    cluster.stop(leader).await;
    let next = cluster.leader(1).await;
    assert_ne!(next, leader);
    propose_all(&cluster, next, "after", &mut outcomes).await;
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Appended(_))));
    cluster.start(leader).await;
    check_all(&cluster, &before, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_dies_is_replaced_before_an_election_timeout() {
    let mut cluster = Cluster::three().await;
    let mut outcomes = Vec::new();
    let leader = cluster.leader(1).await;
    propose_all(&cluster, leader, "before", &mut outcomes).await;
    let before = cluster.values(leader, 1).await;
    let killed = Instant::now();
    cluster.kill(leader).await;
    let next = cluster.leader(1).await;
    let gap = killed.elapsed();
    assert!(gap < cluster.timing.election_min + cluster.timing.election_max, "{gap:?}");
    println!("a new leader {gap:?} after the kill");
    propose_all(&cluster, next, "after", &mut outcomes).await;
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Appended(_))));
    cluster.start(leader).await;
    check_all(&cluster, &before, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_dies_as_a_whole_comes_back_with_everything() {
    let mut cluster = Cluster::three().await;
    let mut outcomes = Vec::new();
    let leader = cluster.leader(1).await;
    propose_all(&cluster, leader, "before", &mut outcomes).await;
    let before = cluster.values(leader, 1).await;
    cluster.kill_all().await;
    cluster.start_all().await;
    let leader = cluster.leader(1).await;
    propose_all(&cluster, leader, "after", &mut outcomes).await;
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Appended(_))));
    check_all(&cluster, &before, &outcomes).await;
    cluster.stop_all().await;
    cluster.start_all().await;
    check_all(&cluster, &before, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_to_the_follower_that_was_named() {
    let cluster = Cluster::three().await;
    cluster.produce(1, &["a"]).await;
    cluster.settle(1).await;
    let leader = cluster.leader(1).await;
    let to = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    cluster.make_lead(to, 1).await;
    assert_eq!(cluster.produce(1, &["b"]).await.get(), 1);
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_refuses_and_names_the_leader() {
    let cluster = Cluster::three().await;
    cluster.produce(1, &["a"]).await;
    let leader = cluster.leader(1).await;
    let follower = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    until("the follower knows its leader", async || cluster.group(follower, 1).leader()).await;
    let outcome = cluster.group(follower, 1).propose(records(&["b"]), soon()).await;
    let expected = NotAppended::NotLeader { leader: Some(leader) };
    assert_eq!(outcome, Outcome::NotAppended(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_conditional_appends_at_the_same_end_one_wins() {
    let cluster = Cluster::three().await;
    let group = cluster.group(cluster.leader(1).await, 1);
    for round in 0..5_u64 {
        let racers = (0..8).map(|racer| {
            let value = format!("round {round} racer {racer}");
            let expected_end = Some(Offset::new(round));
            let proposal = Proposal { expected_end, ..records(&[&value]) };
            group.propose(proposal, soon())
        });
        let outcomes = join_all(racers).await;
        let won = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Appended(_)));
        assert_eq!(won.count(), 1, "{outcomes:?}");
        let end = Offset::new(round + 1);
        let lost = Outcome::NotAppended(NotAppended::Conflict { end });
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == lost).count(), 7);
    }
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conditional_append_among_plain_ones_lands_exactly_where_it_said() {
    let cluster = Cluster::three().await;
    let group = cluster.group(cluster.leader(1).await, 1);
    let plain = (0..50).map(|number| {
        let group = group.clone();
        async move { (None, group.propose(records(&[&format!("plain {number}")]), soon()).await) }
    });
    let conditional = (0..50).map(|number| {
        let group = group.clone();
        async move {
            let end = group.log().state().next_offset;
            let expected_end = Some(end);
            let proposal =
                Proposal { expected_end, ..records(&[&format!("conditional {number}")]) };
            (expected_end, group.propose(proposal, soon()).await)
        }
    });
    let (plain, conditional) = tokio::join!(join_all(plain), join_all(conditional));
    for (expected, outcome) in plain.into_iter().chain(conditional) {
        match (expected, outcome) {
            (None, Outcome::Appended(_)) => {}
            (Some(expected), Outcome::Appended(at)) => assert_eq!(at.base_offset, expected),
            (Some(expected), Outcome::NotAppended(NotAppended::Conflict { end })) => {
                assert_ne!(end, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_acknowledgement_names_the_offset() {
    let cluster = Cluster::three().await;
    let group = cluster.group(cluster.leader(1).await, 1);
    for (at, acks) in [Acks::None, Acks::Leader, Acks::Quorum].into_iter().enumerate() {
        let proposal = Proposal { acks, ..records(&["value"]) };
        let Outcome::Appended(appended) = group.propose(proposal, soon()).await else {
            panic!("{acks:?}: not appended");
        };
        assert_eq!(appended.base_offset.get(), u64::try_from(at).unwrap());
    }
    cluster.settle(1).await;
    assert_eq!(group.watermark().high_watermark.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_said_to_be_busy() {
    let mut cluster = Cluster::new(3);
    cluster.proposal_bytes_max = 1000;
    cluster.start_all().await;
    cluster.open(1, FlushPolicy::Always).await;
    cluster.produce(1, &["first"]).await;
    let leader = cluster.leader(1).await;
    for node in cluster.ids().into_iter().filter(|node| *node != leader) {
        cluster.kill(node).await;
    }
    let group = cluster.group(leader, 1);
    let large = "x".repeat(900);
    let stuck = tokio::time::Instant::now() + Duration::from_millis(300);
    let (first, second) = tokio::join!(
        group.propose(records(&[&large]), stuck),
        group.propose(records(&[&large]), soon()),
    );
    assert!(matches!(first, Outcome::Unknown(_)), "{first:?}");
    assert_eq!(second, Outcome::NotAppended(NotAppended::Busy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deposed_leader_said_of_its_proposals_is_true() {
    let cluster = Cluster::three_on_wires().await;
    let mut outcomes = Vec::new();
    let old = cluster.leader(1).await;
    propose_all(&cluster, old, "before", &mut outcomes).await;
    let before = cluster.values(old, 1).await;

    cluster.isolate(old, true);
    let isolated = cluster.group(old, 1);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    let lost = (0..50).map(|number| {
        let (group, value) = (isolated.clone(), format!("isolated {number}"));
        async move {
            let wait = Duration::from_millis(40 * number);
            tokio::time::sleep(wait).await;
            let outcome = group.propose(records(&[&value]), deadline).await;
            (value, outcome)
        }
    });
    let others: Vec<NodeId> = cluster.ids().into_iter().filter(|node| *node != old).collect();
    let (lost, new) = tokio::join!(join_all(lost), cluster.leader_among(1, &others));
    let unknown = lost.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    assert!(unknown.count() > 0, "some were in its log");
    let refused = lost.iter().filter(|(_, outcome)| matches!(outcome, Outcome::NotAppended(_)));
    assert!(refused.count() > 0, "its lease ran out");
    outcomes.extend(lost);
    propose_all(&cluster, new, "after", &mut outcomes).await;
    cluster.isolate(old, false);
    check_all(&cluster, &before, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_confirms_no_reads() {
    let cluster = Cluster::three_on_wires().await;
    cluster.produce(1, &["a"]).await;
    let old = cluster.leader(1).await;
    cluster.isolate(old, true);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(500);
    assert!(cluster.group(old, 1).linearize(deadline).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_of_many_groups_spread_when_a_node_dies() {
    let mut cluster = Cluster::new(3);
    cluster.start_all().await;
    for group in 1..=30 {
        cluster.open(group, FlushPolicy::Always).await;
    }
    for group in 1..=30 {
        cluster.leader(group).await;
    }
    let killed = Instant::now();
    cluster.kill(NodeId(3)).await;
    let mut led = std::collections::BTreeMap::<NodeId, usize>::new();
    for group in 1..=30 {
        *led.entry(cluster.leader(group).await).or_default() += 1;
    }
    println!("30 groups led again {:?} after the kill: {led:?}", killed.elapsed());
    assert!(led.values().all(|count| *count > 10), "both take over some: {led:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_groups_elect() {
    const GROUPS: u64 = 300;
    let mut cluster = Cluster::new(3);
    cluster.start_all().await;
    let start = Instant::now();
    for group in 1..=GROUPS {
        cluster.open(group, FlushPolicy::Always).await;
    }
    println!("{GROUPS} groups open after {:?}", start.elapsed());
    let mut leaders = BTreeSet::new();
    for group in 1..=GROUPS {
        leaders.insert(cluster.leader(group).await);
    }
    println!("{GROUPS} groups led after {:?}", start.elapsed());
    assert_eq!(leaders.len(), 3, "every node leads some");
    invariants::election_safety::check(&cluster.history);
}
