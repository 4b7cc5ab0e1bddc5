//! Members of consumer groups and what they consume, against brokers in the test's own process.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use super::http_cluster::{DEADLINE, eventually};
use ottla::broker::{
    Broker, CommitOffsets, Heartbeat, JoinGroup, NewOffset, NewTopic, OffsetReset, Poll, Polled,
    Produce,
};
use ottla::coordinator::{
    Allotment, Committer, Delivery, GroupName, MemberId, Subscription, TopicPartition,
};
use ottla::error::Error;
use ottla::topic::{PartitionId, TopicName};
use raft::Acks;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use storage::batch::{Compression, Record, RecordBatch};
use tokio::time::Instant;

pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

pub fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub fn at(name: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic(name), PartitionId(partition))
}

pub fn topics(names: &[&str]) -> Subscription {
    Subscription::Topics(names.iter().map(|name| topic(name)).collect())
}

/// A member that is read for, begins at the beginning and commits automatically.
pub fn joining(name: &str, subscription: Subscription) -> JoinGroup {
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

pub async fn create(broker: &Broker, name: &str, partitions: u32) {
    let new = NewTopic {
        name: topic(name),
        partitions: Some(partitions),
        replication_factor: None,
        config: BTreeMap::new(),
        validate_only: false,
    };
    broker.create_topic(new, deadline()).await.unwrap();
}

pub async fn produce(broker: &Broker, at: &TopicPartition, values: &[&str]) -> u64 {
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
pub type Given = Vec<(TopicPartition, String)>;

#[allow(clippy::unnecessary_wraps, reason = "the shape that a poll calls")]
pub fn take(polled: &Polled) -> Result<(Given, Vec<u64>), Error> {
    let mut given = Given::new();
    let mut next = Vec::new();
    for part in &polled.partitions {
        let mut end = part.found.from;
        for batch in &part.found.batches {
            for record in batch.decode(1 << 20).unwrap().iter_from(part.found.from.cast_signed()) {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                given.push((part.at.clone(), value));
                end = record.offset.cast_unsigned() + 1;
            }
        }
        next.push(end);
    }
    Ok((given, next))
}

/// One member, through one broker.
#[derive(Clone)]
pub struct Member {
    pub broker: Broker,
    pub group: GroupName,
    pub id: MemberId,
    pub received: Option<u64>,
}

impl Member {
    pub async fn join(broker: &Broker, join: JoinGroup) -> Self {
        let group = join.group.clone();
        let joined = broker.join_group(join, deadline()).await.unwrap();
        Self { broker: broker.clone(), group, id: joined.member, received: None }
    }

    pub async fn try_poll(&mut self, wait: Duration) -> Result<Given, Error> {
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

    pub async fn poll(&mut self, wait: Duration) -> Given {
        self.try_poll(wait).await.unwrap()
    }

    /// Polls until `count` records came.
    pub async fn poll_for(&mut self, count: usize) -> Given {
        let mut all = Given::new();
        let end = Instant::now() + DEADLINE;
        while all.len() < count {
            assert!(Instant::now() < end, "{} of {count} records came: {all:?}", all.len());
            all.extend(self.poll(Duration::from_millis(500)).await);
        }
        all
    }

    pub async fn assigned(&self) -> BTreeSet<TopicPartition> {
        let view = self.broker.member(&self.group, &self.id).await.unwrap();
        view.assigned.iter().map(|place| at(&place.topic, place.partition)).collect()
    }

    /// Polls until it has what it should; what comes meanwhile is dropped.
    pub async fn poll_until(
        &mut self,
        what: &str,
        has: impl Fn(&BTreeSet<TopicPartition>) -> bool,
    ) {
        eventually(what, async || {
            self.poll(Duration::from_millis(100)).await;
            has(&self.assigned().await).then_some(())
        })
        .await;
    }

    pub async fn leave(&self) {
        self.broker.leave_group(&self.group, &self.id, deadline()).await.unwrap();
    }
}

pub fn values(given: &Given) -> Vec<&str> {
    given.iter().map(|(_, value)| value.as_str()).collect()
}

/// What was committed, by partition.
pub async fn committed(broker: &Broker, name: &str) -> BTreeMap<(String, u32), Option<u64>> {
    let rows = broker.committed_offsets(&group(name), None).await.unwrap();
    rows.into_iter().map(|row| ((row.topic, row.partition), row.offset)).collect()
}

/// A member that fetches by itself.
pub struct Client {
    pub broker: Broker,
    pub group: GroupName,
    pub id: MemberId,
    pub allotment: Allotment,
}

impl Client {
    pub async fn join(broker: &Broker, join: JoinGroup) -> Self {
        let join = JoinGroup { delivery: Delivery::Client, ..join };
        let group = join.group.clone();
        let joined = broker.join_group(join, deadline()).await.unwrap();
        Self { broker: broker.clone(), group, id: joined.member, allotment: joined.allotment }
    }

    pub async fn try_beat(&mut self, generation: Option<u32>) -> Result<Allotment, Error> {
        let beat = Heartbeat {
            group: self.group.clone(),
            member: self.id.clone(),
            generation,
            wait: Duration::ZERO,
        };
        self.broker.heartbeat(beat, deadline()).await
    }

    /// Acknowledges what it was told, and hears what it has.
    pub async fn beat(&mut self) {
        self.allotment = self.try_beat(Some(self.allotment.generation)).await.unwrap();
    }

    /// Beats until it is told so.
    pub async fn beat_until(&mut self, what: &str, told: impl Fn(&Allotment) -> bool) {
        eventually(what, async || {
            self.beat().await;
            told(&self.allotment).then_some(())
        })
        .await;
    }

    pub async fn commit(
        &self,
        generation: u32,
        at: &TopicPartition,
        offset: u64,
    ) -> Result<(), Error> {
        let by = Committer::Member { id: self.id.clone(), generation: Some(generation) };
        commit(&self.broker, &self.group, by, at, offset).await
    }
}

pub async fn commit(
    broker: &Broker,
    group: &GroupName,
    by: Committer,
    at: &TopicPartition,
    offset: u64,
) -> Result<(), Error> {
    let offset = NewOffset { at: at.clone(), offset, metadata: String::new(), leader_epoch: None };
    let commit = CommitOffsets { group: group.clone(), by, offsets: vec![offset] };
    broker.commit_offsets(commit, deadline()).await
}
