//! Proposals that keep an order, and what their witnesses hear.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test fails by panicking; the harness is shared"
)]

mod harness;
mod invariants;

use futures::FutureExt;
use harness::{Cluster, records, soon, until};
use raft::{NotAppended, Offset, Ordered, Outcome, Role, Term, Witness};
use std::sync::{Arc, Mutex};

/// What a witness was told, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Handed,
    Placed(u64),
    Gone,
}

/// Notes what it is told, its own end too.
struct Notes(Arc<Mutex<Vec<Told>>>);

impl Witness for Notes {
    fn handed(&self) {
        self.0.lock().unwrap().push(Told::Handed);
    }
    fn placed(&self, base_offset: Offset) {
        self.0.lock().unwrap().push(Told::Placed(base_offset.get()));
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(Told::Gone);
    }
}

fn ordered(term: Term) -> (Ordered, Arc<Mutex<Vec<Told>>>) {
    let told = Arc::default();
    (Ordered { term, witness: Arc::new(Notes(Arc::clone(&told))) }, told)
}

async fn all_of(told: &Mutex<Vec<Told>>) -> Vec<Told> {
    until("the witness is let go", async || {
        let told = told.lock().unwrap().clone();
        (told.last() == Some(&Told::Gone)).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_hears_where_its_proposal_stands_and_when_it_is_over() {
    let cluster = Cluster::three().await;
    cluster.produce(1, &["a"]).await;
    let leader = cluster.group(cluster.leader(1).await, 1);
    let term = leader.leading(soon()).await.unwrap();
    let (order, told) = ordered(term);
    let outcome = leader.propose_ordered(records(&["b"]), order, soon()).await;
    let Outcome::Appended(appended) = outcome else { panic!("{outcome:?}") };
    assert_eq!((appended.base_offset.get(), appended.position.term), (1, term));
    assert_eq!(all_of(&told).await, [Told::Handed, Told::Placed(1), Told::Gone]);
    invariants::check(&cluster, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_another_term_is_refused_and_its_witness_told_nothing() {
    let cluster = Cluster::three().await;
    let leader = cluster.group(cluster.leader(1).await, 1);
    let term = leader.leading(soon()).await.unwrap();
    for other in [Term::new(term.get() - 1), term.next()] {
        let (order, told) = ordered(other);
        let outcome = leader.propose_ordered(records(&["x"]), order, soon()).await;
        let expected = NotAppended::NotLeader { leader: None };
        assert_eq!(outcome, Outcome::NotAppended(expected));
        assert_eq!(all_of(&told).await, [Told::Gone]);
    }
    cluster.settle(1).await;
    assert!(cluster.values(leader_of(&cluster).await, 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_outlives_a_proposer_that_gave_up() {
    let cluster = Cluster::three().await;
    let leader = cluster.group(cluster.leader(1).await, 1);
    let term = leader.leading(soon()).await.unwrap();
    let (order, told) = ordered(term);
    // Far enough to be in the core's hands, then dropped.
    let proposing = leader.propose_ordered(records(&["kept"]), order, soon());
    let early = Box::pin(proposing).now_or_never();
    assert!(early.is_none(), "{early:?}");
    let told = all_of(&told).await;
    // Dropped before the core had it, or appended without it: never something between.
    cluster.settle(1).await;
    let values = cluster.values(leader_of(&cluster).await, 1).await;
    match told.as_slice() {
        [Told::Gone] => assert!(values.is_empty(), "{values:?}"),
        [Told::Handed, Told::Placed(0), Told::Gone] => assert_eq!(values, ["kept"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deposed_leader_placed_may_be_nowhere() {
    let mut cluster = Cluster::three_on_wires().await;
    cluster.produce(1, &["a"]).await;
    let old = cluster.leader(1).await;
    let group = cluster.group(old, 1);
    let term = group.leading(soon()).await.unwrap();
    cluster.isolate(old, true);
    let (order, told) = ordered(term);
    let proposing = tokio::spawn({
        let group = group.clone();
        async move { group.propose_ordered(records(&["lost"]), order, soon()).await }
    });
    until("it is placed", async || (told.lock().unwrap().len() == 2).then_some(())).await;
    let others: Vec<_> = cluster.ids().into_iter().filter(|node| *node != old).collect();
    let new = cluster.leader_among(1, &others).await;
    let taken = cluster.group(new, 1).propose(records(&["b"]), soon()).await;
    assert!(matches!(taken, Outcome::Appended(_)), "{taken:?}");
    cluster.isolate(old, false);
    let outcome = proposing.await.unwrap();
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert_eq!(all_of(&told).await, [Told::Handed, Told::Placed(1), Told::Gone]);
    until("the old one follows", async || {
        matches!(group.role(), Role::Following { .. }).then_some(())
    })
    .await;
    cluster.settle(1).await;
    assert_eq!(cluster.values(old, 1).await, ["a", "b"]);
    drop(group);
    cluster.stop_all().await;
}

async fn leader_of(cluster: &Cluster) -> raft::NodeId {
    cluster.leader(1).await
}
