//! A record on its way in: it borrows what it is made of, since a producer copies it into a batch.

use crate::topic::PartitionId;

/// A record to be sent.
///
/// ```
/// use ottla::client::producer::NewRecord;
///
/// let tombstone = NewRecord::to("orders").key("ada");
/// let record = NewRecord::to("orders").key("ada").value("tea").header("source", "web");
/// assert!(record.bytes() > tombstone.bytes());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` lets the partitioner choose.
    pub partition: Option<PartitionId>,
    /// Milliseconds since the Unix epoch; `None` is when it is sent.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order; names may come twice.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl<'a> NewRecord<'a> {
    /// A record with nothing in it.
    pub const fn to(topic: &'a str) -> Self {
        Self {
            topic,
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// With a key: records of one key go to one partition.
    #[must_use]
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// With a value.
    #[must_use]
    pub fn value(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.headers.push((name, Some(value.as_ref())));
        self
    }

    /// To this partition, whatever its key.
    #[must_use]
    pub const fn partition(mut self, partition: PartitionId) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With a timestamp of its own, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        let length = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        length(self.key) + length(self.value) + headers.sum::<usize>()
    }
}
