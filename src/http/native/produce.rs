//! `POST /v1/topics/{topic}/records` and `POST /v1/topics/{topic}/partitions/{partition}/records`.
//!
//! | `acks` | answered once the records are | status |
//! |---|---|---|
//! | `quorum` (`all`, `-1`) | committed | 200 |
//! | `leader` (`1`) | in the leader's log | 200 |
//! | `none` (`0`) | handed over | 202 |
//!
//! Who sends the records may be said in headers (`author`); then what is sent twice is there once, the
//! answer to the second is that to the first, with `Duplicate: true`.
//!
//! All appended: 200. All failed alike: that error. Some of each: 207 and an error per record. A request
//! that cannot be read whole appends nothing.

use super::redirect;
use crate::error::{Error, ErrorKind};
use crate::http::author::Author;
use crate::http::body;
use crate::http::door::Door;
use crate::http::load::{Fate, Load, Sent, Terms};
use crate::http::media::Media;
use crate::http::offset::time_ms;
use crate::http::place::{Asks, AtPartition, AtTopic};
use crate::http::record::shape::{Offsets, Records, V2Records};
use crate::http::record::{BASE64, Form, Headers, Incoming, Reader};
use crate::http::reply::{RecordError, json};
use crate::topic::{PartitionId, TopicName};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use raft::{Acks, Offset};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write;
use storage::batch::{BatchError, Compression, RecordBatch};
use utoipa::IntoParams;

const DUPLICATE: HeaderName = HeaderName::from_static("duplicate");
const DURABILITY: HeaderName = HeaderName::from_static("durability");
const RECORD_KEY: HeaderName = HeaderName::from_static("record-key");
const RECORD_KEY_ENCODING: HeaderName = HeaderName::from_static("record-key-encoding");
const RECORD_TIMESTAMP: HeaderName = HeaderName::from_static("record-timestamp");
const RECORD_HEADER: &str = "record-header-";

/// What is taken where the partition is open.
const OF_TOPIC: &[Media] =
    &[Media::Json, Media::Ndjson, Media::Octets, Media::V2Json, Media::V2Binary];
/// What is taken where the partition is given.
const OF_PARTITION: &[Media] =
    &[Media::Json, Media::Ndjson, Media::Octets, Media::V2Json, Media::V2Binary, Media::Batches];

/// How records are to be appended.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ProduceAsks {
    /// When to answer: `quorum` (default), `leader` or `none`.
    #[param(pattern = "^(quorum|all|-1|leader|1|none|0)$", example = "quorum")]
    pub(in crate::http) acks: Option<String>,
    /// How long the request may take, at most 120000; 30000 if missing.
    #[param(minimum = 0, maximum = 120_000)]
    pub(in crate::http) timeout_ms: Option<u64>,
    /// How the batches are compressed: `none` (default), `gzip`, `snappy`, `lz4` or `zstd`.
    #[param(pattern = "^(none|gzip|snappy|lz4|zstd)$", example = "zstd")]
    pub(in crate::http) compression: Option<String>,
    /// The partition, where the path does not name it.
    pub(in crate::http) partition: Option<u32>,
}

/// Appends records to a topic.
///
/// Each goes to the partition that it (or `?partition=`) names, else to the one of its key (murmur2, as
/// Kafka's own clients do), else to the next in turn.
///
/// With an `Idempotency-Key` a request that is sent again appends nothing again: it is answered with the
/// offsets of the first time and `Duplicate: true`. Its records without a key go to one partition. It
/// takes one batch a partition; a key is remembered until 8192 others came to the partition.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/records", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request, 1 to 256 bytes"),
        ProduceAsks
    ),
    request_body(description = "Records, or one record as raw bytes", content(
        (Records = "application/json"),
        (String = "application/x-ndjson"),
        (V2Records = "application/vnd.kafka.json.v2+json"),
        (V2Records = "application/vnd.kafka.binary.v2+json"),
        (Vec<u8> = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "All records are appended", body = Offsets),
        (status = 202, description = "All records were handed over (acks=none)", body = Offsets),
        (status = 207, description = "Some records are appended, some are not", body = Offsets),
        (status = 307, description = "The leader is elsewhere (with Prefer: redirect)"),
    )
)]
pub(super) async fn to_topic(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    Asks(asks): Asks<ProduceAsks>,
    request: Request,
) -> Result<Response, Error> {
    let to = To { topic, partition: asks.partition.map(PartitionId), taken: OF_TOPIC };
    produce(&door, to, &asks, request).await
}

