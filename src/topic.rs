//! Names and settings of topics: plain values, checked where they are made.

use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most partitions a topic can have.
pub const PARTITIONS_MAX: u32 = 1000;
/// Longest topic name in bytes (Kafka's limit).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// A topic's name: `[a-zA-Z0-9._-]{1,249}`, neither `.` nor `..` (Kafka's rule).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(String);

impl TopicName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, Error> {
        let why = if name.is_empty() {
            "is empty".to_owned()
        } else if name.len() > TOPIC_NAME_BYTES_MAX {
            format!("has {} bytes; the limit is {TOPIC_NAME_BYTES_MAX}", name.len())
        } else if name == "." || name == ".." {
            "is a directory's name".to_owned()
        } else if let Some(bad) =
            name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c)))
        {
            format!("holds {bad:?}; allowed are a-z, A-Z, 0-9, '.', '_' and '-'")
        } else {
            return Ok(Self(name.to_owned()));
        };
        let shown: String = name.chars().take(60).collect();
        Err(Error::new(ErrorKind::InvalidTopic, format!("topic name {shown:?} {why}")))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TopicName {
    type Error = Error;
    fn try_from(name: String) -> Result<Self, Error> {
        Self::new(&name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0
    }
}

/// A partition of a topic, from 0.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
