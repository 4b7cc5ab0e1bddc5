//! The 61 bytes in front of a batch's records, and the frame they describe.
//!
//! ```text
//!    0 base offset i64 ┐                      21 attributes i16 ┐  0–2 codec, 3 log append time,
//!    8 length      i32 │ outside the          23 last delta i32 │  4 transactional, 5 control
//!   12 epoch       i32 │ checksum: stamped    27 base time  i64 │
//!   16 magic        i8 │ by the log           35 max time   i64 │ under the checksum,
//!   17 CRC-32C     u32 ┘                      43 producer   i64 │ with all that follows
//!                                             51 its epoch  i16 │
//!                                             53 sequence   i32 │
//!                                             57 records    i32 ┘
//! ```
//!
//! `length` counts the bytes after itself, so a batch has `length + 12` bytes and at least 61.

use super::{BatchError, Compression, RecordBatch, deflate};
use bytes::{Buf, BufMut, Bytes};

/// Bytes before the records of a batch.
pub const HEADER_BYTES: usize = 61;
/// The only format there is since Kafka 0.11.
pub(super) const MAGIC: i8 = 2;

/// Bytes up to the end of the length field: what `length` does not count.
const LENGTH_END: usize = 12;
const MAGIC_AT: usize = 16;
/// Where the checksummed part begins.
const CRC_END: usize = 21;

const LAST_DELTA_AT: usize = 23;
const PRODUCER_AT: usize = 43;

/// The largest timestamp is every record's.
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
/// Where the codec stands in the attributes.
pub(super) const CODEC: i16 = 0b111;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// The fields in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base_offset: i64,
    pub(super) length: i32,
    pub(super) leader_epoch: i32,
    pub(super) magic: i8,
    pub(super) crc: u32,
    pub(super) attributes: i16,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) record_count: i32,
}

impl Header {
    /// Reads the fields, whatever they say; of another magic than 2 it can say nothing else.
    pub(super) fn read(batch: &[u8]) -> Result<Self, BatchError> {
        // Older formats have the magic at the same place but shorter headers: name the true cause.
        if let Some(&magic) = batch.get(MAGIC_AT)
            && magic.cast_signed() != MAGIC
        {
            return Err(BatchError::Magic(magic.cast_signed()));
        }
        let mut head: &[u8] = batch
            .first_chunk::<HEADER_BYTES>()
            .ok_or(BatchError::Short { need: HEADER_BYTES, have: batch.len() })?;
        Ok(Self {
            base_offset: head.get_i64(),
            length: head.get_i32(),
            leader_epoch: head.get_i32(),
            magic: head.get_i8(),
            crc: head.get_u32(),
            attributes: head.get_i16(),
            last_offset_delta: head.get_i32(),
            base_timestamp: head.get_i64(),
            max_timestamp: head.get_i64(),
            producer_id: head.get_i64(),
            producer_epoch: head.get_i16(),
            base_sequence: head.get_i32(),
            record_count: head.get_i32(),
        })
    }

    /// Reads the fields of bytes that are one batch exactly, with a codec and counts that can be.
    pub(super) fn read_framed(batch: &[u8]) -> Result<Self, BatchError> {
        let header = Self::read(batch)?;
        let need = header.batch_bytes()?;
        if need > batch.len() {
            return Err(BatchError::Short { need, have: batch.len() });
        }
        if need < batch.len() {
            return Err(BatchError::Trailing(batch.len() - need));
        }
        header.compression()?;
        header.records()?;
        Ok(header)
    }

    /// Bytes of the whole batch.
    pub(super) fn batch_bytes(&self) -> Result<usize, BatchError> {
        usize::try_from(self.length)
            .ok()
            .and_then(|length| length.checked_add(LENGTH_END))
            .filter(|bytes| *bytes >= HEADER_BYTES)
            .ok_or_else(|| {
                let least = HEADER_BYTES - LENGTH_END;
                BatchError::Invalid(format!("length field {}; at least {least}", self.length))
            })
    }

