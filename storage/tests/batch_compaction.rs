//! A batch of which records were taken: what is left reads as it read before, here and in the crate
//! kafka-protocol, and takes the same offsets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::RecordBatchDecoder;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::io::Read as _;
use storage::batch::{
    self, BatchBuilder, BatchError, Compression, HEADER_BYTES, Record, RecordBatch, stamped_head,
};

const INFLATED_BYTES_MAX: usize = 1 << 16;
const BASE_OFFSET: i64 = 1_000;
const EPOCH: i32 = 7;

/// Records, and whether each is kept.
fn records() -> impl Strategy<Value = Vec<(Record, bool)>> {
    let blob = || option::of(vec(any::<u8>(), 0..60).prop_map(Bytes::from));
    let record = (1_700_000_000_000..1_700_000_100_000_i64, blob(), blob())
        .prop_map(|(timestamp, key, value)| Record { timestamp, key, value, headers: Vec::new() });
    vec((record, any::<bool>()), 1..30)
}

/// As a log has it: from a producer, stamped.
fn stored(records: &[(Record, bool)], codec: Compression) -> RecordBatch {
    let mut builder = BatchBuilder::new().producer(4711, 3, 42);
    for (record, _) in records {
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), []);
    }
    let built = builder.finish(codec).into_bytes();
    let mut bytes = BytesMut::from(&built[..]);
    bytes[..16].copy_from_slice(&stamped_head(&built, BASE_OFFSET, EPOCH));
    RecordBatch::stored(bytes.freeze()).unwrap()
}

/// Offset, time, key and value of each record.
type Read = Vec<(i64, i64, Option<Bytes>, Option<Bytes>)>;

fn read(batch: &RecordBatch, from: i64) -> Read {
    let records = batch.decode(INFLATED_BYTES_MAX).unwrap();
    records
        .iter_from(from)
        .map(|record| {
            let record = record.unwrap();
            (record.offset, record.timestamp, record.key_bytes(), record.value_bytes())
        })
        .collect()
}

/// What is to be read of the records that are kept.
fn kept(records: &[(Record, bool)]) -> Read {
    let numbered = (BASE_OFFSET..).zip(records).filter(|(_, (_, kept))| *kept);
    numbered
        .map(|(at, (record, _))| (at, record.timestamp, record.key.clone(), record.value.clone()))
        .collect()
}

fn retain(batch: &RecordBatch, records: &[(Record, bool)]) -> Option<RecordBatch> {
    let is_kept = |offset: i64| records[usize::try_from(offset - BASE_OFFSET).unwrap()].1;
    batch.retain(INFLATED_BYTES_MAX, |record| is_kept(record.offset)).unwrap()
}

fn by_reference(batch: &RecordBatch) -> Read {
    let mut bytes = batch.bytes().clone();
    let decoded = if batch.compression() == Compression::Zstd {
        let inflate = |block: &mut Bytes, _codec| {
            let mut inflated = Vec::new();
            zstd::stream::read::Decoder::new(&block[..])?.read_to_end(&mut inflated)?;
            Ok(Bytes::from(inflated))
        };
        RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(inflate))
    } else {
        RecordBatchDecoder::decode(&mut bytes)
    };
    let records = decoded.unwrap().records;
    records.into_iter().map(|r| (r.offset, r.timestamp, r.key, r.value)).collect()
}

