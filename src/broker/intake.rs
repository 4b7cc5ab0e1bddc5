//! What a leader makes of a batch before it appends it: as its topic's settings ask.
//!
//! | setting | the batch |
//! |---|---|
//! | `cleanup.policy` with `compact` | is refused if a record has no key |
//! | `compression.type` other than its codec | is encoded anew |
//! | `message.timestamp.type=LogAppendTime` | gets the leader's time |

use crate::config::INFLATED_BATCH_BYTES_MAX;
use crate::error::{Error, ErrorKind};
use crate::metadata::Settings;
use crate::metadata::settings::TimestampType;
use jiff::Timestamp;
use storage::batch::{BatchError, Compression, RecordBatch};

/// A batch larger than this is not walked on a thread that others wait for.
const WALK_BYTES_MAX: usize = 256 << 10;

/// What is asked of a batch.
#[derive(Debug, Clone, Copy)]
struct Asked {
    keys: bool,
    codec: Compression,
}

/// The batch as it is to be appended to the partition of that name.
pub(super) async fn take_in(
    name: &str,
    batch: RecordBatch,
    settings: &Settings,
) -> Result<RecordBatch, Error> {
    let codec = batch.compression();
    let asked = Asked {
        keys: settings.cleaning().is_some(),
        codec: settings.compression().unwrap_or(codec),
    };
    let is_plain = codec == Compression::None && batch.bytes().len() <= WALK_BYTES_MAX;
    let batch = if asked.codec == codec && (!asked.keys || is_plain) {
        conform(name, batch, asked)?
    } else {
        let name = name.to_owned();
        let conforming = tokio::task::spawn_blocking(move || conform(&name, batch, asked));
        conforming.await.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))??
    };
    Ok(match settings.timestamp_type() {
        TimestampType::CreateTime => batch,
        TimestampType::LogAppendTime => {
            batch.with_log_append_time(Timestamp::now().as_millisecond())
        }
    })
}

fn conform(name: &str, batch: RecordBatch, asked: Asked) -> Result<RecordBatch, Error> {
    let unreadable = |error: BatchError| {
        let kind = match error {
            BatchError::TooLarge(_) => ErrorKind::InflatedTooLarge,
            BatchError::Short { .. }
            | BatchError::Trailing(_)
            | BatchError::Magic(_)
            | BatchError::Crc { .. }
            | BatchError::Codec(_)
            | BatchError::Invalid(_)
            | BatchError::Record { .. } => ErrorKind::CorruptBatch,
        };
        Error::new(kind, format!("{name}: {error}"))
    };
    if asked.keys {
        let records = batch.decode(INFLATED_BATCH_BYTES_MAX).map_err(unreadable)?;
        for (number, record) in records.iter().enumerate() {
            if record.map_err(unreadable)?.key.is_none() {
                return Err(without_key(name, number));
            }
        }
    }
    batch.recompress(asked.codec, INFLATED_BATCH_BYTES_MAX).map_err(unreadable)
}

/// A record without a key is in the way of compaction for ever.
pub(crate) fn without_key(name: &str, number: usize) -> Error {
    let message = format!("{name} is compacted: record {number} has no key");
    Error::new(ErrorKind::InvalidRecord, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use storage::batch::Record;

    fn batch(keys: &[Option<&str>], codec: Compression) -> RecordBatch {
        let record = |key: Option<&str>| Record {
            timestamp: 5,
            key: key.map(|key| key.to_owned().into()),
            value: Some("value".repeat(50).into()),
            headers: Vec::new(),
        };
        RecordBatch::build(&keys.iter().copied().map(record).collect::<Vec<_>>(), codec)
    }

    fn settings(name: &str, value: &str) -> Settings {
        Settings::of(BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[tokio::test]
    async fn a_batch_is_taken_as_it_is_without_settings() {
        for codec in Compression::ALL {
            let batch = batch(&[None], codec);
            let taken = take_in("t-0", batch.clone(), &Settings::default()).await.unwrap();
            assert_eq!(taken, batch);
        }
    }

    #[tokio::test]
    async fn a_record_without_a_key_is_refused_where_keys_count() {
        for (policy, codec) in
            [("compact", Compression::None), ("compact,delete", Compression::Lz4)]
        {
            let settings = settings("cleanup.policy", policy);
            let keyed = batch(&[Some("a"), Some("")], codec);
            assert_eq!(take_in("t-0", keyed.clone(), &settings).await, Ok(keyed));
            let unkeyed = batch(&[Some("a"), None], codec);
            let error = take_in("t-0", unkeyed, &settings).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRecord);
            assert!(error.message.contains("record 1") && error.message.contains("t-0"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_batch_of_another_codec_is_encoded_anew() {
        for (name, wanted) in [("uncompressed", Compression::None), ("zstd", Compression::Zstd)] {
            for codec in Compression::ALL {
                let batch = batch(&[Some("a"), None], codec);
                let settings = settings("compression.type", name);
                let taken = take_in("t-0", batch.clone(), &settings).await.unwrap();
                assert_eq!(taken.compression(), wanted);
                assert_eq!(taken.records(1 << 20), batch.records(1 << 20));
                assert_eq!(RecordBatch::check(taken.bytes().clone()), Ok(taken));
            }
        }
    }

    #[tokio::test]
    async fn log_append_time_is_the_time_of_every_record() {
        let before = Timestamp::now().as_millisecond();
        let settings = settings("message.timestamp.type", "LogAppendTime");
        for codec in Compression::ALL {
            let taken = take_in("t-0", batch(&[Some("a"), None], codec), &settings).await.unwrap();
            let records = taken.records(1 << 20).unwrap();
            let time = taken.max_timestamp();
            assert!(time >= before, "{time} is not before {before}");
            assert!(records.iter().all(|record| record.timestamp == time), "{codec}");
            assert_eq!(RecordBatch::check(taken.bytes().clone()), Ok(taken));
        }
    }
}
