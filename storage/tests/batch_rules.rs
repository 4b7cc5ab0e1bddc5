//! What a leader's append takes and refuses, one row at a time, and how a batch is read in part.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::{BufMut as _, Bytes, BytesMut};
use std::io::Write as _;
use storage::batch::{
    BatchBuilder, BatchError, Compression, HEADER_BYTES, Record, RecordBatch, stamped_head, summary,
};

const ATTRIBUTES_AT: usize = 21;
const LAST_DELTA_AT: usize = 23;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_AT: usize = 43;
const COUNT_AT: usize = 57;
const COMPRESSED: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn record(timestamp: i64, value: &str) -> Record {
    Record { timestamp, value: Some(value.to_owned().into()), ..Record::default() }
}

fn three(codec: Compression) -> RecordBatch {
    RecordBatch::build(&[record(10, "a"), record(30, "b"), record(20, "c")], codec)
}

/// With bytes put over a batch, and then length and checksum as they ought to be.
fn resealed(batch: &RecordBatch, at: usize, part: &[u8]) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    bytes[at..at + part.len()].copy_from_slice(part);
    seal(bytes)
}

fn seal(mut bytes: Vec<u8>) -> Bytes {
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// A batch with the header of `batch` around other records.
fn around(batch: &RecordBatch, records: &[u8]) -> Bytes {
    seal([&batch.bytes()[..HEADER_BYTES], records].concat())
}

fn refusal(bytes: Bytes) -> String {
    RecordBatch::check(bytes).unwrap_err().to_string()
}

#[test]
fn exactly_one_whole_batch_is_taken() {
    let bytes = three(Compression::None).into_bytes();
    let all = bytes.len();
    let short = BatchError::Short { need: all, have: all - 1 };
    assert_eq!(RecordBatch::check(bytes.slice(..all - 1)), Err(short));
    let headless = BatchError::Short { need: 61, have: 0 };
    assert_eq!(RecordBatch::check(Bytes::new()), Err(headless));
    let twice = Bytes::from([&bytes[..], &bytes[..]].concat());
    assert_eq!(RecordBatch::check(twice), Err(BatchError::Trailing(all)));
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = three(Compression::None).into_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(RecordBatch::check(bytes.into()), Err(BatchError::Crc { .. })));
}

#[test]
fn headers_that_no_producer_may_send_are_refused() {
    let rows: [(usize, &[u8], &str); 8] = [
        (ATTRIBUTES_AT, &[0, 5], "unknown compression codec 5"),
        (ATTRIBUTES_AT, &[0, 1 << 5], "control batch; only the log itself writes those"),
        (ATTRIBUTES_AT, &[0, 1 << 4], "transactional batch; transactions are not supported"),
        (LAST_DELTA_AT, &[0, 0, 0, 3], "last offset delta 3 with record count 3"),
        (LAST_DELTA_AT, &[0x7f, 0xff, 0xff, 0xff], "last offset delta 2147483647"),
        (COUNT_AT, &[0, 0, 0, 0], "record count 0"),
        (COUNT_AT, &[0x80, 0, 0, 0], "record count -2147483648"),
        (PRODUCER_AT, &[0, 0, 0, 0, 0, 0, 0, 7], "base sequence -1 of producer 7"),
    ];
    for codec in Compression::ALL {
        for (at, part, why) in rows {
            let mut part = part.to_vec();
            if at == ATTRIBUTES_AT && part[1] != 5 {
                part[1] |= codec as u8;
            }
            let error = refusal(resealed(&three(codec), at, &part));
            assert!(error.contains(why), "{codec}: {error}");
        }
    }
}

#[test]
fn records_that_do_not_fit_their_header_are_refused() {
    let one = RecordBatch::build(&[record(0, "")], Compression::None);
    let rows: [(&[u8], &str); 16] = [
        (&[], "record 0: length is no varint"),
        (&[0x01], "record 0: -1 bytes long where 0 are left"),
        (&[0x0e, 0, 0, 0, 1, 1, 0], "record 0: 7 bytes long where 6 are left"),
        (&[0x00], "record 0: is empty"),
        (&[0x02, 0], "record 0: timestamp delta is no varint"),
        (&[0x04, 0, 0], "record 0: offset delta is no varint"),
        (&[0x0c, 0, 0, 2, 1, 1, 0], "record 0: offset delta 1"),
        (&[0x06, 0, 0, 0], "record 0: length of its key is no varint"),
        (&[0x0c, 0, 0, 0, 3, 1, 0], "record 0: key of -2 bytes where 2 are left"),
        (&[0x0c, 0, 0, 0, 1, 4, 0], "record 0: value of 2 bytes where 1 are left"),
        (&[0x0a, 0, 0, 0, 1, 1], "record 0: header count is no varint"),
        (&[0x0c, 0, 0, 0, 1, 1, 1], "record 0: header count -1"),
        (&[0x0e, 0, 0, 0, 1, 1, 2, 1], "record 0: header name is null"),
        (&[0x0c, 0, 0, 0, 1, 1, 2], "record 0: length of its header name is no varint"),
        (&[0x0e, 0, 0, 0, 1, 1, 0, 9], "record 0: 1 bytes after its end"),
        (&[0x0c, 0, 0, 0, 1, 1, 0, 9, 9], "2 bytes after its last record"),
    ];
    for (records, why) in rows {
        assert_eq!(refusal(around(&one, records)), format!("record batch: {why}"));
    }
}

