//! Batches that someone else wrote, byte by byte: one by hand, the others by kafka-python 3.0.12.
//!
//! Those under `golden/` were made with `pip install kafka-python python-snappy lz4 zstandard` and
//!
//! ```python
//! from kafka.record.default_records import DefaultRecordBatchBuilder
//! records = [
//!     (1700000000000, b"key", b"value", []),
//!     (1699999999000, None, b"older, without a key",
//!      [("h", b"1"), ("h", b"2"), ("empty", b""), ("null", None)]),
//!     (1700000000500, b"tombstone", None, [("größe", "ü".encode())]),
//!     (1700000000001, b"", b"", []),
//!     (1700000009999, b"long", b"0123456789abcdef" * 6000, []),
//! ]
//! for codec, name in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
//!     builder = DefaultRecordBatchBuilder(2, codec, is_transactional=False, producer_id=4711,
//!                                         producer_epoch=3, base_sequence=42, batch_size=1 << 20)
//!     for offset, (timestamp, key, value, headers) in enumerate(records):
//!         if name == "none" and key == b"long":
//!             value = value[:16]
//!         assert builder.append(offset, timestamp, key, value, headers) is not None
//!     open(f"kafka-python-{name}.batch", "wb").write(builder.build())
//! ```
//!
//! and, since some clients write lz4 with blocks that refer to each other,
//!
//! ```python
//! import lz4.frame, crc32c, struct
//! builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
//! builder.append(0, 1, None, b"0123456789abcdef" * 20000, [])
//! plain = bytes(builder.build())
//! frame = lz4.frame.compress(plain[61:], block_linked=True, content_checksum=True,
//!                            block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_checksum=True,
//!                            store_size=True)
//! body = b"\0\3" + plain[23:61] + frame
//! open("python-lz4-linked.batch", "wb").write(
//!     struct.pack(">qiibI", 0, len(body) + 9, -1, 2, crc32c.crc32c(body)) + body)
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use storage::batch::{Compression, Record, RecordBatch, RecordHeader};

const INFLATED_BYTES_MAX: usize = 1 << 20;

/// Two records, written out by hand; its CRC-32C comes from Python's crc32c package.
const BY_HAND: &[&str] = &[
    "0000000000000000", // base offset
    "00000045",         // length: 69 bytes follow
    "ffffffff",         // leader epoch: none
    "02",               // magic
    "83431425",         // CRC-32C of what follows
    "0000",             // attributes: not compressed, create time
    "00000001",         // last offset delta
    "00000000000003e8", // base timestamp: 1000
    "00000000000003e8", // largest timestamp: 1000
    "ffffffffffffffff", // producer id: none
    "ffff",             // producer epoch: none
    "ffffffff",         // base sequence: none
    "00000002",         // records
    "18",               // record 0: 12 bytes
    "00",               // attributes
    "00",               // timestamp delta 0
    "00",               // offset delta 0
    "026b",             // key "k"
    "0276",             // value "v"
    "02",               // one header
    "02680231",         // "h": "1"
    "0c",               // record 1: 6 bytes
    "00",               // attributes
    "01",               // timestamp delta -1
    "02",               // offset delta 1
    "01",               // no key
    "01",               // no value
    "00",               // no headers
];

fn by_hand() -> Bytes {
    let hex = BY_HAND.concat();
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "keys and values are optional; it shortens the tables"
)]
fn some(of: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(of.as_bytes()))
}

fn header(name: &str, value: Option<Bytes>) -> RecordHeader {
    RecordHeader { name: name.to_owned(), value }
}

fn records_by_hand() -> Vec<Record> {
    vec![
        Record {
            timestamp: 1000,
            key: some("k"),
            value: some("v"),
            headers: vec![header("h", some("1"))],
        },
        Record { timestamp: 999, ..Record::default() },
    ]
}

fn records_of_python(long: usize) -> Vec<Record> {
    let record = |timestamp, key, value, headers| Record { timestamp, key, value, headers };
    let duplicates = vec![
        header("h", some("1")),
        header("h", some("2")),
        header("empty", some("")),
        header("null", None),
    ];
    vec![
        record(1_700_000_000_000, some("key"), some("value"), vec![]),
        record(1_699_999_999_000, None, some("older, without a key"), duplicates),
        record(1_700_000_000_500, some("tombstone"), None, vec![header("größe", some("ü"))]),
        record(1_700_000_000_001, some(""), some(""), vec![]),
        record(
            1_700_000_009_999,
            some("long"),
            Some(b"0123456789abcdef".repeat(long).into()),
            vec![],
        ),
    ]
}

#[test]
fn the_batch_written_by_hand_is_read() {
    let batch = RecordBatch::check(by_hand()).unwrap();
    assert_eq!(batch.records(0).unwrap(), records_by_hand());
    assert_eq!(batch.record_count(), 2);
    assert_eq!(batch.max_timestamp(), 1000);
    assert_eq!(batch.compression(), Compression::None);
    assert_eq!(batch.base_offset(), 0);
    assert_eq!(batch.leader_epoch(), -1);
    assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (-1, -1, -1));
    assert_eq!(batch.bytes(), &by_hand());
}

#[test]
fn the_builder_writes_the_batch_written_by_hand() {
    let built = RecordBatch::build(&records_by_hand(), Compression::None);
    assert_eq!(built.into_bytes(), by_hand());
}

#[test]
fn batches_of_kafka_python_are_read() {
    let rows: [(&'static [u8], Compression, usize); 5] = [
        (include_bytes!("golden/kafka-python-none.batch"), Compression::None, 1),
        (include_bytes!("golden/kafka-python-gzip.batch"), Compression::Gzip, 6000),
        (include_bytes!("golden/kafka-python-snappy.batch"), Compression::Snappy, 6000),
        (include_bytes!("golden/kafka-python-lz4.batch"), Compression::Lz4, 6000),
        (include_bytes!("golden/kafka-python-zstd.batch"), Compression::Zstd, 6000),
    ];
    for (file, codec, long) in rows {
        let batch = RecordBatch::check(Bytes::from_static(file)).unwrap();
        assert_eq!(batch.compression(), codec);
        assert_eq!(batch.records(INFLATED_BYTES_MAX).unwrap(), records_of_python(long), "{codec}");
        assert_eq!(batch.max_timestamp(), 1_700_000_009_999);
        assert_eq!(batch.leader_epoch(), 0);
        let producer = (batch.producer_id(), batch.producer_epoch(), batch.base_sequence());
        assert_eq!(producer, (4711, 3, 42));
    }
}

#[test]
fn linked_lz4_blocks_with_every_optional_field_are_read() {
    let file = Bytes::from_static(include_bytes!("golden/python-lz4-linked.batch"));
    let batch = RecordBatch::check(file).unwrap();
    let expected = Record {
        timestamp: 1,
        value: Some(b"0123456789abcdef".repeat(20_000).into()),
        ..Record::default()
    };
    assert_eq!(batch.records(INFLATED_BYTES_MAX).unwrap(), [expected]);
}
