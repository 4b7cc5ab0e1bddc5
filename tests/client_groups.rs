//! Members of groups in the client library, against clusters in this process.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_cluster::{Cluster, DEADLINE};
use ottla::client::consumer::{Begin, Commits, ConsumerBuilder, OnRebalance, Rebalance, Record};
use ottla::client::{Commit, Consumer, Producer, TopicPartition};
use ottla::topic::{PartitionId, TopicName};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

const PARTITIONS: u32 = 4;
/// Less than it takes to read what is there.
const SHORT: Duration = Duration::from_millis(50);

/// What a consumer was told.
type Told = Arc<Mutex<Vec<Rebalance>>>;

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), PartitionId(partition))
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.client(0).topic("t", json!({ "partitions": PARTITIONS })).await;
    cluster
}

fn builder(cluster: &Cluster) -> ConsumerBuilder {
    let builder = Consumer::builder([cluster.address(0).to_string()]);
    builder.group("g").topics(["t"]).begin(Begin::Earliest)
}

fn with_told(builder: ConsumerBuilder) -> (Consumer, Told) {
    let told = Told::default();
    let to = Arc::clone(&told);
    let listener = move |event: &Rebalance| to.lock().unwrap().push(event.clone());
    (builder.on_rebalance(listener).build().unwrap(), told)
}

async fn produce(cluster: &Cluster, numbers: std::ops::Range<u32>) {
    let producer = Producer::builder([cluster.address(0).to_string()]).build().unwrap();
    for number in numbers {
        producer.send("t", number.to_string(), number.to_string()).await.unwrap();
    }
    producer.close().await.unwrap();
}

/// Polls all consumers in turn until `done`, keeping what came.
async fn poll_until(
    consumers: &mut [&mut Consumer],
    mut done: impl FnMut(&[&mut Consumer], &[Record]) -> bool,
) -> Vec<Record> {
    let polling = async {
        let mut records = Vec::new();
        while !done(consumers, &records) {
            for consumer in &mut *consumers {
                records.extend(consumer.poll(SHORT).await.unwrap());
            }
        }
        records
    };
    timeout(DEADLINE, polling).await.unwrap()
}

