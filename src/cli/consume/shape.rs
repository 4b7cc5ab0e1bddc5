//! How a record is printed: `%` and `\` escapes as `rpk` and `kcat` have them, or a JSON object.

use super::clock;
use crate::client::consumer::Record;
use crate::topic::{PartitionId, TopicName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::io::Write as _;
use std::str::FromStr;
use storage::batch::RecordRef;

/// A format that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    Topic,
    Partition,
    Offset,
    Key,
    KeyBytes,
    Value,
    ValueBytes,
    TimestampMs,
    Time,
    Headers,
    HeaderCount,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            pieces.push(match char {
                '%' => escape(chars.next())?,
                '\\' => Piece::Char(control(chars.next())?),
                other => Piece::Char(other),
            });
        }
        Ok(Self(pieces))
    }
}

/// A record that can be printed, wherever it lies.
pub(super) trait Printed {
    /// Its topic.
    fn topic(&self) -> &TopicName;
    /// Its partition.
    fn partition(&self) -> PartitionId;
    /// Its offset.
    fn offset(&self) -> i64;
    /// Milliseconds since the Unix epoch.
    fn timestamp(&self) -> i64;
    /// Its key.
    fn key(&self) -> Option<&[u8]>;
    /// Its value.
    fn value(&self) -> Option<&[u8]>;
    /// Its headers, in order.
    fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Option<&[u8]>)>;
}

/// A record in its batch, of a partition.
pub(super) struct InBatch<'a> {
    /// Where it comes from.
    pub(super) topic: &'a TopicName,
    /// Of it.
    pub(super) partition: PartitionId,
    /// The record.
    pub(super) record: &'a RecordRef<'a>,
}

impl Printed for InBatch<'_> {
    fn topic(&self) -> &TopicName {
        self.topic
    }

    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.record.offset
    }

    fn timestamp(&self) -> i64 {
        self.record.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.record.key
    }

    fn value(&self) -> Option<&[u8]> {
        self.record.value
    }

    fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Option<&[u8]>)> {
        self.record.headers()
    }
}

impl Printed for Record {
    fn topic(&self) -> &TopicName {
        &self.at.topic
    }

    fn partition(&self) -> PartitionId {
        self.at.partition
    }

    fn offset(&self) -> i64 {
        i64::try_from(self.offset).unwrap_or(i64::MAX)
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn headers(&self) -> impl Iterator<Item = (Cow<'_, str>, Option<&[u8]>)> {
        self.headers.iter().map(|header| (Cow::from(&header.name), header.value.as_deref()))
    }
}

fn escape(letter: Option<char>) -> Result<Piece, String> {
    Ok(match letter {
        Some('%') => Piece::Char('%'),
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyBytes,
        Some('v') => Piece::Value,
        Some('V') => Piece::ValueBytes,
        Some('T') => Piece::TimestampMs,
        Some('d') => Piece::Time,
        Some('h') => Piece::Headers,
        Some('H') => Piece::HeaderCount,
        Some(other) => return Err(format!("unknown escape %{other}")),
        None => return Err("a % stands at the end".to_owned()),
    })
}

fn control(letter: Option<char>) -> Result<char, String> {
    Ok(match letter {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('0') => '\0',
        Some('\\') => '\\',
        Some(other) => return Err(format!("unknown escape \\{other}")),
        None => return Err("a \\ stands at the end".to_owned()),
    })
}

impl Shape {
    /// Appends a record to `to`. A key or value that is not there is printed as nothing.
    pub(super) fn write(&self, to: &mut Vec<u8>, record: &impl Printed) {
        for piece in &self.0 {
            let written = match *piece {
                Piece::Char(char) => write!(to, "{char}"),
                Piece::Topic => write!(to, "{}", record.topic()),
                Piece::Partition => write!(to, "{}", record.partition()),
                Piece::Offset => write!(to, "{}", record.offset()),
                Piece::Key => to.write_all(record.key().unwrap_or_default()),
                Piece::KeyBytes => write!(to, "{}", record.key().unwrap_or_default().len()),
                Piece::Value => to.write_all(record.value().unwrap_or_default()),
                Piece::ValueBytes => write!(to, "{}", record.value().unwrap_or_default().len()),
                Piece::TimestampMs => write!(to, "{}", record.timestamp()),
                Piece::Time => write!(to, "{}", clock::shown(record.timestamp())),
                Piece::Headers => to.write_all(&headers(record)),
                Piece::HeaderCount => write!(to, "{}", record.headers().count()),
            };
            written.expect("a Vec takes every byte");
        }
    }
}

/// `name=value,name=value`.
fn headers(record: &impl Printed) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in record.headers() {
        if !bytes.is_empty() {
            bytes.push(b',');
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.unwrap_or_default());
    }
    bytes
}