    /// The codec.
    pub(super) fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_attributes(self.attributes)
    }

    /// How many records it says there are: at most as many as it takes offsets, fewer (or none) once it
    /// was compacted.
    pub(super) fn records(&self) -> Result<u32, BatchError> {
        let span = self.span()?;
        u32::try_from(self.record_count)
            .ok()
            .filter(|count| *count <= span)
            .ok_or_else(|| BatchError::Invalid(format!("record count {}", self.record_count)))
    }

    /// How many offsets it takes: those of its records, and of those compacted away.
    pub(super) fn span(&self) -> Result<u32, BatchError> {
        u32::try_from(self.last_offset_delta)
            .ok()
            .and_then(|last| last.checked_add(1))
            .filter(|span| i32::try_from(*span).is_ok())
            .ok_or_else(|| {
                BatchError::Invalid(format!("last offset delta {}", self.last_offset_delta))
            })
    }

    /// The time that all records have in place of their own, if the log's clock gave it.
    pub(super) fn log_append_time(&self) -> Option<i64> {
        (self.attributes & LOG_APPEND_TIME != 0).then_some(self.max_timestamp)
    }

    /// Compares the checksum with that of the bytes.
    pub(super) fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        let found = crc(batch);
        if found == self.crc { Ok(()) } else { Err(BatchError::Crc { expected: self.crc, found }) }
    }

    /// What a leader asks of a producer's header beyond its frame and checksum.
    pub(super) fn check_appendable(&self) -> Result<(), BatchError> {
        let refuse = |why| Err(BatchError::Invalid(why));
        if self.attributes & CONTROL != 0 {
            return refuse("control batch; only the log itself writes those".to_owned());
        }
        if self.attributes & TRANSACTIONAL != 0 {
            return refuse("transactional batch; transactions are not supported".to_owned());
        }
        // Only compaction makes holes.
        if self.last_offset_delta.checked_add(1) != Some(self.record_count) {
            return refuse(format!(
                "last offset delta {} with record count {}",
                self.last_offset_delta, self.record_count
            ));
        }
        if self.producer_id >= 0 && self.base_sequence < 0 {
            return refuse(format!(
                "base sequence {} of producer {}",
                self.base_sequence, self.producer_id
            ));
        }
        if self.producer_id >= 0 && self.producer_epoch < 0 {
            return refuse(format!(
                "epoch {} of producer {}",
                self.producer_epoch, self.producer_id
            ));
        }
        Ok(())
    }

    /// A batch with these fields and records in a codec.
    pub(super) fn with_records(mut self, codec: Compression, records: &[u8]) -> RecordBatch {
        self.attributes = (self.attributes & !CODEC) | codec.attributes();
        let mut batch = vec![0; HEADER_BYTES];
        deflate::deflate(codec, records, &mut batch);
        self.seal(&mut batch);
        RecordBatch::sealed(Bytes::from(batch))
    }

    /// Writes the fields over the first 61 bytes, with the length and the checksum of what is there.
    pub(super) fn seal(mut self, batch: &mut [u8]) {
        self.length = i32::try_from(batch.len() - LENGTH_END).expect("a batch stays below 2 GiB");
        self.write(batch);
        self.crc = crc(batch);
        self.write(batch);
    }

    fn write(&self, batch: &mut [u8]) {
        let mut head = batch
            .first_chunk_mut::<HEADER_BYTES>()
            .expect("room for the header was left in front")
            .as_mut_slice();
        head.put_i64(self.base_offset);
        head.put_i32(self.length);
        head.put_i32(self.leader_epoch);
        head.put_i8(self.magic);
        head.put_u32(self.crc);
        head.put_i16(self.attributes);
        head.put_i32(self.last_offset_delta);
        head.put_i64(self.base_timestamp);
        head.put_i64(self.max_timestamp);
        head.put_i64(self.producer_id);
        head.put_i16(self.producer_epoch);
        head.put_i32(self.base_sequence);
        head.put_i32(self.record_count);
    }
}

/// CRC-32C (Castagnoli) from the attributes to the end.
fn crc(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_END..).expect("a whole header is there"))
}

/// The first 16 bytes of a batch (base offset, length, leader epoch) as they are to be stored: what a
/// log stamps. They lie outside the checksum.
///
/// # Panics
/// If `batch` is not even a header.
pub fn stamped_head(batch: &[u8], base_offset: i64, leader_epoch: i32) -> [u8; 16] {
    let head = batch.first_chunk::<HEADER_BYTES>().expect("a batch has a header");
    let mut stamped = *head.first_chunk::<16>().expect("16 of 61 bytes");
    let mut rest = stamped.as_mut_slice();
    rest.put_i64(base_offset);
    let (_length, mut rest) = rest.split_at_mut(LENGTH_END - size_of::<i64>());
    rest.put_i32(leader_epoch);
    stamped
}

