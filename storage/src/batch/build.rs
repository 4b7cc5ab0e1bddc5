//! From records to a batch, through one growing buffer: nothing is allocated for a record.

use super::header::{HEADER_BYTES, Header, MAGIC};
use super::{Compression, RecordBatch, deflate, varint};
use bytes::{BufMut, Bytes, BytesMut};

/// Collects records into a batch with base offset 0 and no leader epoch: the log stamps both.
///
/// A key, a value, a header and the whole batch must each stay below 2 GiB, which the format cannot
/// say otherwise; doors bound what they take far below.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Room for the header, then the records.
    buffer: BytesMut,
    header: Header,
}

impl BatchBuilder {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Nothing in it, with room for so many bytes of records.
    pub fn with_capacity(record_bytes: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(HEADER_BYTES.saturating_add(record_bytes));
        buffer.put_bytes(0, HEADER_BYTES);
        let header = Header {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        Self { buffer, header }
    }

    /// Says which idempotent producer the batch is from; `base_sequence` is its first record's.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Adds a record. Headers are gone over twice, since a record begins with its length.
    ///
    /// # Panics
    /// If it, or the number of records, is beyond `i32::MAX`.
    pub fn push<'a>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>), IntoIter: Clone>,
    ) {
        let headers = headers.into_iter();
        self.count(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.header.base_timestamp);
        let offset_delta = self.header.last_offset_delta;

        let mut header_count = 0;
        let mut header_bytes = 0;
        for (name, value) in headers.clone() {
            header_count += 1;
            header_bytes += field_bytes(Some(name.as_bytes())) + field_bytes(value);
        }
        let header_count = length(header_count);
        let body_bytes = size_of::<i8>()
            + varint::long_bytes(timestamp_delta)
            + varint::int_bytes(offset_delta)
            + field_bytes(key)
            + field_bytes(value)
            + varint::int_bytes(header_count)
            + header_bytes;

        let to = &mut self.buffer;
        to.reserve(varint::INT_BYTES_MAX + body_bytes);
        varint::write_int(to, length(body_bytes));
        to.put_i8(0); // attributes, of which none has a meaning
        varint::write_long(to, timestamp_delta);
        varint::write_int(to, offset_delta);
        write_field(to, key);
        write_field(to, value);
        varint::write_int(to, header_count);
        for (name, value) in headers {
            write_field(to, Some(name.as_bytes()));
            write_field(to, value);
        }
    }

    /// Bytes of the batch as it stands, header included, before compression.
    pub fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// How many records are in it.
    pub fn record_count(&self) -> u32 {
        self.header.record_count.cast_unsigned()
    }

    /// Whether there is nothing to finish.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// The batch.
    ///
    /// # Panics
    /// Without records, or from 2 GiB on.
    pub fn finish(mut self, compression: Compression) -> RecordBatch {
        assert!(!self.is_empty(), "a batch has at least one record");
        self.header.attributes = compression.attributes();
        match compression {
            Compression::None => {
                self.header.seal(&mut self.buffer);
                RecordBatch::sealed(self.buffer.freeze())
            }
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                let records = self.buffer.get(HEADER_BYTES..).expect("room was left in front");
                let mut deflated = vec![0; HEADER_BYTES];
                deflate::deflate(compression, records, &mut deflated);
                self.header.seal(&mut deflated);
                RecordBatch::sealed(Bytes::from(deflated))
            }
        }
    }

    /// Counts a record in.
    fn count(&mut self, timestamp: i64) {
        if self.is_empty() {
            self.header.base_timestamp = timestamp;
            self.header.max_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        self.header.last_offset_delta = self.header.record_count;
        let count = self.header.record_count.checked_add(1);
        self.header.record_count = count.expect("a batch has at most i32::MAX records");
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("nothing in a batch is as long as 2 GiB")
}

fn field_bytes(field: Option<&[u8]>) -> usize {
    match field {
        None => varint::int_bytes(-1),
        Some(field) => varint::int_bytes(length(field.len())) + field.len(),
    }
}

fn write_field(to: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => varint::write_int(to, -1),
        Some(field) => {
            varint::write_int(to, length(field.len()));
            to.put_slice(field);
        }
    }
}
