//! One partition of one topic, and sets of them as they travel: grouped by topic, each name once.

use crate::topic::{PartitionId, TopicName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
}

/// Partitions of several topics.
pub type Partitions = BTreeSet<TopicPartition>;

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub const fn new(topic: TopicName, partition: PartitionId) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// For `#[serde(with)]`: a set as a map from topic to partition numbers.
pub(super) mod by_topic {
    use super::{PartitionId, Partitions, TopicName, TopicPartition};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(in crate::coordinator) fn serialize<S: Serializer>(
        set: &Partitions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut topics: BTreeMap<&TopicName, Vec<PartitionId>> = BTreeMap::new();
        for TopicPartition { topic, partition } in set {
            topics.entry(topic).or_default().push(*partition);
        }
        topics.serialize(serializer)
    }

    pub(in crate::coordinator) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Partitions, D::Error> {
        let topics: BTreeMap<TopicName, Vec<PartitionId>> = Deserialize::deserialize(deserializer)?;
        let of = |(topic, partitions): (TopicName, Vec<PartitionId>)| {
            partitions.into_iter().map(move |number| TopicPartition::new(topic.clone(), number))
        };
        Ok(topics.into_iter().flat_map(of).collect())
    }
}

/// The most bytes [`by_topic`] makes of a set.
pub(super) fn encoded_bytes_max(set: &Partitions) -> usize {
    let mut bytes = LENGTH_BYTES_MAX;
    let mut last: Option<&TopicName> = None;
    for TopicPartition { topic, .. } in set {
        if last != Some(topic) {
            bytes += topic.as_str().len() + 2 * LENGTH_BYTES_MAX;
            last = Some(topic);
        }
        bytes += NUMBER_BYTES_MAX;
    }
    bytes
}

/// The most bytes the codec makes of a length, and the most its limit counts for one: it counts a number
/// by the width of its type, however few bytes it takes. All bounds here hold for both.
pub(super) const LENGTH_BYTES_MAX: usize = 9;
/// The same of a partition's number.
const NUMBER_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Set(#[serde(with = "by_topic")] Partitions);

    proptest! {
        #[test]
        fn a_set_comes_back_and_is_as_small_as_promised(
            rows: BTreeSet<(u8, u32)>,
        ) {
            let name = |topic: u8| TopicName::new(&format!("topic-{topic}")).unwrap();
            let set: Partitions = rows
                .into_iter()
                .map(|(topic, number)| TopicPartition::new(name(topic), PartitionId(number)))
                .collect();
            let bytes = storage::codec::encode(&Set(set.clone()));
            prop_assert!(bytes.len() <= 1 + encoded_bytes_max(&set));
            prop_assert_eq!(storage::codec::decode::<Set>(&bytes).unwrap(), Set(set));
        }
    }
}
