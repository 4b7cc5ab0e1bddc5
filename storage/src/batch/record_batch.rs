//! A batch: bytes that passed a check, and what can be asked of them.

use super::header::{Header, LOG_APPEND_TIME};
use super::{
    BatchBuilder, BatchError, Compression, HEADER_BYTES, Record, RecordRef, Records, Sequenced,
    inflate,
};
use bytes::{Bytes, BytesMut};

/// A checked batch: header fields readable, records decodable. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
}

impl RecordBatch {
    /// Checks frame, magic, codec, CRC and counts of a batch that came from outside (exactly one, no
    /// transactional or control bits): the rules of a leader's append. Records that are not
    /// compressed are walked; does not inflate, see [`RecordBatch::validate_records`].
    ///
    /// A largest timestamp that does not fit the walked records is set right, as Kafka's broker does
    /// (there are clients that leave it out): retention and look-ups by time go by it. Of a compressed
    /// batch it is trusted.
    pub fn check(bytes: Bytes) -> Result<Self, BatchError> {
        let header = Header::read_framed(&bytes)?;
        header.check_crc(&bytes)?;
        header.check_appendable()?;
        let batch = Self { bytes };
        match header.compression()? {
            Compression::None => {
                let max_timestamp = max_timestamp(&batch.decode(0)?)?;
                Ok(batch.with_max_timestamp(header, max_timestamp))
            }
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => {
                Ok(batch)
            }
        }
    }

    /// Wraps bytes that came from our own log, which has its own checksums: checks only that the
    /// header is there and fits (length, magic, codec, counts).
    pub fn stored(bytes: Bytes) -> Result<Self, BatchError> {
        Header::read_framed(&bytes)?;
        Ok(Self { bytes })
    }