fn numbers(records: &[Record]) -> Vec<u32> {
    let mut numbers: Vec<u32> = records.iter().map(|r| r.text().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn held(consumer: &Consumer) -> BTreeSet<u32> {
    consumer.partitions().iter().map(|at| at.partition.0).collect()
}

fn all() -> BTreeSet<u32> {
    (0..PARTITIONS).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_and_what_moves_is_told_and_committed_first() {
    let cluster = cluster().await;
    let (mut first, told) = with_told(builder(&cluster));
    produce(&cluster, 0..200).await;
    let before = poll_until(&mut [&mut first], |_, records| records.len() == 200).await;
    assert_eq!(held(&first), all());

    let (mut second, second_told) = with_told(builder(&cluster));
    poll_until(&mut [&mut first, &mut second], |consumers, records| {
        assert!(records.is_empty(), "what was given out before was committed: {records:?}");
        held(consumers[0]).len() == 2 && held(consumers[1]).len() == 2
    })
    .await;
    assert!(held(&first).is_disjoint(&held(&second)));
    let moved = match &told.lock().unwrap()[..] {
        [Rebalance::Assigned(all), Rebalance::Revoked(moved)] => {
            assert_eq!(all.len(), PARTITIONS as usize);
            moved.iter().map(|at| at.partition.0).collect::<BTreeSet<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(moved, held(&second), "only what moves pauses");
    assert!(second_told.lock().unwrap().iter().all(|e| matches!(e, Rebalance::Assigned(_))));

    produce(&cluster, 200..400).await;
    let after = poll_until(&mut [&mut first, &mut second], |_, r| r.len() == 200).await;
    assert_eq!(numbers(&[before, after].concat()), (0..400).collect::<Vec<_>>());

    // Who leaves gives back what it had.
    second.close().await.unwrap();
    poll_until(&mut [&mut first], |consumers, _| held(consumers[0]) == all()).await;
    first.close().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_goes_on_at_what_was_committed() {
    let cluster = cluster().await;
    produce(&cluster, 0..100).await;
    let mut first = builder(&cluster).manual_commit().build().unwrap();
    poll_until(&mut [&mut first], |_, records| records.len() == 100).await;
    first.commit().await.unwrap();
    let position = first.position(&at(0)).unwrap();
    let mut noted = Commit::new(at(0), position);
    noted.metadata = "half".to_owned();
    first.commit_offsets(vec![noted]).await.unwrap();
    let committed = first.committed(&[at(0)]).await.unwrap();
    assert_eq!((committed[0].offset, &*committed[0].metadata), (Some(position), "half"));

    produce(&cluster, 100..120).await;
    let seen = poll_until(&mut [&mut first], |_, records| records.len() == 20).await;
    assert_eq!(numbers(&seen), (100..120).collect::<Vec<_>>());
    // These 20 are not committed, so they come again.
    first.close().await.unwrap();
    let mut second = builder(&cluster).build().unwrap();
    let again = poll_until(&mut [&mut second], |_, records| records.len() >= 20).await;
    assert_eq!(numbers(&again), (100..120).collect::<Vec<_>>());
    // Closed with automatic commits, so nothing comes again.
    second.close().await.unwrap();
    produce(&cluster, 120..121).await;
    let mut third = builder(&cluster).build().unwrap();
    let last = poll_until(&mut [&mut third], |_, records| !records.is_empty()).await;
    assert_eq!(numbers(&last), [120]);
    let committing = third.commit_async().await.unwrap();
    committing.await.unwrap();
    third.close().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_expelled_hears_what_it_lost_and_comes_again() {
    let cluster = cluster().await;
    produce(&cluster, 0..40).await;
    let (mut consumer, told) = with_told(builder(&cluster).manual_commit());
    poll_until(&mut [&mut consumer], |_, records| records.len() == 40).await;
    let group = cluster.client(0).json("/v1/groups/g").await;
    let member = group["members"][0]["member_id"].as_str().unwrap_or_else(|| panic!("{group}"));
    let path = format!("/v1/groups/g/members/{member}");
    let gone = cluster.client(0).ask(reqwest::Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let again = poll_until(&mut [&mut consumer], |_, records| records.len() == 40).await;
    assert_eq!(numbers(&again), (0..40).collect::<Vec<_>>(), "nothing was committed");
    let told = told.lock().unwrap().clone();
    let is_lost = |event: &Rebalance| matches!(event, Rebalance::Lost(lost) if lost.len() == 4);
    assert!(told.iter().any(is_lost), "{told:?}");
    consumer.close().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_name_of_its_own_comes_back_without_a_rebalance() {
    let cluster = cluster().await;
    let mut named = builder(&cluster).instance_id("one").build().unwrap();
    let (mut other, told) = with_told(builder(&cluster).instance_id("two"));
    poll_until(&mut [&mut named, &mut other], |consumers, _| {
        consumers.iter().all(|consumer| held(consumer).len() == 2)
    })
    .await;
    let (had, heard) = (held(&named), told.lock().unwrap().len());
    named.close().await.unwrap();
    let mut again = builder(&cluster).instance_id("one").build().unwrap();
    poll_until(&mut [&mut again, &mut other], |consumers, _| held(consumers[0]) == had).await;
    assert_eq!(told.lock().unwrap().len(), heard, "the other one heard nothing of it");
    again.close().await.unwrap();
    other.close().await.unwrap();
    cluster.stop().await;
}

/// Commits by itself what goes.
struct CommitsItself {
    done: Arc<Mutex<Option<Result<(), ottla::client::Error>>>>,
}

impl OnRebalance for CommitsItself {
    fn rebalance<'a>(
        &'a mut self,
        event: &'a Rebalance,
        commits: &'a Commits,
    ) -> BoxFuture<'a, ()> {
        async move {
            if let Rebalance::Revoked(partitions) = event {
                let offsets = partitions.iter().map(|at| Commit::new((**at).clone(), 1));
                let done = commits.commit(offsets.collect()).await;
                *self.done.lock().unwrap() = Some(done);
            }
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_partitions_up_can_still_commit_them() {
    let cluster = cluster().await;
    produce(&cluster, 0..40).await;
    let done = Arc::default();
    let listener = CommitsItself { done: Arc::clone(&done) };
    let mut first = builder(&cluster).manual_commit().on_rebalance(listener).build().unwrap();
    poll_until(&mut [&mut first], |_, records| records.len() == 40).await;
    let mut second = builder(&cluster).manual_commit().build().unwrap();
    let records = poll_until(&mut [&mut first, &mut second], |consumers, records| {
        held(consumers[1]).len() == 2 && !records.is_empty()
    })
    .await;
    assert_eq!(*done.lock().unwrap(), Some(Ok(())));
    let begin = |partition| records.iter().find(|r| r.partition().0 == partition).unwrap().offset;
    let partition = records[0].partition().0;
    assert_eq!(begin(partition), 1, "from what the listener committed");
    first.close().await.unwrap();
    second.close().await.unwrap();
    cluster.stop().await;
}
