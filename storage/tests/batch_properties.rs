//! The decoder is total, and what is built is read back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use storage::batch::{Compression, HEADER_BYTES, Record, RecordBatch, RecordHeader};

const INFLATED_BYTES_MAX: usize = 1 << 16;
const RECORDS_MAX: usize = 12;

fn blob(bytes_max: usize) -> impl Strategy<Value = Option<Bytes>> {
    option::of(vec(any::<u8>(), 0..bytes_max).prop_map(Bytes::from))
}

fn header() -> impl Strategy<Value = RecordHeader> {
    // Few names, so that some come twice.
    (prop_oneof!["[ab]", ".{0,8}"], blob(20)).prop_map(|(name, value)| RecordHeader { name, value })
}

fn timestamp() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 1_700_000_000_000..1_700_000_100_000_i64,
        1 => any::<i64>(),
        1 => select(vec![i64::MIN, -1, 0, i64::MAX]),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (timestamp(), blob(40), blob(400), vec(header(), 0..4))
        .prop_map(|(timestamp, key, value, headers)| Record { timestamp, key, value, headers })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    vec(record(), 1..RECORDS_MAX)
}

fn codec() -> impl Strategy<Value = Compression> {
    select(Compression::ALL.to_vec())
}

/// What happens to bytes between a sender and us.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Extend(Vec<u8>),
    Overwrite(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        any::<Index>().prop_map(Damage::Cut),
        vec(any::<u8>(), 1..80).prop_map(Damage::Extend),
        (any::<Index>(), vec(any::<u8>(), 1..12))
            .prop_map(|(at, part)| Damage::Overwrite(at, part)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for damage in damage {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Flip(at, bit) => *at.get_mut(&mut bytes) ^= bit,
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Extend(more) => bytes.extend_from_slice(more),
            Damage::Overwrite(at, part) => {
                let at = at.index(bytes.len());
                bytes.iter_mut().skip(at).zip(part).for_each(|(byte, new)| *byte = *new);
            }
        }
    }
    bytes
}

/// Gives bytes the frame and checksum of a batch, so that what is behind those checks is reached.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads all there is to read of any bytes, in every way there is.
fn read_all(bytes: &[u8], from: i64) -> Result<(), TestCaseError> {
    let bytes = Bytes::copy_from_slice(bytes);
    let split = RecordBatch::split(bytes.clone());
    let checked = RecordBatch::check(bytes.clone());
    let stored = RecordBatch::stored(bytes);
    prop_assert!(checked.is_err() || (split.is_ok() && stored.is_ok()));
    for batch in split.into_iter().flatten().chain(checked).chain(stored) {
        let records = batch.records(INFLATED_BYTES_MAX);
        prop_assert_eq!(
            batch.validate_records(INFLATED_BYTES_MAX).err(),
            records.as_ref().err().cloned()
        );
        if let Ok(records) = &records {
            prop_assert_eq!(records.len(), batch.record_count() as usize);
        }
        if let Ok(decoded) = batch.decode(INFLATED_BYTES_MAX) {
            let read = decoded.iter_from(from).filter_map(Result::ok).count();
            prop_assert!(read <= batch.record_count() as usize);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(records in records(), codec in codec()) {
        let built = RecordBatch::build(&records, codec);
        prop_assert_eq!(built.record_count() as usize, records.len());
        prop_assert_eq!(Some(built.max_timestamp()), records.iter().map(|r| r.timestamp).max());
        let batch = RecordBatch::check(built.bytes().clone()).unwrap();
        prop_assert_eq!(&batch, &built);
        prop_assert_eq!(batch.records(INFLATED_BYTES_MAX).unwrap(), records);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), from in any::<i64>()) {
        read_all(&bytes, from)?;
        read_all(&seal(bytes), from)?;
    }

    #[test]
    fn any_block_under_a_right_header_is_read_or_refused(
        block in vec(any::<u8>(), 0..300),
        codec in codec(),
        from in -5..20_i64,
    ) {
        let header = RecordBatch::build(&[Record::default(), Record::default()], codec);
        read_all(&seal([&header.bytes()[..HEADER_BYTES], &block[..]].concat()), from)?;
    }

    #[test]
    fn damage_is_found_or_did_no_harm(
        records in records(),
        codec in codec(),
        damage in vec(damage(), 1..4),
    ) {
        let bytes = damaged(RecordBatch::build(&records, codec).bytes().to_vec(), &damage);
        if let Ok(batch) = RecordBatch::check(bytes.into()) {
            prop_assert_eq!(batch.records(INFLATED_BYTES_MAX).unwrap(), records);
        }
    }

    #[test]
    fn damage_under_a_right_checksum_is_read_or_refused(
        records in records(),
        codec in codec(),
        damage in vec(damage(), 1..4),
        from in -5..20_i64,
    ) {
        let bytes = damaged(RecordBatch::build(&records, codec).bytes().to_vec(), &damage);
        read_all(&bytes, from)?;
        read_all(&seal(bytes), from)?;
    }
}
