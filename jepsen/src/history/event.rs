//! One line of a history: somebody began something, or it came to an end.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Alien, Key, Operation};

/// Who acts. A client process has at most one operation under way, and is never used again after `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client.
    Client(u32),
    /// What does harm.
    Nemesis,
    /// What only looks.
    Observer,
}

/// What a line says of its operation; JSON `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen, and never will.
    Fail,
    /// Nobody knows: it may have happened, or may still.
    Info,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not, and never will.
    Fail,
    /// Nobody knows.
    Info,
}

/// What a read promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadMode {
    /// Leadership was confirmed: it shows everything that was acknowledged before it began.
    #[default]
    Linearizable,
    /// What the asked node knows: monotone on that node, nothing more.
    Local,
}

/// An idempotent producer's stamp: the first record of the operation has `seq`, the next `seq + 1`, … per key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerStamp {
    /// The producer.
    pub id: u64,
    /// Its epoch.
    pub epoch: u32,
    /// The sequence number of the first record per key.
    pub seq: u64,
}

/// One of several tries that an operation took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which node was asked.
    pub node: String,
    /// What it answered; never `invoke`.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The offset of the first record, per key, if it said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bases: BTreeMap<Key, u64>,
}

/// What some events say beyond operation and outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two facts of a line that have nothing in common"
)]
pub struct Detail {
    /// Who answered.
    pub node: Option<String>,
    /// The term in which it answered.
    pub term: Option<u64>,
    /// Why it ended so.
    pub error: Option<String>,
    /// What a read promises.
    pub mode: ReadMode,
    /// High watermarks that came with the answer.
    pub high_watermarks: BTreeMap<Key, u64>,
    /// Log starts that came with the answer.
    pub log_starts: BTreeMap<Key, u64>,
    /// Offsets that were refused as out of range.
    pub out_of_range: BTreeMap<Key, u64>,
    /// Set if the sends were idempotent.
    pub producer: Option<ProducerStamp>,
    /// Whether the sends to one key are one atomic batch.
    pub batch: bool,
    /// The tries it took, if more than one or if their answers matter.
    pub attempts: Vec<Attempt>,
    /// The group a poll belongs to.
    pub group: Option<String>,
    /// The member of that group.
    pub member: Option<String>,
    /// Keys that were taken or given during the operation.
    pub rebalanced: Vec<Key>,
    /// With `assign`: begin at the log's start.
    pub seek_to_beginning: bool,
    /// Records that were none of ours.
    pub aliens: Vec<Alien>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number; strictly ascending.
    pub index: u64,
    /// Nanoseconds of a monotonic clock since the run began.
    pub time: u64,
    /// Who.
    pub process: Process,
    /// Beginning or end.
    pub kind: Kind,
    /// What.
    pub operation: Operation,
    /// The rest.
    pub detail: Detail,
}

impl Kind {
    /// How an operation ended; `None` if this is a beginning.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Kind::Invoke => None,
            Kind::Ok => Some(Outcome::Ok),
            Kind::Fail => Some(Outcome::Fail),
            Kind::Info => Some(Outcome::Info),
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => number.fmt(f),
            Process::Nemesis => f.write_str("nemesis"),
            Process::Observer => f.write_str("observer"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Process::Client(number) => serializer.serialize_u32(*number),
            Process::Nemesis => serializer.serialize_str("nemesis"),
            Process::Observer => serializer.serialize_str("observer"),
        }
    }
}

struct ProcessVisitor;

impl de::Visitor<'_> for ProcessVisitor {
    type Value = Process;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a number, "nemesis" or "observer""#)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Process, E> {
        match u32::try_from(number) {
            Ok(number) => Ok(Process::Client(number)),
            Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Process, E> {
        match word {
            "nemesis" => Ok(Process::Nemesis),
            "observer" => Ok(Process::Observer),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Process, D::Error> {
        deserializer.deserialize_any(ProcessVisitor)
    }
}
