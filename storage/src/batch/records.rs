//! The records of one batch, inflated: read in order, from any offset on, without collecting them.

use super::header::Header;
use super::record::RecordRef;
use super::{BatchError, varint};
use bytes::Bytes;

/// The fewest bytes of a record: length, attributes, two deltas, no key, no value, no headers.
pub(super) const RECORD_BYTES_MIN: usize = 7;

/// The records of one batch, inflated but not yet decoded. Owns its bytes (or shares them with an
/// uncompressed batch), so that a reader may keep it over an await and go on at an offset.
#[derive(Debug, Clone)]
pub struct Records {
    block: Bytes,
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
    count: u32,
}

impl Records {
    /// The records of `block`, as `header` describes them.
    pub(super) fn new(header: &Header, block: Bytes) -> Result<Self, BatchError> {
        Ok(Self {
            block,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time: header.log_append_time(),
            count: header.records()?,
        })
    }

    /// All records, in order.
    pub fn iter(&self) -> RecordIter<'_> {
        self.iter_from(self.base_offset)
    }

    /// The records from an offset on, in order. Those before it are passed over by their length.
    pub fn iter_from(&self, offset: i64) -> RecordIter<'_> {
        let skip = offset.saturating_sub(self.base_offset).clamp(0, i64::from(self.count));
        RecordIter {
            records: self,
            rest: &self.block,
            next: 0,
            first: u32::try_from(skip).expect("clamped to a u32"),
        }
    }

    /// How many there can be at most: what the header says, unless the bytes are too few.
    pub(super) fn count_max(&self) -> usize {
        let fit = self.block.len() / RECORD_BYTES_MIN;
        usize::try_from(self.count).map_or(fit, |count| count.min(fit))
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordRef<'a>, BatchError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Reads records one after the other; ends after the last, or after the first error. An error comes
/// also if offsets are not dense or bytes are left after the last record.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    records: &'a Records,
    rest: &'a [u8],
    /// The record that `rest` begins with.
    next: u32,
    /// The first record that is wanted.
    first: u32,
}

impl<'a> RecordIter<'a> {
    /// Takes the next record's bytes.
    fn frame(&mut self) -> Result<&'a [u8], String> {
        let length = varint::read_int(&mut self.rest).ok_or("length is no varint")?;
        let body = usize::try_from(length).ok().and_then(|length| self.rest.split_off(..length));
        body.ok_or_else(|| format!("{length} bytes long where {} are left", self.rest.len()))
    }

    /// Reads the next record's bytes, and places them in log and time.
    fn read(&self, body: &'a [u8]) -> Result<RecordRef<'a>, String> {
        let Records { block, base_offset, base_timestamp, log_append_time, .. } = self.records;
        let record = RecordRef::read(body, block)?;
        if record.offset != i64::from(self.next) {
            return Err(format!("offset delta {}", record.offset));
        }
        // Any two i64 are a legal pair here, and wrapping is what the writer did as well.
        let timestamp = base_timestamp.wrapping_add(record.timestamp);
        let offset = base_offset.wrapping_add(record.offset);
        Ok(record.placed(offset, log_append_time.unwrap_or(timestamp)))
    }

    fn fail(&mut self, why: String) -> BatchError {
        let record = usize::try_from(self.next).unwrap_or(usize::MAX);
        self.end();
        BatchError::Record { record, why }
    }

    fn end(&mut self) {
        self.next = self.records.count;
        self.rest = &[];
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordRef<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.records.count {
            let body = match self.frame() {
                Ok(body) => body,
                Err(why) => return Some(Err(self.fail(why))),
            };
            if self.next >= self.first {
                let record = self.read(body);
                return Some(match record {
                    Ok(record) => {
                        self.next += 1;
                        Ok(record)
                    }
                    Err(why) => Err(self.fail(why)),
                });
            }
            self.next += 1;
        }
        let left = self.rest.len();
        self.end();
        (left > 0).then(|| Err(BatchError::Invalid(format!("{left} bytes after its last record"))))
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}