/// A record for programs. What is not UTF-8 is base64 under `key_base64` or `value_base64`.
pub(super) struct Object<'a, R>(pub(super) &'a R);

impl<R: Printed> Serialize for Object<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("topic", record.topic())?;
        object.serialize_entry("partition", &record.partition())?;
        object.serialize_entry("offset", &record.offset())?;
        object.serialize_entry("timestamp", &record.timestamp())?;
        field(&mut object, ["key", "key_base64"], record.key())?;
        field(&mut object, ["value", "value_base64"], record.value())?;
        let headers = record.headers();
        let headers: Vec<_> = headers.map(|(name, value)| Header { name, value }).collect();
        object.serialize_entry("headers", &headers)?;
        object.end()
    }
}

struct Header<'a> {
    name: Cow<'a, str>,
    value: Option<&'a [u8]>,
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut header = serializer.serialize_map(None)?;
        header.serialize_entry("name", &self.name)?;
        field(&mut header, ["value", "value_base64"], self.value)?;
        header.end()
    }
}

/// Under the first name as text, or under the second one as base64.
fn field<M: SerializeMap>(
    to: &mut M,
    [text, base64]: [&'static str; 2],
    bytes: Option<&[u8]>,
) -> Result<(), M::Error> {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => to.serialize_entry(text, &()),
        Some((_, Ok(value))) => to.serialize_entry(text, value),
        Some((bytes, Err(_not_text))) => to.serialize_entry(base64, &STANDARD.encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use storage::batch::{BatchBuilder, Compression};

    /// Runs `check` with a record of key `key`, `value` and one header.
    fn with_record<T>(value: Option<&[u8]>, check: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        let mut builder = BatchBuilder::new();
        let header: &[u8] = b"web";
        builder.push(1_700_000_000_123, Some(b"key"), value, [("source", Some(header))]);
        let records = builder.finish(Compression::None).decode(0).unwrap();
        check(&records.iter().next().unwrap().unwrap())
    }

    fn printed(shape: &str, value: Option<&[u8]>) -> String {
        let (shape, topic) = (shape.parse::<Shape>().unwrap(), TopicName::new("t").unwrap());
        let mut bytes = Vec::new();
        with_record(value, |record| {
            shape.write(&mut bytes, &InBatch { topic: &topic, partition: PartitionId(4), record });
        });
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_escape_prints_its_part() {
        for (shape, expected) in [
            ("%v\\n", "value\n"),
            ("%t/%p/%o", "t/4/0"),
            ("%k=%v", "key=value"),
            ("%K %V %H", "3 5 1"),
            ("%h", "source=web"),
            ("%T", "1700000000123"),
            ("%d", "2023-11-14T22:13:20.123Z"),
            ("100%%\\t\\\\", "100%\t\\"),
        ] {
            assert_eq!(printed(shape, Some(b"value")), expected, "{shape}");
        }
        assert_eq!(printed("[%v]", None), "[]");
    }

    #[test]
    fn wrong_escapes_are_named() {
        for (shape, why) in [("%q", "%q"), ("\\q", "\\q"), ("%", "end"), ("\\", "end")] {
            assert!(shape.parse::<Shape>().unwrap_err().contains(why), "{shape}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_base64() {
        let topic = TopicName::new("t").unwrap();
        let json = |value| {
            with_record(value, |record| {
                let record = InBatch { topic: &topic, partition: PartitionId(4), record };
                let object = Object(&record);
                serde_json::to_value(object).unwrap()
            })
        };
        let expected = json!({
            "topic": "t", "partition": 4, "offset": 0, "timestamp": 1_700_000_000_123_i64,
            "key": "key", "value": "v", "headers": [{ "name": "source", "value": "web" }],
        });
        assert_eq!(json(Some(b"v")), expected);
        assert_eq!(json(Some(&[0xff]))["value_base64"], "/w==");
        assert_eq!(json(None)["value"], Value::Null);
    }
}