#[test]
fn compressed_records_are_walked_only_on_demand() {
    for codec in COMPRESSED {
        let five = RecordBatch::build(&vec![record(0, "x"); 5], codec);
        let lying = around(&three(codec), &five.bytes()[HEADER_BYTES..]);
        let batch = RecordBatch::check(lying).unwrap();
        let error = batch.validate_records(1000).unwrap_err();
        assert_eq!(error.to_string(), "record batch: 16 bytes after its last record", "{codec}");
        assert_eq!(batch.records(1000), Err(error));

        let garbage = RecordBatch::check(around(&three(codec), b"garbage")).unwrap();
        let error = garbage.validate_records(1000).unwrap_err().to_string();
        assert!(error.starts_with(&format!("record batch: {codec} block: ")), "{error}");
        assert_eq!(three(codec).validate_records(1000), Ok(()));
    }
}

#[test]
fn inflating_stops_at_the_limit() {
    let records: Vec<_> = (0..100).map(|at| record(at, &"v".repeat(3000))).collect();
    let inflated = RecordBatch::build(&records, Compression::None).bytes().len() - HEADER_BYTES;
    for codec in COMPRESSED {
        let batch = RecordBatch::build(&records, codec);
        assert!(batch.bytes().len() < inflated / 10, "{codec}");
        assert_eq!(batch.records(inflated).as_ref(), Ok(&records), "{codec}");
        for limit in [inflated - 1, 1000, 1, 0] {
            let refused = batch.records(limit);
            assert_eq!(refused, Err(BatchError::TooLarge(limit)), "{codec} at {limit}");
        }
    }
}

#[test]
fn a_zstd_frame_that_does_not_say_its_size_inflates_up_to_the_limit() {
    let plain = RecordBatch::build(&vec![record(0, &"v".repeat(1000)); 1000], Compression::None);
    let block = &plain.bytes()[HEADER_BYTES..];
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(block).unwrap();
    let frame = encoder.finish().unwrap();
    assert!(frame.len() * 100 < block.len());
    let header = RecordBatch::build(&vec![record(0, ""); 1000], Compression::Zstd);
    let batch = RecordBatch::check(around(&header, &frame)).unwrap();
    assert_eq!(batch.records(block.len()).unwrap().len(), 1000);
    assert_eq!(batch.records(block.len() - 1), Err(BatchError::TooLarge(block.len() - 1)));
}

#[test]
fn a_zstd_window_of_two_gigabytes_costs_nothing() {
    let plain = three(Compression::None);
    let block = &plain.bytes()[HEADER_BYTES..];
    let mut frame = BytesMut::new();
    frame.put_u32_le(0xFD2F_B528);
    frame.put_u8(0); // no content size, no checksum, a window follows
    frame.put_u8(21 << 3); // 2^(10 + 21) bytes
    let raw_and_last = (u32::try_from(block.len()).unwrap() << 3) | 1;
    frame.put_uint_le(u64::from(raw_and_last), 3);
    frame.put_slice(block);
    let batch = RecordBatch::check(around(&three(Compression::Zstd), &frame)).unwrap();
    assert_eq!(batch.records(block.len()), plain.records(0));
}

#[test]
fn what_a_frame_says_it_inflates_to_is_not_believed_beyond_the_limit() {
    let mut zstd = BytesMut::new();
    zstd.put_u32_le(0xFD2F_B528);
    zstd.put_u8(3 << 6); // a content size of 8 bytes, and a window
    zstd.put_u8(0);
    zstd.put_u64_le(1 << 62);
    let snappy = [0xff, 0xff, 0xff, 0xff, 0x0f]; // u32::MAX
    for (codec, block) in [(Compression::Zstd, &zstd[..]), (Compression::Snappy, &snappy)] {
        let batch = RecordBatch::check(around(&three(codec), block)).unwrap();
        assert_eq!(batch.records(1000), Err(BatchError::TooLarge(1000)), "{codec}");
    }
}

