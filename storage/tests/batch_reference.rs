//! The same records through the crate kafka-protocol, both ways. Its headers are a map, so none is
//! given twice here; duplicates are in `batch_golden.rs`. For zstd it is handed the streaming coder,
//! whose frames, as those of Java's client, do not say what they inflate to.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::records as reference;
use std::io::{Read as _, Write as _};
use storage::batch::{BatchBuilder, Compression, Record, RecordBatch, RecordHeader};

const INFLATED_BYTES_MAX: usize = 1 << 20;

/// More than one block of every codec's framing; null and empty; timestamps out of order.
fn records() -> Vec<Record> {
    let text = |text: String| Some(Bytes::from(text));
    let mut records: Vec<Record> = (0_usize..500)
        .map(|at| Record {
            timestamp: 1_700_000_000_000 + i64::try_from(at * 7919 % 501).unwrap(),
            key: (at % 3 > 0).then(|| Bytes::from(format!("key-{at}"))),
            value: (at % 5 > 0).then(|| Bytes::from(format!("{:x}", at.pow(3)).repeat(60))),
            headers: (0..at % 4)
                .map(|header| RecordHeader {
                    name: format!("header-{header}"),
                    value: if header == 2 { None } else { text("x".repeat(header)) },
                })
                .collect(),
        })
        .collect();
    records.push(Record {
        key: text(String::new()),
        value: text(String::new()),
        ..records[0].clone()
    });
    records
}

fn to_reference(codec: Compression) -> reference::Compression {
    match codec {
        Compression::None => reference::Compression::None,
        Compression::Gzip => reference::Compression::Gzip,
        Compression::Snappy => reference::Compression::Snappy,
        Compression::Lz4 => reference::Compression::Lz4,
        Compression::Zstd => reference::Compression::Zstd,
    }
}

fn reference_record(offset: usize, record: &Record) -> reference::Record {
    reference::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 4711,
        producer_epoch: 3,
        timestamp_type: reference::TimestampType::Creation,
        offset: i64::try_from(offset).unwrap(),
        sequence: 42 + i32::try_from(offset).unwrap(),
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record
            .headers
            .iter()
            .map(|header| (header.name.clone().into(), header.value.clone()))
            .collect(),
    }
}

#[test]
fn the_reference_reads_what_we_build() {
    let records = records();
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new().producer(4711, 3, 42);
        for record in &records {
            let headers = record.headers.iter();
            builder.push(
                record.timestamp,
                record.key.as_deref(),
                record.value.as_deref(),
                headers.map(|header| (header.name.as_str(), header.value.as_deref())),
            );
        }
        let mut bytes = builder.finish(codec).into_bytes();
        let decoded = if codec == Compression::Zstd {
            let inflate = |block: &mut Bytes, _codec| {
                let mut inflated = Vec::new();
                zstd::stream::read::Decoder::new(&block[..])?.read_to_end(&mut inflated)?;
                Ok(Bytes::from(inflated))
            };
            reference::RecordBatchDecoder::decode_with_custom_compression(&mut bytes, Some(inflate))
        } else {
            reference::RecordBatchDecoder::decode(&mut bytes)
        };
        let expected: Vec<_> =
            records.iter().enumerate().map(|(at, record)| reference_record(at, record)).collect();
        assert_eq!(decoded.unwrap().records, expected, "{codec}");
    }
}

#[test]
fn we_read_what_the_reference_builds() {
    let records = records();
    let theirs: Vec<_> =
        records.iter().enumerate().map(|(at, record)| reference_record(at, record)).collect();
    for codec in Compression::ALL {
        let mut bytes = BytesMut::new();
        let options =
            reference::RecordEncodeOptions { version: 2, compression: to_reference(codec) };
        let zstd = |records: &mut BytesMut, to: &mut BytesMut, _codec| {
            let mut encoder = zstd::stream::write::Encoder::new(to.writer(), 3)?;
            encoder.write_all(records)?;
            encoder.finish()?;
            Ok(())
        };
        let coder = (codec == Compression::Zstd).then_some(zstd);
        reference::RecordBatchEncoder::encode_with_custom_compression(
            &mut bytes, &theirs, &options, coder,
        )
        .unwrap();
        let batch = RecordBatch::check(bytes.freeze()).unwrap();
        assert_eq!(batch.records(INFLATED_BYTES_MAX).unwrap(), records, "{codec}");
        let latest = records.iter().map(|record| record.timestamp).max();
        assert_eq!(Some(batch.max_timestamp()), latest);
        let producer = (batch.producer_id(), batch.producer_epoch(), batch.base_sequence());
        assert_eq!(producer, (4711, 3, 42));
    }
}
