//! Consumer groups on three brokers in one process: any of them does what it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod http_cluster;

use http_cluster::{Cluster, DEADLINE, eventually};
use ottla::broker::{
    Broker, CommitOffsets, Heartbeat, JoinGroup, Joined, NewOffset, NewTopic, OffsetReset, Poll,
    Polled, Produce, ResetOffsets, ResetTo,
};
use ottla::coordinator::{
    Allotment, Committer, Delivery, GroupName, InstanceId, MemberId, Subscription, TopicPartition,
    TopicPattern,
};
use ottla::error::{Error, ErrorKind};
use ottla::topic::{PartitionId, TopicName};
use raft::Acks;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use storage::batch::{Compression, Record, RecordBatch};
use tokio::time::Instant;

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn at(name: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic(name), PartitionId(partition))
}

fn topics(names: &[&str]) -> Subscription {
    Subscription::Topics(names.iter().map(|name| topic(name)).collect())
}

/// A member that is read for, begins at the beginning and commits automatically.
fn joining(name: &str, subscription: Subscription) -> JoinGroup {
    JoinGroup {
        group: group(name),
        member: None,
        instance: None,
        client: "test".into(),
        subscription,
        assignor: None,
        delivery: Delivery::Server,
        session_timeout: Some(Duration::from_secs(10)),
        rebalance_timeout: Some(Duration::from_secs(10)),
        auto_commit: true,
        auto_offset_reset: OffsetReset::Earliest,
        settings: BTreeMap::new(),
    }
}

async fn create(broker: &Broker, name: &str, partitions: u32) {
    let new = NewTopic {
        name: topic(name),
        partitions: Some(partitions),
        replication_factor: None,
        config: BTreeMap::new(),
        validate_only: false,
    };
    broker.create_topic(new, deadline()).await.unwrap();
}

async fn produce(broker: &Broker, at: &TopicPartition, values: &[&str]) -> u64 {
    let record = |value: &&str| Record {
        value: Some(value.as_bytes().to_vec().into()),
        ..Record::default()
    };
    let records: Vec<Record> = values.iter().map(record).collect();
    let produce = Produce {
        topic: at.topic.clone(),
        partition: at.partition,
        batch: RecordBatch::build(&records, Compression::None),
        acks: Acks::Quorum,
        expected_end: None,
        deadline: deadline(),
    };
    broker.produce(produce).await.unwrap().base_offset
}

/// What a poll was given: partition and value of each record, in order.
type Given = Vec<(TopicPartition, String)>;

fn take(polled: &Polled) -> Result<(Given, Vec<u64>), Error> {
    let mut given = Given::new();
    let mut next = Vec::new();
    for part in &polled.partitions {
        let mut end = part.found.from;
        for batch in &part.found.batches {
            for record in batch.decode(1 << 20).unwrap().iter_from(part.found.from as i64) {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                given.push((part.at.clone(), value));
                end = record.offset as u64 + 1;
            }
        }
        next.push(end);
    }
    Ok((given, next))
}

/// One member, through one broker.
#[derive(Clone)]
struct Member {
    broker: Broker,
    group: GroupName,
    id: MemberId,
    received: Option<u64>,
}

impl Member {
    async fn join(broker: &Broker, join: JoinGroup) -> Self {
        let group = join.group.clone();
        let joined = broker.join_group(join, deadline()).await.unwrap();
        Self { broker: broker.clone(), group, id: joined.member, received: None }
    }

    async fn try_poll(&mut self, wait: Duration) -> Result<Given, Error> {
        let poll = Poll {
            group: self.group.clone(),
            member: self.id.clone(),
            wait,
            bytes_max: 1 << 20,
            delivered: self.received,
        };
        let (given, number) = self.broker.poll(poll, take).await?;
        self.received = Some(number);
        Ok(given)
    }

    async fn poll(&mut self, wait: Duration) -> Given {
        self.try_poll(wait).await.unwrap()
    }

    /// Polls until `count` records came.
    async fn poll_for(&mut self, count: usize) -> Given {
        let mut all = Given::new();
        let end = Instant::now() + DEADLINE;
        while all.len() < count {
            assert!(Instant::now() < end, "{} of {count} records came: {all:?}", all.len());
            all.extend(self.poll(Duration::from_millis(500)).await);
        }
        all
    }

    async fn assigned(&self) -> BTreeSet<TopicPartition> {
        let view = self.broker.member(&self.group, &self.id).await.unwrap();
        view.assigned.iter().map(|place| at(&place.topic, place.partition)).collect()
    }

    async fn leave(&self) {
        self.broker.leave_group(&self.group, &self.id, deadline()).await.unwrap();
    }
}

fn values(given: &Given) -> Vec<&str> {
    given.iter().map(|(_, value)| value.as_str()).collect()
}

/// What was committed, by partition.
async fn committed(broker: &Broker, name: &str) -> BTreeMap<(String, u32), Option<u64>> {
    let rows = broker.committed_offsets(&group(name), None).await.unwrap();
    rows.into_iter().map(|row| ((row.topic, row.partition), row.offset)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_reads_through_any_node_and_goes_on_where_another_left() {
    let cluster = Cluster::start(3).await;
    create(cluster.broker(0), "t", 2).await;
    for partition in 0..2 {
        produce(cluster.broker(1), &at("t", partition), &["a", "b"]).await;
    }
    let mut member = Member::join(cluster.broker(0), joining("g", topics(&["t"]))).await;
    let mut given = member.poll_for(3).await;
    // The next poll goes through another node.
    member.broker = cluster.broker(2).clone();
    given.extend(member.poll(Duration::ZERO).await);
    given.sort();
    let expected: Given = [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
        .map(|(partition, value)| (at("t", partition), value.to_owned()))
        .into();
    assert_eq!(given, expected);
    member.leave().await;
    produce(cluster.broker(1), &at("t", 1), &["c"]).await;
    let mut other = Member::join(cluster.broker(1), joining("g", topics(&["t"]))).await;
    assert_eq!(values(&other.poll_for(1).await), ["c"]);
    cluster.stop().await;
}