    /// Splits concatenated batches, each checked by [`RecordBatch::check`].
    pub fn split(mut bytes: Bytes) -> Result<Vec<Self>, BatchError> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let need = Header::read(&bytes)?.batch_bytes()?;
            if need > bytes.len() {
                return Err(BatchError::Short { need, have: bytes.len() });
            }
            batches.push(Self::check(bytes.split_to(need))?);
        }
        Ok(batches)
    }

    /// Splits concatenated batches that a log gave: as [`RecordBatch::split`], but a compacted batch, with
    /// holes or without any record, is one too.
    pub fn split_stored(mut bytes: Bytes) -> Result<Vec<Self>, BatchError> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let need = Header::read(&bytes)?.batch_bytes()?;
            if need > bytes.len() {
                return Err(BatchError::Short { need, have: bytes.len() });
            }
            let batch = bytes.split_to(need);
            Header::read_framed(&batch)?.check_crc(&batch)?;
            batches.push(Self { bytes: batch });
        }
        Ok(batches)
    }

    /// Builds a batch with base offset 0.
    ///
    /// # Panics
    /// Without records, or with more than `i32::MAX` of them.
    pub fn build(records: &[Record], compression: Compression) -> Self {
        let mut builder = BatchBuilder::new();
        for record in records {
            let headers = record.headers.iter();
            builder.push(
                record.timestamp,
                record.key.as_deref(),
                record.value.as_deref(),
                headers.map(|header| (header.name.as_str(), header.value.as_deref())),
            );
        }
        builder.finish(compression)
    }

    /// Takes what the builder sealed.
    pub(super) fn sealed(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Checks what [`RecordBatch::check`] leaves unchecked in a compressed batch: inflates at most
    /// `inflated_bytes_max` and walks the records.
    pub fn validate_records(&self, inflated_bytes_max: usize) -> Result<(), BatchError> {
        self.decode(inflated_bytes_max)?.iter().try_for_each(|record| record.map(drop))
    }

    /// Makes the records readable one by one, inflating at most `inflated_bytes_max`; of a batch that
    /// is not compressed nothing is inflated or copied, and the limit does not apply.
    pub fn decode(&self, inflated_bytes_max: usize) -> Result<Records, BatchError> {
        let header = self.header();
        let block = self.bytes.slice(HEADER_BYTES..);
        let block = inflate::inflate(header.compression()?, block, inflated_bytes_max)?;
        Records::new(&header, block)
    }

    /// Decodes the records, inflating at most `inflated_bytes_max`. Total: any bytes give records or
    /// an error, never a panic, never an allocation beyond the limit for what is inflated, nor beyond
    /// one [`Record`] for each record that is there.
    pub fn records(&self, inflated_bytes_max: usize) -> Result<Vec<Record>, BatchError> {
        let decoded = self.decode(inflated_bytes_max)?;
        let mut records = Vec::with_capacity(decoded.count_max());
        for record in &decoded {
            records.push(record?.to_record());
        }
        Ok(records)
    }

    /// The batch without the records that `keep` does not keep; `None` if it keeps all. Offsets, times and
    /// producer stay as they were, and so does the codec, unless no record is left: then nothing but the
    /// header is, without a timestamp. Inflates at most `inflated_bytes_max`.
    pub fn retain(
        &self,
        inflated_bytes_max: usize,
        keep: impl FnMut(&RecordRef<'_>) -> bool,
    ) -> Result<Option<Self>, BatchError> {
        let mut header = self.header();
        let codec = header.compression()?;
        let Some(left) = self.decode(inflated_bytes_max)?.retain(keep)? else { return Ok(None) };
        header.record_count = i32::try_from(left.count).expect("fewer than there were");
        if header.log_append_time().is_none() || left.count == 0 {
            header.max_timestamp = left.max_timestamp;
        }
        let codec = if left.count == 0 { Compression::None } else { codec };
        Ok(Some(header.with_records(codec, &left.block)))
    }

    /// The same records in another codec. Inflates at most `inflated_bytes_max`.
    pub fn recompress(
        self,
        codec: Compression,
        inflated_bytes_max: usize,
    ) -> Result<Self, BatchError> {
        let header = self.header();
        if header.compression()? == codec {
            return Ok(self);
        }
        let block = self.bytes.slice(HEADER_BYTES..);
        let block = inflate::inflate(header.compression()?, block, inflated_bytes_max)?;
        Ok(header.with_records(codec, &block))
    }

    /// The same records, all with the time of their log (ms).
    pub fn with_log_append_time(self, now_ms: i64) -> Self {
        let mut header = self.header();
        header.attributes |= LOG_APPEND_TIME;
        header.max_timestamp = now_ms;
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(BytesMut::from);
        header.seal(&mut bytes);
        Self { bytes: bytes.freeze() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, consuming.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The stamped base offset.
    pub fn base_offset(&self) -> i64 {
        self.header().base_offset
    }

    /// The stamped leader epoch.
    pub fn leader_epoch(&self) -> i32 {
        self.header().leader_epoch
    }

    /// How many records are in it; none is left in one that was compacted away.
    pub fn record_count(&self) -> u32 {
        self.header().records().expect("checked when it was made")
    }

    /// How many offsets it takes: those of its records, and of those compacted away.
    pub fn span(&self) -> u32 {
        self.header().span().expect("checked when it was made")
    }

    /// The offset after its last, present or compacted away.
    pub fn next_offset(&self) -> i64 {
        self.base_offset().saturating_add(i64::from(self.span()))
    }

    /// The largest timestamp in ms.
    pub fn max_timestamp(&self) -> i64 {
        self.header().max_timestamp
    }

    /// The codec.
    pub fn compression(&self) -> Compression {
        self.header().compression().expect("checked when it was made")
    }

    /// The idempotent producer's id, -1 for none.
    pub fn producer_id(&self) -> i64 {
        self.header().producer_id
    }

    /// The idempotent producer's epoch, -1 for none.
    pub fn producer_epoch(&self) -> i16 {
        self.header().producer_epoch
    }

    /// The first record's sequence number, -1 for none.
    pub fn base_sequence(&self) -> i32 {
        self.header().base_sequence
    }

    /// Which of its producer's records it holds; `None` without one.
    pub fn sequenced(&self) -> Option<Sequenced> {
        Sequenced::of(&self.bytes)
    }

    /// The same batch of an idempotent producer; copies it, since the checksum covers that.
    #[must_use]
    pub fn with_producer(self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        let header = self.header();
        let mut bytes = BytesMut::from(self.bytes);
        Header { producer_id, producer_epoch, base_sequence, ..header }.seal(&mut bytes);
        Self { bytes: bytes.freeze() }
    }

    fn header(&self) -> Header {
        Header::read(&self.bytes).expect("checked when it was made")
    }

    fn with_max_timestamp(self, header: Header, max_timestamp: i64) -> Self {
        if header.max_timestamp == max_timestamp {
            return self;
        }
        let mut bytes = BytesMut::from(self.bytes);
        Header { max_timestamp, ..header }.seal(&mut bytes);
        Self { bytes: bytes.freeze() }
    }
}

/// Walks all records for their largest timestamp.
fn max_timestamp(records: &Records) -> Result<i64, BatchError> {
    let mut max = i64::MIN;
    for record in records {
        max = max.max(record?.timestamp);
    }
    Ok(max)
}