#[test]
fn snappy_is_read_with_and_without_its_framing() {
    let plain = three(Compression::None);
    let framed = three(Compression::Snappy);
    assert!(framed.bytes()[HEADER_BYTES..].starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    let raw = snap::raw::Encoder::new().compress_vec(&plain.bytes()[HEADER_BYTES..]).unwrap();
    let raw = RecordBatch::check(around(&framed, &raw)).unwrap();
    assert_eq!(raw.records(1000), plain.records(0));
    let cut = framed.bytes().slice(HEADER_BYTES..framed.bytes().len() - 1);
    let cut = RecordBatch::check(around(&framed, &cut)).unwrap();
    let error = cut.records(1000).unwrap_err().to_string();
    assert!(error.contains("snappy block: block of "), "{error}");
}

#[test]
fn gzip_members_one_after_the_other_are_one_block() {
    let plain = three(Compression::None);
    let (head, tail) = plain.bytes()[HEADER_BYTES..].split_at(9);
    let mut members = Vec::new();
    for part in [head, tail] {
        let mut encoder = flate2::write::GzEncoder::new(&mut members, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    let batch = RecordBatch::check(around(&three(Compression::Gzip), &members)).unwrap();
    assert_eq!(batch.records(1000), plain.records(0));
}

#[test]
fn a_largest_timestamp_that_does_not_fit_is_set_right() {
    let good = three(Compression::None);
    assert_eq!(good.max_timestamp(), 30);
    for lie in [-1_i64, 29, i64::MAX] {
        let batch =
            RecordBatch::check(resealed(&good, MAX_TIMESTAMP_AT, &lie.to_be_bytes())).unwrap();
        assert_eq!(batch, good);
    }
    let compressed = three(Compression::Lz4);
    let lying = resealed(&compressed, MAX_TIMESTAMP_AT, &31_i64.to_be_bytes());
    assert_eq!(RecordBatch::check(lying).unwrap().max_timestamp(), 31, "trusted");
}

#[test]
fn log_append_time_replaces_the_records_own() {
    let batch = RecordBatch::check(resealed(&three(Compression::None), ATTRIBUTES_AT, &[0, 8]));
    let times: Vec<_> =
        batch.unwrap().records(0).unwrap().into_iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [30, 30, 30]);
}

#[test]
fn concatenated_batches_are_split_and_each_is_checked() {
    let batches = [three(Compression::None), three(Compression::Gzip), three(Compression::Zstd)];
    let parts = batches.each_ref().map(|batch| &batch.bytes()[..]);
    let all = Bytes::from(parts.concat());
    assert_eq!(RecordBatch::split(all.clone()).unwrap(), batches);
    assert_eq!(RecordBatch::split(Bytes::new()).unwrap(), []);
    let cut = all.slice(..all.len() - 1);
    assert!(matches!(RecordBatch::split(cut), Err(BatchError::Short { .. })));
    let mut flipped = all.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(RecordBatch::split(flipped.into()), Err(BatchError::Crc { .. })));
}

#[test]
fn reading_begins_in_the_middle_of_a_stamped_batch() {
    for codec in Compression::ALL {
        let built = three(codec);
        let mut bytes = built.bytes().to_vec();
        bytes[..16].copy_from_slice(&stamped_head(built.bytes(), 1000, 7));
        let batch = RecordBatch::check(bytes.into()).unwrap();
        assert_eq!(RecordBatch::stored(batch.bytes().clone()).unwrap(), batch);
        assert_eq!((batch.base_offset(), batch.leader_epoch()), (1000, 7));
        assert_eq!(summary(batch.bytes()), Ok((3, 30)));

        let records = batch.decode(1000).unwrap();
        let from = |offset| -> Vec<_> {
            let read = records.iter_from(offset).map(Result::unwrap);
            read.map(|record| (record.offset, record.timestamp, record.value.unwrap())).collect()
        };
        let all = [(1000, 10, &b"a"[..]), (1001, 30, &b"b"[..]), (1002, 20, &b"c"[..])];
        assert_eq!(from(i64::MIN), all);
        assert_eq!(from(1000), all);
        assert_eq!(from(1001), all[1..]);
        assert_eq!(from(1002), all[2..]);
        assert_eq!(from(1003), []);
        assert_eq!(from(i64::MAX), []);
    }
}

#[test]
fn keys_and_values_of_an_uncompressed_batch_are_slices_of_it() {
    let batch = three(Compression::None);
    let within = batch.bytes().as_ptr_range();
    for record in batch.records(0).unwrap() {
        assert!(within.contains(&record.value.unwrap().as_ptr()));
    }
}

#[test]
fn a_header_name_that_is_not_utf_8_does_not_spoil_its_batch() {
    let one = RecordBatch::build(&[record(0, "")], Compression::None);
    let named_ff = [0x12, 0, 0, 0, 1, 1, 2, 2, 0xff, 1];
    let batch = RecordBatch::check(around(&one, &named_ff)).unwrap();
    assert_eq!(batch.records(0).unwrap()[0].headers[0].name, "\u{fffd}");
}

#[test]
fn the_builder_counts_what_it_holds() {
    let mut builder = BatchBuilder::with_capacity(100);
    assert!(builder.is_empty());
    assert_eq!((builder.len_bytes(), builder.record_count()), (HEADER_BYTES, 0));
    builder.push(5, Some(b"k"), None, [("h", None)]);
    builder.push(4, None, Some(b"v"), []);
    assert_eq!(builder.record_count(), 2);
    let bytes = builder.len_bytes();
    let batch = builder.finish(Compression::None);
    assert_eq!(batch.bytes().len(), bytes);
    assert_eq!((batch.record_count(), batch.max_timestamp()), (2, 5));
}
