//! A record on its way out.

use crate::coordinator::TopicPartition;
use crate::topic::{PartitionId, TopicName};
use bytes::Bytes;
use std::sync::Arc;
use storage::batch::{RecordHeader, RecordRef};

/// A record that was read. Key, value and headers share the memory of their batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub at: Arc<TopicPartition>,
    /// Its offset there.
    pub offset: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order, names may come twice.
    pub headers: Vec<RecordHeader>,
}

impl Record {
    pub(super) fn of(at: &Arc<TopicPartition>, record: &RecordRef<'_>) -> Option<Self> {
        let offset = u64::try_from(record.offset).ok()?;
        let record = record.to_record();
        let storage::batch::Record { timestamp, key, value, headers } = record;
        Some(Self { at: Arc::clone(at), offset, timestamp, key, value, headers })
    }

    /// Its topic.
    pub fn topic(&self) -> &TopicName {
        &self.at.topic
    }

    /// Its partition's number.
    pub fn partition(&self) -> PartitionId {
        self.at.partition
    }

    /// The key as text; empty without one, with what is not UTF-8 replaced.
    pub fn key_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default())
    }

    /// The value as text; empty for a tombstone, with what is not UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default())
    }
}
