//! Names, members and commands for the unit tests of this floor.

use super::limits::{REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS};
use super::target::{TopicShape, Topics};
use super::{
    Command, Delivery, GroupName, MemberId, MemberSpec, Partitions, Subscription, TopicPartition,
};
use crate::topic::{PartitionId, TopicName};
use std::collections::BTreeMap;
use std::ops::Range;
use uuid::Uuid;

pub(super) fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

pub(super) fn member(id: &str) -> MemberId {
    MemberId::new(id).unwrap()
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn tp(name: &str, number: u32) -> TopicPartition {
    TopicPartition::new(topic(name), PartitionId(number))
}

pub(super) fn partitions(name: &str, numbers: Range<u32>) -> Partitions {
    numbers.map(|number| tp(name, number)).collect()
}

pub(super) fn topics_wanted(topics: &[&str]) -> Subscription {
    Subscription::Topics(topics.iter().map(|name| topic(name)).collect())
}

/// A member that fetches by itself; its first attempt.
pub(super) fn spec(id: &str, topics: &[&str]) -> MemberSpec {
    MemberSpec {
        id: member(id),
        attempt: Uuid::from_u128(1),
        instance: None,
        client: "c".into(),
        subscription: topics_wanted(topics),
        assignor: None,
        delivery: Delivery::Client,
        session_timeout_ms: SESSION_TIMEOUT_MS,
        rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
        settings: BTreeMap::new(),
    }
}

pub(super) fn join(name: &str, spec: MemberSpec) -> Command {
    Command::Join { group: group(name), spec, at_ms: 1000 }
}

/// Topics with their partition counts, at a revision; a topic's identity follows from its name.
pub(super) fn topics(revision: u64, counts: &[(&str, u32)]) -> Topics {
    let shape = |(name, partitions): &(&str, u32)| {
        let id = name.bytes().fold(1, |id, byte| id << 8 | u128::from(byte));
        (topic(name), TopicShape { id: Uuid::from_u128(id), partitions: *partitions })
    };
    Topics { revision, shapes: counts.iter().map(shape).collect() }
}