proptest! {
    #[test]
    fn what_is_kept_reads_as_before_and_takes_the_same_offsets(
        records in records(),
        codec in select(Compression::ALL.to_vec()),
    ) {
        let whole = stored(&records, codec);
        let expected = kept(&records);
        let Some(left) = retain(&whole, &records) else {
            prop_assert_eq!(expected.len(), records.len(), "all are kept");
            return Ok(());
        };
        prop_assert_eq!(read(&left, i64::MIN), expected.clone());
        for from in (BASE_OFFSET - 1)..=(BASE_OFFSET + records.len() as i64) {
            let rest: Read = expected.iter().filter(|(at, ..)| *at >= from).cloned().collect();
            prop_assert_eq!(read(&left, from), rest, "from {}", from);
        }
        prop_assert_eq!(left.base_offset(), BASE_OFFSET);
        prop_assert_eq!(left.leader_epoch(), EPOCH);
        prop_assert_eq!(left.span() as usize, records.len());
        prop_assert_eq!(left.next_offset(), whole.next_offset());
        prop_assert_eq!(left.record_count() as usize, expected.len());
        let producer = (left.producer_id(), left.producer_epoch(), left.base_sequence());
        prop_assert_eq!(producer, (4711, 3, 42));
        let latest = expected.iter().map(|(_, timestamp, ..)| *timestamp).max().unwrap_or(-1);
        prop_assert_eq!(left.max_timestamp(), latest);
        prop_assert_eq!(batch::summary(left.bytes()), Ok((left.span(), latest)));
        prop_assert_eq!(batch::is_empty(left.bytes()), expected.is_empty());

        // It goes over the wire to readers, and is never appended again by a producer.
        prop_assert_eq!(RecordBatch::split_stored(left.bytes().clone()), Ok(vec![left.clone()]));
        let refused = RecordBatch::check(left.bytes().clone());
        prop_assert!(matches!(refused, Err(BatchError::Invalid(_))), "{:?}", refused);

        if expected.is_empty() {
            prop_assert_eq!(left.bytes().len(), HEADER_BYTES);
        } else {
            prop_assert_eq!(left.compression(), codec);
            prop_assert_eq!(by_reference(&left), expected);
        }
    }

    #[test]
    fn taking_records_twice_is_taking_all_of_them_at_once(
        records in records(),
        again in vec(any::<bool>(), 30),
        codec in select(Compression::ALL.to_vec()),
    ) {
        let whole = stored(&records, codec);
        let once = retain(&whole, &records).unwrap_or_else(|| whole.clone());
        let fewer: Vec<(Record, bool)> = records
            .iter()
            .zip(again)
            .map(|((record, kept), again)| (record.clone(), *kept && again))
            .collect();
        let twice = retain(&once, &fewer).unwrap_or_else(|| once.clone());
        let at_once = retain(&whole, &fewer).unwrap_or(whole);
        prop_assert_eq!(twice, at_once);
    }

    #[test]
    fn another_codec_has_the_same_records(
        records in records(),
        from in select(Compression::ALL.to_vec()),
        to in select(Compression::ALL.to_vec()),
    ) {
        let batch = stored(&records, from);
        let other = batch.clone().recompress(to, INFLATED_BYTES_MAX).unwrap();
        prop_assert_eq!(other.compression(), to);
        prop_assert_eq!(read(&other, 0), read(&batch, 0));
        prop_assert!(RecordBatch::check(other.into_bytes()).is_ok());
    }
}

#[test]
fn log_append_time_outlives_the_record_that_gave_the_largest_time() {
    let record = |timestamp| Record { timestamp, ..Record::default() };
    let records = [(record(5), true), (record(9), false)];
    let batch = stored(&records, Compression::Gzip).with_log_append_time(70);
    let left = retain(&batch, &records).unwrap();
    assert_eq!(read(&left, 0), [(BASE_OFFSET, 70, None, None)]);
    assert_eq!(left.max_timestamp(), 70);
}

#[test]
fn offsets_that_do_not_ascend_are_refused() {
    let record = |key: &'static str| Record { key: Some(key.into()), ..Record::default() };
    let records: Vec<(Record, bool)> = ["a", "b", "c"].map(|key| (record(key), key != "a")).into();
    let left = retain(&stored(&records, Compression::None), &records).unwrap();
    let mut bytes = left.bytes().to_vec();
    // The second record's offset delta, behind two lengths, attributes and a timestamp delta each.
    let record_bytes = (bytes.len() - HEADER_BYTES) / 2;
    bytes[HEADER_BYTES + record_bytes + 3] = bytes[HEADER_BYTES + 3];
    let error = RecordBatch::stored(bytes.into()).unwrap().records(100).unwrap_err();
    assert_eq!(error.to_string(), "record batch: record 1: offset delta 1");
}
