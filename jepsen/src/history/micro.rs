//! Micro-operations: the single sends and polls an operation is made of, in Jepsen's JSON shape.
//!
//! | JSON | meaning |
//! |---|---|
//! | `["send", 3, 1007]` | append value 1007 to key 3; nothing is known of its offset |
//! | `["send", 3, [41, 1007]]`, `["send", 3, [null, 1007, 99]]` | with offset (or not), with CRC-32C |
//! | `["poll"]` | read whatever comes next |
//! | `["poll", {"3": [[41, 1007], [42, 1008, 99]]}]` | what came, by key, in the order it came |

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One partition of one topic, as an integer; the header maps it back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Key(pub u32);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One record that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where the broker said it went, if it said so.
    pub offset: Option<u64>,
    /// Unique within its key.
    pub value: u64,
    /// CRC-32C of its bytes, if the client keeps it.
    pub crc: Option<u32>,
}

/// One record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it stood.
    pub offset: u64,
    /// What it said.
    pub value: u64,
    /// CRC-32C of its bytes, if the client keeps it.
    pub crc: Option<u32>,
}

/// What a poll returned: per key, the records in the order they came.
pub type Polled = BTreeMap<Key, Vec<Seen>>;

/// A record that was read and was none of ours: bytes broken, or written for another partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alien {
    /// The partition it was read from.
    pub key: Key,
    /// Where it stood.
    pub offset: u64,
    /// What was wrong with it.
    pub why: String,
}

/// One send or one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Micro {
    /// Append one record to a key.
    Send(Key, Sent),
    /// Read what comes next; `None` before it has.
    Poll(Option<Polled>),
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(if self.crc.is_some() { 3 } else { 2 })?;
        tuple.serialize_element(&self.offset)?;
        tuple.serialize_element(&self.value)?;
        if let Some(crc) = self.crc {
            tuple.serialize_element(&crc)?;
        }
        tuple.end()
    }
}

struct SeenVisitor;

impl<'de> Visitor<'de> for SeenVisitor {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[offset, value] or [offset, value, crc]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        let offset = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let value = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let crc = seq.next_element()?;
        Ok(Seen { offset, value, crc })
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_seq(SeenVisitor)
    }
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.offset.is_none() && self.crc.is_none() {
            return serializer.serialize_u64(self.value);
        }
        let mut tuple = serializer.serialize_tuple(if self.crc.is_some() { 3 } else { 2 })?;
        tuple.serialize_element(&self.offset)?;
        tuple.serialize_element(&self.value)?;
        if let Some(crc) = self.crc {
            tuple.serialize_element(&crc)?;
        }
        tuple.end()
    }
}

struct SentVisitor;

impl<'de> Visitor<'de> for SentVisitor {
    type Value = Sent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("value, [offset, value] or [offset, value, crc]")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Sent, E> {
        Ok(Sent { offset: None, value, crc: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sent, A::Error> {
        let offset = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let value = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let crc = seq.next_element()?;
        Ok(Sent { offset, value, crc })
    }
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sent, D::Error> {
        deserializer.deserialize_any(SentVisitor)
    }
}

impl Serialize for Micro {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Micro::Send(key, sent) => ("send", key, sent).serialize(serializer),
            Micro::Poll(None) => ("poll",).serialize(serializer),
            Micro::Poll(Some(polled)) => {
                let mut seq = serializer.serialize_seq(Some(2))?;
                seq.serialize_element("poll")?;
                seq.serialize_element(polled)?;
                seq.end()
            }
        }
    }
}

struct MicroVisitor;

impl<'de> Visitor<'de> for MicroVisitor {
    type Value = Micro;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"["send", key, value], ["poll"] or ["poll", {key: records}]"#)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Micro, A::Error> {
        let word: &str = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        match word {
            "send" => {
                let key = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                let sent = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?;
                Ok(Micro::Send(key, sent))
            }
            "poll" => Ok(Micro::Poll(seq.next_element()?)),
            other => Err(A::Error::unknown_variant(other, &["send", "poll"])),
        }
    }
}

impl<'de> Deserialize<'de> for Micro {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Micro, D::Error> {
        deserializer.deserialize_seq(MicroVisitor)
    }
}
