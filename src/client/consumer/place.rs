//! Where reading begins.

use crate::client::{Client, Error};
use crate::coordinator::TopicPartition;

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first record that is there.
    Earliest,
    /// After the last one.
    Latest,
    /// This offset.
    Offset(u64),
    /// The first record with this timestamp (milliseconds since the Unix epoch) or a later one.
    Since(i64),
    /// What the group has committed, or the consumer's
    /// [`begin`](super::ConsumerBuilder::begin) if it has not.
    Committed,
}

impl Place {
    /// The offset it stands for; `group` and `begin` serve [`Place::Committed`].
    pub(super) async fn resolve(
        self,
        client: &Client,
        group: Option<&str>,
        begin: Begin,
        at: &TopicPartition,
    ) -> Result<u64, Error> {
        let (topic, partition) = (&at.topic, at.partition);
        match self {
            Self::Offset(offset) => Ok(offset),
            Self::Earliest => Ok(client.ends(topic, partition).await?.log_start),
            Self::Latest => Ok(client.ends(topic, partition).await?.high_watermark),
            Self::Since(timestamp) => client.offset_at(topic, partition, timestamp).await,
            Self::Committed => {
                let committed = match group {
                    Some(group) => client.committed(group, std::slice::from_ref(at)).await?,
                    None => Vec::new(),
                };
                match committed.first().and_then(|found| found.offset) {
                    Some(offset) => Ok(offset),
                    None => begin.resolve(client, at).await,
                }
            }
        }
    }
}

/// Where to begin, and to go on, where there is no other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// At the first record that is there.
    Earliest,
    /// After the last one (Kafka's default).
    #[default]
    Latest,
    /// Nowhere: it is an error.
    Nowhere,
}

impl Begin {
    pub(super) async fn resolve(self, client: &Client, at: &TopicPartition) -> Result<u64, Error> {
        let ends = client.ends(&at.topic, at.partition).await?;
        match self {
            Self::Earliest => Ok(ends.log_start),
            Self::Latest => Ok(ends.high_watermark),
            Self::Nowhere => {
                Err(Error::Invalid(format!("{at}: no place to begin at, and none was to be taken")))
            }
        }
    }
}