/// Appends records to a partition.
///
/// With `If-Match: "N"` only if N is the offset of its last record ("-1": if it never had one).
///
/// With `Producer-Id` and `Producer-Seq` the records are those of an idempotent producer, which numbers its
/// records in each partition from 0: the last five batches may be sent again and are answered as the
/// first time, with `Duplicate: true`; a gap is refused (409, `Producer-Expected-Seq` says what is due),
/// and so is an epoch below the newest (403, `Producer-Epoch`). A higher epoch begins at 0. Several
/// requests may be on their way; they are appended in their order. After an unknown outcome the same
/// request can be sent again until it is known. `Idempotency-Key` does the same for a single request.
/// Both take one batch, and `acks=quorum`. Batches may have their producer in their own headers.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/partitions/{partition}/records", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        ("If-Match" = Option<String>, Header, description = "The last record's offset, quoted"),
        ("Producer-Id" = Option<String>, Header, description = "An id from POST /v1/producers, or a name of 1 to 128 bytes that is no number"),
        ("Producer-Epoch" = Option<u16>, Header, description = "0 if missing, at most 32767"),
        ("Producer-Seq" = Option<u32>, Header, description = "The number of the first record, at most 2147483647, after which comes 0"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the request, 1 to 256 bytes; not with Producer-Id"),
        ProduceAsks
    ),
    request_body(description = "Records, one record as raw bytes, or record batches", content(
        (Records = "application/json"),
        (String = "application/x-ndjson"),
        (V2Records = "application/vnd.kafka.json.v2+json"),
        (V2Records = "application/vnd.kafka.binary.v2+json"),
        (Vec<u8> = "application/octet-stream"),
        (Vec<u8> = "application/vnd.kafka.recordbatch.v2"),
    )),
    responses(
        (status = 200, description = "All records are appended", body = Offsets),
        (status = 202, description = "All records were handed over (acks=none)", body = Offsets),
        (status = 207, description = "Some records are appended, some are not", body = Offsets),
        (status = 307, description = "The leader is elsewhere (with Prefer: redirect)"),
    )
)]
pub(super) async fn to_partition(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    Asks(asks): Asks<ProduceAsks>,
    request: Request,
) -> Result<Response, Error> {
    if asks.partition.is_some_and(|named| named != partition.0) {
        let message = "the path and ?partition= name different partitions";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let to = To { topic, partition: Some(partition), taken: OF_PARTITION };
    produce(&door, to, &asks, request).await
}

/// Where a request's records go, and the types they may come as.
struct To {
    topic: TopicName,
    partition: Option<PartitionId>,
    taken: &'static [Media],
}

async fn produce(
    door: &Door,
    to: To,
    wishes: &ProduceAsks,
    request: Request,
) -> Result<Response, Error> {
    let (Parts { uri, headers, .. }, body) = request.into_parts();
    let media = Media::of_body(&headers, to.taken)?;
    let acks = read_acks(wishes.acks.as_deref())?;
    let expected_end = expected_end(&headers)?;
    if expected_end.is_some() && to.partition.is_none() {
        let message = "If-Match needs a partition: POST to …/partitions/{partition}/records";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let terms = Terms { acks, expected_end, deadline: door.deadline(wishes.timeout_ms)? };
    if let Some(partition) = to.partition
        && let Some(elsewhere) =
            redirect::wanted(door, &headers, &uri, &to.topic, partition).await?
    {
        return Ok(elsewhere);
    }
    let author = Author::of(&headers, to.partition.is_some())?;
    let load = Load::new(&door.broker, to.topic, to.partition, compression(wishes)?)?.by(author)?;
    let received = body::receive(door, &headers, body).await?;
    let (load, counts) = produced_load(door, load, media, &headers, &received.bytes)?;
    drop(received);
    let sent = load.send(terms).await?;
    door.meter.produced(sent.len(), sent.bytes);
    answer(door, &sent, acks, &counts)
}

/// Reads a body into a load; of ready-made batches also how many records each has.
pub(in crate::http) fn produced_load(
    door: &Door,
    mut load: Load,
    media: Media,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Load, Vec<u32>), Error> {
    let depth_max = door.limits.json_depth_max;
    let mut counts = Vec::new();
    let push = |record: Incoming<'_>| load.push(&record);
    match media {
        Media::Json | Media::V2 | Media::EventStream => {
            Reader::new(Form::Native, depth_max, push).document(body)?
        }
        Media::V2Json => Reader::new(Form::V2Json, depth_max, push).document(body)?,
        Media::V2Binary => Reader::new(Form::V2Binary, depth_max, push).document(body)?,
        Media::Ndjson => Reader::new(Form::Native, depth_max, push).lines(body)?,
        Media::Octets => {
            one_record(headers, body, push)?;
            1
        }
        Media::Batches => {
            let batches = batches(body.clone(), door.limits.inflated_bytes_max)?;
            counts = batches.iter().map(RecordBatch::record_count).collect();
            load.push_batches(batches)?;
            counts.len()
        }
    };
    Ok((load, counts))
}

/// The body as the value of one record, the rest in headers.
fn one_record(
    headers: &HeaderMap,
    body: &Bytes,
    mut push: impl FnMut(Incoming<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let refuse = |message: String| Error::new(ErrorKind::InvalidRequest, message);
    let key = match (headers.get(RECORD_KEY), headers.get(RECORD_KEY_ENCODING)) {
        (None, _) => None,
        (Some(key), None) => Some(Cow::Borrowed(key.as_bytes())),
        (Some(key), Some(encoding)) if encoding == "base64" => {
            let decoded = BASE64.decode(key.as_bytes()).map_err(|error| {
                let message = format!("Record-Key is not base64: {error}");
                Error::new(ErrorKind::NotConvertible, message)
            })?;
            Some(Cow::Owned(decoded))
        }
        (Some(_), Some(encoding)) if encoding == "utf8" => {
            headers.get(RECORD_KEY).map(|key| Cow::Borrowed(key.as_bytes()))
        }
        (Some(_), Some(other)) => {
            return Err(refuse(format!("Record-Key-Encoding {other:?}: utf8 or base64 is taken")));
        }
    };
    let timestamp = match headers.get(RECORD_TIMESTAMP) {
        None => None,
        Some(text) => Some(text.to_str().ok().and_then(time_ms).ok_or_else(|| {
            refuse(format!("Record-Timestamp {text:?}: milliseconds or an RFC 3339 time is taken"))
        })?),
    };
    let mut record_headers = Headers::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(RECORD_HEADER) {
            record_headers.push(Cow::Borrowed(name), Some(Cow::Borrowed(value.as_bytes())));
        }
    }
    let key = key.as_deref();
    push(Incoming { partition: None, timestamp, key, value: Some(body), headers: &record_headers })
}

/// Ready-made batches, each checked down to its records: what one node takes, all must be able to read.
fn batches(body: Bytes, inflated_bytes_max: usize) -> Result<Vec<RecordBatch>, Error> {
    let refuse = |error: BatchError| {
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
        Error::new(kind, error.to_string())
    };
    let batches = RecordBatch::split(body).map_err(refuse)?;
    for batch in &batches {
        if batch.compression() != Compression::None {
            batch.validate_records(inflated_bytes_max).map_err(refuse)?;
        }
    }
    Ok(batches)
}

/// `counts`: of ready-made batches, how many records each has.
fn answer(door: &Door, sent: &Sent, acks: Acks, counts: &[u32]) -> Result<Response, Error> {
    if let Some(error) = sent.failed() {
        return Err(error.clone());
    }
    let mut response = json(offsets(sent, acks, counts).freeze());
    *response.status_mut() = if sent.is_mixed() {
        StatusCode::MULTI_STATUS
    } else if acks == Acks::None {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    let headers = response.headers_mut();
    if let Some(durability) = sent.durability() {
        let name = serde_json::to_string(&durability).expect("a name");
        if let Ok(value) = HeaderValue::from_str(name.trim_matches('"')) {
            headers.insert(DURABILITY, value);
        }
    }
    if sent.is_duplicate() {
        headers.insert(DUPLICATE, HeaderValue::from_static("true"));
    }
    let mut produced = sent.produced();
    if let (Some(only), None) = (produced.next(), produced.next()) {
        door.name_leader(headers, only.leader, only.leader_epoch);
    }
    Ok(response)
}

fn offsets(sent: &Sent, acks: Acks, counts: &[u32]) -> BytesMut {
    const ABOUT_BYTES_EACH: usize = 32;
    let mut to = BytesMut::with_capacity(16 + sent.len() * ABOUT_BYTES_EACH);
    let mut counts = counts.iter();
    to.put_slice(b"{\"offsets\":[");
    for (number, Fate { partition, offset, duplicate }) in sent.fates(acks).enumerate() {
        if number > 0 {
            to.put_u8(b',');
        }
        let count = counts.next();
        let mut put = (&mut to).writer();
        let written = match offset {
            Ok(Some(offset)) => write!(put, "{{\"partition\":{partition},\"offset\":{offset}"),
            Ok(None) => write!(put, "{{\"partition\":{partition},\"offset\":null"),
            Err(error) => {
                serde_json::to_writer(put, &RecordError::of(partition, error)).expect("plain data");
                continue;
            }
        };
        written.expect("a buffer takes all bytes");
        if let Some(count) = count {
            write!((&mut to).writer(), ",\"records\":{count}").expect("a buffer takes all bytes");
        }
        if duplicate {
            to.put_slice(b",\"duplicate\":true");
        }
        to.put_u8(b'}');
    }
    to.put_slice(b"]}");
    to
}

fn read_acks(text: Option<&str>) -> Result<Acks, Error> {
    match text {
        None | Some("quorum" | "all" | "-1") => Ok(Acks::Quorum),
        Some("leader" | "1") => Ok(Acks::Leader),
        Some("none" | "0") => Ok(Acks::None),
        Some(other) => {
            let message = format!("acks {other:?}: one of quorum, leader, none is taken");
            Err(Error::new(ErrorKind::InvalidRequest, message))
        }
    }
}

fn compression(wishes: &ProduceAsks) -> Result<Compression, Error> {
    wishes.compression.as_deref().map_or(Ok(Compression::None), |name| {
        name.parse().map_err(|error: storage::batch::UnknownCompression| {
            Error::new(ErrorKind::InvalidRequest, error.to_string())
        })
    })
}

/// `If-Match: "41"` is an append only if the next record gets offset 42.
fn expected_end(headers: &HeaderMap) -> Result<Option<Offset>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let last: Option<i64> = quoted.and_then(|text| text.parse().ok());
    last.and_then(|last| last.checked_add(1))
        .and_then(|end| u64::try_from(end).ok())
        .map(|end| Some(Offset::new(end)))
        .ok_or_else(|| {
            let message = format!(
                "If-Match {text:?}: the last record's offset in quotes is taken (\"-1\" if there is none)"
            );
            Error::new(ErrorKind::InvalidRequest, message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_the_last_offset() {
        let rows: [(&'static str, Option<Option<u64>>); 9] = [
            ("\"41\"", Some(Some(42))),
            ("\"-1\"", Some(Some(0))),
            ("\"0\"", Some(Some(1))),
            ("*", Some(None)),
            ("41", None),
            ("W/\"41\"", None),
            ("\"-2\"", None),
            ("\"9223372036854775807\"", None),
            ("\"x\"", None),
        ];
        for (text, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(text));
            let found = expected_end(&headers).ok().map(|end| end.map(Offset::get));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_raw_record_has_its_key_time_and_headers_beside_it() {
        let mut headers = HeaderMap::new();
        headers.insert(RECORD_KEY, HeaderValue::from_static("/w=="));
        headers.insert(RECORD_KEY_ENCODING, HeaderValue::from_static("base64"));
        headers.insert(RECORD_TIMESTAMP, HeaderValue::from_static("1970-01-01T00:00:01Z"));
        headers.insert("Record-Header-Trace", HeaderValue::from_static("abc"));
        let mut seen = 0;
        one_record(&headers, &Bytes::from_static(b"value"), |record| {
            seen += 1;
            assert_eq!((record.key, record.value), (Some(&[0xff][..]), Some(&b"value"[..])));
            assert_eq!(record.timestamp, Some(1000));
            assert_eq!(record.headers.iter().collect::<Vec<_>>(), [("trace", Some(&b"abc"[..]))]);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 1);
    }

    proptest::proptest! {
        #[test]
        fn no_batch_body_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _either = batches(body.into(), 1000);
        }
    }
}
