//! Moving a group that is at rest: where each partition would go is found first, then committed at once.
//!
//! | to | goes to |
//! |---|---|
//! | the earliest, the latest | the log start, the end |
//! | an offset | it, or the nearest that the log has |
//! | a timestamp, a duration ago | the first record since; the end, if there is none |
//! | a shift | so far from what is committed (from the log start, without), within the log |

use super::request::{NewOffset, ResetOffsets, ResetRow, ResetTo};
use crate::broker::{Broker, Fetch, FetchFrom, Freshness};
use crate::coordinator::{Committer, TopicPartition};
use crate::error::Error;
use crate::partition::Tail;
use crate::topic::PartitionId;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Partitions that are looked at at the same time.
const PARTITIONS_AT_ONCE: usize = 16;

impl Broker {
    /// Moves the committed offsets of a group without members, or tells where they would go.
    pub async fn reset_offsets(
        &self,
        reset: ResetOffsets,
        deadline: Instant,
    ) -> Result<Vec<ResetRow>, Error> {
        let stored = self.committed_offsets(&reset.group, None).await?;
        let stored: BTreeMap<(String, u32), u64> = stored
            .into_iter()
            .filter_map(|row| Some(((row.topic, row.partition), row.offset?)))
            .collect();
        let places = self.places(&reset, stored.keys())?;
        let since_ms = Timestamp::now().as_millisecond();
        let rows: Vec<(TopicPartition, Option<u64>, u64)> = stream::iter(places)
            .map(|at| {
                let from = stored.get(&(at.topic.to_string(), at.partition.0)).copied();
                let to = reset.to;
                async move {
                    let goes_to = self.goes_to(&at, from, to, since_ms).await?;
                    Ok::<_, Error>((at, from, goes_to))
                }
            })
            .buffered(PARTITIONS_AT_ONCE)
            .try_collect()
            .await?;
        if !reset.dry_run && !rows.is_empty() {
            let offset = |(at, _, to): &(TopicPartition, Option<u64>, u64)| NewOffset {
                at: at.clone(),
                offset: *to,
                metadata: String::new(),
                leader_epoch: None,
            };
            let offsets = rows.iter().map(offset).collect();
            self.store_offsets(&reset.group, Committer::Operator, offsets, deadline).await?;
        }
        let row = |(at, from, to): (TopicPartition, Option<u64>, u64)| ResetRow {
            topic: at.topic.to_string(),
            partition: at.partition.0,
            from,
            to,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The partitions that are meant.
    fn places<'a>(
        &self,
        reset: &ResetOffsets,
        stored: impl Iterator<Item = &'a (String, u32)>,
    ) -> Result<BTreeSet<TopicPartition>, Error> {
        let image = self.inner.image();
        let mut places = BTreeSet::new();
        for name in &reset.topics {
            let count = image.topic(name)?.partition_count();
            let all =
                (0..count).map(|number| TopicPartition::new(name.clone(), PartitionId(number)));
            places.extend(all);
        }
        for at in &reset.partitions {
            image.partition(&at.topic, at.partition)?;
            places.insert(at.clone());
        }
        if reset.topics.is_empty() && reset.partitions.is_empty() {
            for (topic, partition) in stored {
                let name = crate::topic::TopicName::new(topic)?;
                places.insert(TopicPartition::new(name, PartitionId(*partition)));
            }
        }
        Ok(places)
    }

    async fn goes_to(
        &self,
        at: &TopicPartition,
        from: Option<u64>,
        to: ResetTo,
        now_ms: i64,
    ) -> Result<u64, Error> {
        let tail = self.tail(&at.topic, at.partition, Freshness::Linearizable).await?;
        match to {
            ResetTo::Earliest | ResetTo::Latest | ResetTo::Offset(_) | ResetTo::Shift(_) => {
                Ok(within(tail, from, to))
            }
            ResetTo::Timestamp(since) => self.find(at, FetchFrom::Timestamp(since)).await,
            ResetTo::Duration(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                self.find(at, FetchFrom::Timestamp(now_ms.saturating_sub(ago))).await
            }
        }
    }

    /// The offset that a fetch would begin at.
    pub(super) async fn find(&self, at: &TopicPartition, from: FetchFrom) -> Result<u64, Error> {
        let fetch = Fetch {
            topic: at.topic.clone(),
            partition: at.partition,
            from,
            bytes_max: 1,
            bytes_min: 0,
            wait: Duration::ZERO,
            freshness: Freshness::Linearizable,
        };
        Ok(self.fetch(fetch).await?.from)
    }
}

/// Where a reset goes that depends on the ends of the log only.
fn within(tail: Tail, from: Option<u64>, to: ResetTo) -> u64 {
    let (start, end) = (tail.log_start, tail.high_watermark);
    match to {
        ResetTo::Earliest => start,
        ResetTo::Offset(offset) => offset.clamp(start, end),
        ResetTo::Shift(by) => from.unwrap_or(start).saturating_add_signed(by).clamp(start, end),
        ResetTo::Latest | ResetTo::Timestamp(_) | ResetTo::Duration(_) => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::NodeId;

    #[test]
    fn a_reset_stays_within_the_log() {
        let tail = Tail { log_start: 10, high_watermark: 50, leader: NodeId(1), leader_epoch: 1 };
        for (from, to, expected) in [
            (Some(30), ResetTo::Earliest, 10),
            (Some(30), ResetTo::Latest, 50),
            (Some(30), ResetTo::Offset(20), 20),
            (None, ResetTo::Offset(3), 10),
            (None, ResetTo::Offset(99), 50),
            (Some(30), ResetTo::Shift(-5), 25),
            (Some(30), ResetTo::Shift(-25), 10),
            (Some(30), ResetTo::Shift(i64::MIN), 10),
            (Some(30), ResetTo::Shift(i64::MAX), 50),
            (None, ResetTo::Shift(7), 17),
        ] {
            assert_eq!(within(tail, from, to), expected, "{from:?} {to:?}");
        }
    }
}
