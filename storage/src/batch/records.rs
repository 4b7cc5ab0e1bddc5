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
    /// How many there are.
    count: u32,
    /// How many offsets they are spread over: more than there are, once some were compacted away.
    span: u32,
}

/// What is left of a batch's records.
pub(super) struct Left {
    /// The records that stay, byte for byte.
    pub(super) block: Vec<u8>,
    pub(super) count: u32,
    /// Their largest timestamp; -1 without records.
    pub(super) max_timestamp: i64,
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
            span: header.span()?,
        })
    }

    /// All records, in order.
    pub fn iter(&self) -> RecordIter<'_> {
        self.iter_from(self.base_offset)
    }

    /// The records from an offset on, in order. Of a batch without holes those before it are passed over
    /// by their length.
    pub fn iter_from(&self, offset: i64) -> RecordIter<'_> {
        let skip = offset.saturating_sub(self.base_offset).clamp(0, i64::from(self.span));
        RecordIter {
            records: self,
            rest: &self.block,
            taken: 0,
            least: 0,
            first: u32::try_from(skip).expect("clamped to a u32"),
        }
    }

    /// The records that `keep` keeps; `None` if it keeps all.
    pub(super) fn retain(
        &self,
        mut keep: impl FnMut(&RecordRef<'_>) -> bool,
    ) -> Result<Option<Left>, BatchError> {
        let mut left = Left { block: Vec::new(), count: 0, max_timestamp: -1 };
        let mut records = self.iter();
        loop {
            let before = records.rest;
            let Some(record) = records.next() else { break };
            let record = record?;
            if keep(&record) {
                let bytes = before.len() - records.rest.len();
                left.block.extend_from_slice(before.get(..bytes).unwrap_or_default());
                left.count += 1;
                left.max_timestamp = left.max_timestamp.max(record.timestamp);
            }
        }
        Ok((left.count < self.count).then_some(left))
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
/// also if offsets do not ascend, are beyond the batch's or (of a batch that says it has no holes) not
/// dense, or if bytes are left after the last record.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    records: &'a Records,
    rest: &'a [u8],
    /// The record that `rest` begins with.
    taken: u32,
    /// The least offset delta that it can have.
    least: u32,
    /// The first offset delta that is wanted.
    first: u32,
}

impl<'a> RecordIter<'a> {
    /// Takes the next record's bytes.
    fn frame(&mut self) -> Result<&'a [u8], String> {
        let length = varint::read_int(&mut self.rest).ok_or("length is no varint")?;
        let body = usize::try_from(length).ok().and_then(|length| self.rest.split_off(..length));
        body.ok_or_else(|| format!("{length} bytes long where {} are left", self.rest.len()))
    }

    /// Takes the next record; `None` if it lies before the first that is wanted.
    fn take(&mut self) -> Result<Option<RecordRef<'a>>, String> {
        let Records { block, base_offset, base_timestamp, log_append_time, count, span } =
            self.records;
        let body = self.frame()?;
        let is_dense = count == span;
        if is_dense && self.taken < self.first {
            self.taken += 1;
            self.least = self.taken;
            return Ok(None);
        }
        let record = RecordRef::read(body, block)?;
        let delta = u32::try_from(record.offset).ok().filter(|delta| {
            let is_next = if is_dense { *delta == self.taken } else { *delta >= self.least };
            is_next && delta < span
        });
        let delta = delta.ok_or_else(|| format!("offset delta {}", record.offset))?;
        self.taken += 1;
        self.least = delta + 1;
        if delta < self.first {
            return Ok(None);
        }
        // Any two i64 are a legal pair here, and wrapping is what the writer did as well.
        let timestamp = base_timestamp.wrapping_add(record.timestamp);
        let offset = base_offset.wrapping_add(record.offset);
        Ok(Some(record.placed(offset, log_append_time.unwrap_or(timestamp))))
    }

    fn end(&mut self) {
        self.taken = self.records.count;
        self.rest = &[];
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordRef<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.taken < self.records.count {
            let record = usize::try_from(self.taken).unwrap_or(usize::MAX);
            match self.take() {
                Ok(None) => {}
                Ok(Some(record)) => return Some(Ok(record)),
                Err(why) => {
                    self.end();
                    return Some(Err(BatchError::Record { record, why }));
                }
            }
        }
        let left = self.rest.len();
        self.end();
        (left > 0).then(|| Err(BatchError::Invalid(format!("{left} bytes after its last record"))))
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}
