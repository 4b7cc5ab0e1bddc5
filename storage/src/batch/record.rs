//! One record: owned ([`Record`]) or borrowed from its batch ([`RecordRef`]).
//!
//! ```text
//!   length | attributes i8 | timestamp delta | offset delta | key | value | n | n × (name, value)
//! ```
//!
//! All numbers are varints; a key or value is its length, -1 for none, then its bytes.

use super::varint;
use bytes::Bytes;
use std::borrow::Cow;

/// One record to be put into a batch, or taken out of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order, duplicates kept; names are UTF-8 by Kafka's rule.
    pub headers: Vec<RecordHeader>,
}

/// A record's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Option<Bytes>,
}

/// A record as it lies in its batch. Reading one allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Base offset of the batch plus this record's delta.
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers that were walked once: reading them again cannot fail.
    headers: &'a [u8],
    header_count: i32,
    /// What all of it is part of.
    block: &'a Bytes,
}

impl<'a> RecordRef<'a> {
    /// Reads what follows a record's length; all of `body` must be used. Offset and timestamp are
    /// still the deltas.
    pub(super) fn read(mut body: &'a [u8], block: &'a Bytes) -> Result<Self, String> {
        let body = &mut body;
        // Attributes: not one bit has a meaning; Kafka ignores them.
        body.split_off_first().ok_or("is empty")?;
        let timestamp = varint::read_long(body).ok_or("timestamp delta is no varint")?;
        let offset = varint::read_int(body).ok_or("offset delta is no varint")?;
        let key = read_optional(body, "key")?;
        let value = read_optional(body, "value")?;
        let header_count = varint::read_int(body).ok_or("header count is no varint")?;
        if header_count < 0 {
            return Err(format!("header count {header_count}"));
        }
        let headers = *body;
        for _ in 0..header_count {
            read_header(body)?;
        }
        if !body.is_empty() {
            return Err(format!("{} bytes after its end", body.len()));
        }
        Ok(Self { offset: i64::from(offset), timestamp, key, value, headers, header_count, block })
    }

    /// The same with what its deltas come to.
    pub(super) fn placed(self, offset: i64, timestamp: i64) -> Self {
        Self { offset, timestamp, ..self }
    }

    /// The key, sharing the batch's memory.
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.key.map(|key| self.block.slice_ref(key))
    }

    /// The value, sharing the batch's memory.
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.value.map(|value| self.block.slice_ref(value))
    }

    /// The headers in order, duplicates kept.
    pub fn headers(&self) -> HeaderRefs<'a> {
        HeaderRefs { rest: self.headers, left: self.header_count }
    }

    /// The record on its own. Key and values share the batch's memory.
    pub fn to_record(&self) -> Record {
        Record {
            timestamp: self.timestamp,
            key: self.key_bytes(),
            value: self.value_bytes(),
            headers: self
                .headers()
                .map(|(name, value)| RecordHeader {
                    name: name.into_owned(),
                    value: value.map(|value| self.block.slice_ref(value)),
                })
                .collect(),
        }
    }
}

/// The headers of a [`RecordRef`]: names and values. As in Kafka's own consumer, what is not UTF-8 in
/// a name is replaced: refusing it would make its whole batch unreadable.
#[derive(Debug, Clone)]
pub struct HeaderRefs<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> Iterator for HeaderRefs<'a> {
    type Item = (Cow<'a, str>, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let (name, value) = read_header(&mut self.rest).expect("walked when the record was read");
        Some((String::from_utf8_lossy(name), value))
    }
}

fn read_header<'a>(from: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), String> {
    let name = read_optional(from, "header name")?.ok_or("header name is null")?;
    let value = read_optional(from, "header value")?;
    Ok((name, value))
}

#[inline]
fn read_optional<'a>(from: &mut &'a [u8], what: &str) -> Result<Option<&'a [u8]>, String> {
    let length =
        varint::read_int(from).ok_or_else(|| format!("length of its {what} is no varint"))?;
    if length == -1 {
        return Ok(None);
    }
    let taken = usize::try_from(length).ok().and_then(|length| from.split_off(..length));
    taken.map(Some).ok_or_else(|| format!("{what} of {length} bytes where {} are left", from.len()))
}