/// What a log needs of a batch's header: how many offsets it takes and its largest timestamp. Reads 61
/// bytes.
pub fn summary(batch: &[u8]) -> Result<(u32, i64), BatchError> {
    let header = Header::read(batch)?;
    header.records()?;
    Ok((header.span()?, header.max_timestamp))
}

/// Whether compaction left no record of a batch. Reads 61 bytes.
pub fn is_empty(batch: &[u8]) -> bool {
    Header::read(batch).is_ok_and(|header| header.record_count == 0)
}

/// Which of its producer's records an idempotent batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequenced {
    /// The producer, from 0.
    pub producer_id: i64,
    /// Its epoch: a later one fences the earlier.
    pub epoch: i16,
    /// The sequence number of the first record.
    pub first: i32,
    /// The sequence number of the last one. `i32::MAX` is followed by 0.
    pub last: i32,
}

impl Sequenced {
    /// What a batch's header says of its producer; `None` without one. `batch` is at least a header.
    pub fn of(batch: &[u8]) -> Option<Self> {
        let mut fields = batch.get(PRODUCER_AT..HEADER_BYTES)?;
        let producer_id = fields.get_i64();
        if producer_id < 0 {
            return None;
        }
        let (epoch, first) = (fields.get_i16(), fields.get_i32());
        let mut delta = batch.get(LAST_DELTA_AT..PRODUCER_AT)?;
        let last = add_sequence(first, delta.get_i32());
        Some(Self { producer_id, epoch, first, last })
    }

    /// How many records that are.
    pub fn records(&self) -> u32 {
        (self.last.wrapping_sub(self.first).cast_unsigned() & SEQUENCE_MASK) + 1
    }

    /// Whether it begins in the half of the circle that is still to come once `due` is the next.
    pub fn is_ahead_of(&self, due: i32) -> bool {
        const HALF: u32 = 1 << 30;
        (1..HALF).contains(&(self.first.wrapping_sub(due).cast_unsigned() & SEQUENCE_MASK))
    }

    /// The sequence number after its last.
    pub fn next(&self) -> i32 {
        add_sequence(self.last, 1)
    }
}

/// Sequence numbers have 31 bits.
const SEQUENCE_MASK: u32 = 0x7fff_ffff;

/// The sequence number so many records later.
fn add_sequence(sequence: i32, records: i32) -> i32 {
    (sequence.wrapping_add(records).cast_unsigned() & SEQUENCE_MASK).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        base_offset: 1,
        length: 49,
        leader_epoch: 2,
        magic: MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: 4,
        base_timestamp: 6,
        max_timestamp: 7,
        producer_id: 8,
        producer_epoch: 9,
        base_sequence: 10,
        record_count: 5,
    };

    fn sealed(header: Header) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        header.seal(&mut bytes);
        bytes
    }

    #[test]
    fn a_sealed_header_is_read_back() {
        let bytes = sealed(HEADER);
        let read = Header::read_framed(&bytes).unwrap();
        assert_eq!(read, Header { crc: read.crc, ..HEADER });
        assert_eq!(read.check_crc(&bytes), Ok(()));
        assert_eq!(read.check_appendable(), Ok(()));
        assert_eq!(summary(&bytes), Ok((5, 7)));
    }

    #[test]
    fn a_compacted_header_takes_the_offsets_of_all_its_records() {
        for record_count in [0, 1, 5] {
            let bytes = sealed(Header { record_count, ..HEADER });
            let read = Header::read_framed(&bytes).unwrap();
            assert_eq!(
                (read.records().unwrap(), read.span().unwrap()),
                (record_count.cast_unsigned(), 5)
            );
            assert_eq!(summary(&bytes), Ok((5, 7)));
        }
    }

    #[test]
    fn the_checksum_begins_at_the_attributes() {
        for at in 0..HEADER_BYTES {
            let mut bytes = sealed(HEADER);
            bytes[at] ^= 1;
            let read = Header::read(&bytes);
            let covered = read.is_ok_and(|header| header.check_crc(&bytes).is_ok());
            assert_eq!(covered, at < MAGIC_AT, "byte {at}");
        }
    }

    #[test]
    fn stamping_leaves_length_and_checksum_alone() {
        let mut bytes = sealed(HEADER);
        let stamped = stamped_head(&bytes, i64::MAX, 77);
        bytes[..16].copy_from_slice(&stamped);
        let read = Header::read_framed(&bytes).unwrap();
        assert_eq!((read.base_offset, read.length, read.leader_epoch), (i64::MAX, 49, 77));
        assert_eq!(read.check_crc(&bytes), Ok(()));
    }

    #[test]
    fn a_header_that_no_leader_appends_is_refused() {
        let rows = [
            (Header { record_count: 4, ..HEADER }, "last offset delta 4 with record count 4"),
            (Header { record_count: 0, ..HEADER }, "last offset delta 4 with record count 0"),
            (Header { attributes: CONTROL, ..HEADER }, "control batch; only the log itself"),
            (Header { attributes: TRANSACTIONAL, ..HEADER }, "transactional batch"),
            (Header { last_offset_delta: 5, ..HEADER }, "last offset delta 5 with record count 5"),
            (Header { last_offset_delta: i32::MAX, ..HEADER }, "last offset delta 2147483647"),
            (Header { base_sequence: -1, ..HEADER }, "base sequence -1 of producer 8"),
            (Header { producer_epoch: -1, ..HEADER }, "epoch -1 of producer 8"),
        ];
        for (header, why) in rows {
            let error = header.check_appendable().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let without_producer = Header { producer_id: -1, base_sequence: -1, ..HEADER };
        assert_eq!(without_producer.check_appendable(), Ok(()));
    }

    #[test]
    fn a_sequence_is_read_from_the_header_alone_and_wraps() {
        let of = |header: Header| Sequenced::of(&sealed(header));
        let whole = Sequenced { producer_id: 8, epoch: 9, first: 10, last: 14 };
        assert_eq!(of(HEADER), Some(whole));
        assert_eq!((whole.records(), whole.next()), (5, 15));
        assert!(whole.is_ahead_of(9) && whole.is_ahead_of(i32::MAX));
        assert!(!whole.is_ahead_of(10) && !whole.is_ahead_of(11));
        assert_eq!(of(Header { producer_id: -1, ..HEADER }), None);
        let wrapped = of(Header { base_sequence: i32::MAX - 1, ..HEADER }).unwrap();
        assert_eq!((wrapped.last, wrapped.records(), wrapped.next()), (2, 5, 3));
        let end = of(Header { base_sequence: i32::MAX, last_offset_delta: 0, ..HEADER }).unwrap();
        assert_eq!((end.last, end.records(), end.next()), (i32::MAX, 1, 0));
        // What compaction left without a record still holds its sequence numbers.
        assert_eq!(of(Header { record_count: 0, ..HEADER }), Some(whole));
        assert_eq!(Sequenced::of(&sealed(HEADER)[..60]), None);
    }

    #[test]
    fn a_frame_that_cannot_be_is_refused() {
        let bytes = sealed(HEADER);
        let with = |at: usize, part: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[at..at + part.len()].copy_from_slice(part);
            Header::read_framed(&bytes).unwrap_err().to_string()
        };
        assert_eq!(
            Header::read_framed(&bytes[..60]).unwrap_err(),
            BatchError::Short { need: 61, have: 60 }
        );
        assert_eq!(Header::read_framed(&[0; 17]).unwrap_err(), BatchError::Magic(0));
        assert_eq!(with(8, &[0, 0, 0, 48]), "record batch: length field 48; at least 49");
        assert_eq!(with(8, &[0xff; 4]), "record batch: length field -1; at least 49");
        assert_eq!(with(8, &[0, 0, 0, 50]), "record batch: 61 bytes where 62 are needed");
        assert_eq!(with(16, &[1]), "record batch: magic 1; only magic 2 is supported");
        assert_eq!(with(21, &[0, 6]), "record batch: unknown compression codec 6");
        assert_eq!(with(57, &[0xff; 4]), "record batch: record count -1");
        assert_eq!(with(57, &[0, 0, 0, 6]), "record batch: record count 6", "of 5 offsets");
        assert_eq!(with(23, &[0xff; 4]), "record batch: last offset delta -1");
        assert_eq!(
            with(23, &[0x7f, 0xff, 0xff, 0xff]),
            "record batch: last offset delta 2147483647"
        );
    }
}
