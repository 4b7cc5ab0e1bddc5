//! `GET /v1/topics/{topic}/partitions/{partition}/records`.
//!
//! A page that ends below the high watermark because it is full is the same for ever, and says so to
//! caches; one that ends at the tail, or is of a compacted topic, says `no-store`.

use super::follow::{self, Wanted};
use super::page::{Bounds, End, fill};
use super::redirect;
use super::seen::Seen;
use crate::broker::{Fetch, FetchFrom, Fetched, Freshness};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::offset;
use crate::http::place::{Asks, AtPartition};
use crate::http::record::shape::{Page, V2Fetched};
use crate::http::record::{BASE64, Form, native, v2};
use crate::http::reply::typed;
use crate::topic::{PartitionId, TopicName};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use std::io::Write;
use std::time::Duration;
use storage::batch::RecordRef;
use utoipa::IntoParams;

const NEXT_OFFSET: HeaderName = HeaderName::from_static("next-offset");
const BYTES_DEFAULT: usize = 1024 * 1024;
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a partition's records come as.
const OFFERED: &[Media] = &[
    Media::Json,
    Media::Ndjson,
    Media::EventStream,
    Media::V2Json,
    Media::V2Binary,
    Media::Batches,
    Media::Octets,
];

/// Which records are wanted, and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FetchAsks {
    /// `N`, `earliest` (default), `latest`, `-N` (the last N), `@RFC3339` or `@milliseconds`.
    #[param(pattern = "^(earliest|latest|-?[0-9]{1,15}|@.+)$", example = "earliest")]
    pub(super) offset: Option<String>,
    /// Bytes of batches as they are stored; at least one batch comes. 1048576 if missing.
    #[param(minimum = 1, maximum = 67_108_864)]
    pub(super) max_bytes: Option<usize>,
    /// Records at most.
    #[param(minimum = 1)]
    pub(super) max_records: Option<u64>,
    /// How long to wait for records if there are none; 0 if missing.
    #[param(minimum = 0, maximum = 30000)]
    pub(super) wait_ms: Option<u64>,
    /// Bytes to wait for; 1 if missing.
    #[param(minimum = 0)]
    pub(super) min_bytes: Option<usize>,
    /// `leader` (default): what the leader knows to be committed. `linearizable`: everything that was
    /// acknowledged before.
    #[param(pattern = "^(leader|linearizable)$", example = "leader")]
    pub(super) read: Option<String>,
    /// With NDJSON: never end, and give records as they come. `text/event-stream` always does.
    pub(super) follow: Option<bool>,
    /// For who cannot send `Last-Event-ID`: a stream goes on after this event. The header wins.
    #[param(example = "0:41")]
    pub(super) last_event_id: Option<String>,
}

impl FetchAsks {
    /// The fetch of a partition that is asked for.
    pub(super) fn fetch(
        &self,
        door: &Door,
        topic: TopicName,
        partition: PartitionId,
    ) -> Result<Fetch, Error> {
        let refuse = |message| Err(Error::new(ErrorKind::InvalidRequest, message));
        let from = self.offset.as_deref().map_or(Ok(FetchFrom::Earliest), offset::read)?;
        let bytes_max = self.max_bytes.unwrap_or(BYTES_DEFAULT);
        if bytes_max == 0 || bytes_max > door.limits.fetch_bytes_max {
            let most = door.limits.fetch_bytes_max;
            return refuse(format!("max_bytes {bytes_max}: 1 to {most} is taken"));
        }
        if self.max_records == Some(0) {
            return refuse("max_records 0: at least 1 is taken".to_owned());
        }
        let wait = Duration::from_millis(self.wait_ms.unwrap_or(0));
        if wait > door.limits.wait_max {
            let most = door.limits.wait_max.as_millis();
            return refuse(format!("wait_ms {}: at most {most} is taken", wait.as_millis()));
        }
        let bytes_min = self.min_bytes.unwrap_or(1);
        if bytes_min > bytes_max {
            return refuse(format!("min_bytes {bytes_min} is more than max_bytes {bytes_max}"));
        }
        let freshness = match (self.read.as_deref(), from) {
            (None | Some("leader"), FetchFrom::Latest) | (Some("linearizable"), _) => {
                Freshness::Linearizable
            }
            (None | Some("leader"), _) => Freshness::Leader,
            (Some(other), _) => {
                return refuse(format!("read {other:?}: leader or linearizable is taken"));
            }
        };
        Ok(Fetch { topic, partition, from, bytes_max, bytes_min, wait, freshness })
    }

    /// Where the page ends.
    pub(super) fn bounds(&self, door: &Door) -> Bounds {
        Bounds {
            records_max: self.max_records.unwrap_or(u64::MAX),
            page_bytes_max: door.limits.page_bytes_max,
            inflated_bytes_max: door.limits.inflated_bytes_max,
        }
    }
}

/// Reads a partition.
///
/// Answers as soon as there is something, or after `wait_ms` with an empty page. Follow `Next-Offset`.
///
/// As `text/event-stream` it does not end: an event for each record (`id: partition:offset`, `data:` its
/// JSON), a comment when there is nothing, `event: error` or `event: end` if it ends after all. Who says
/// the last id in `Last-Event-ID` gets what comes after it, from any node.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/partitions/{partition}/records", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        ("Last-Event-ID" = Option<String>, Header, description = "A stream goes on after this event"),
        FetchAsks
    ),
    responses(
        (status = 200, description = "A page of records, possibly empty",
            content(
                (Page = "application/json"),
                (String = "application/x-ndjson"),
                (String = "text/event-stream"),
                (Vec<V2Fetched> = "application/vnd.kafka.json.v2+json"),
                (Vec<V2Fetched> = "application/vnd.kafka.binary.v2+json"),
                (Vec<u8> = "application/vnd.kafka.recordbatch.v2"),
                (Vec<u8> = "application/octet-stream"),
            ),
            headers(
                ("Next-Offset" = u64, description = "Where the next fetch begins"),
                ("High-Watermark" = u64, description = "The offset after the last committed record"),
                ("Log-Start-Offset" = u64, description = "The first offset that can be read"),
                ("Leader-Epoch" = u64, description = "The leader's term"),
            )
        ),
        (status = 204, description = "No record there, where one raw value was asked for"),
        (status = 304, description = "The page is the one named by If-None-Match"),
        (status = 307, description = "The leader is elsewhere (with Prefer: redirect)"),
    )
)]
pub(super) async fn fetch(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    Asks(asks): Asks<FetchAsks>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let media = Media::accepted(&headers, OFFERED)?;
    let fetch = asks.fetch(&door, topic, partition)?;
    let (topic, from) = (fetch.topic.clone(), fetch.from);
    if let Some(elsewhere) = redirect::wanted(&door, &headers, &uri, &topic, partition).await? {
        return Ok(elsewhere);
    }
    if let Some(framing) = follow::asked(media, asks.follow)? {
        let seen = Seen::of(&headers, asks.last_event_id.as_deref())?;
        let records_max = asks.bounds_of_stream();
        let wanted = Wanted { framing, fetches: vec![fetch], whole: false, seen, records_max };
        return wanted.start(door).await;
    }
    let topic_id = door.broker.topic(&topic)?.id;
    let fetched = wait(&door, fetch).await?;
    let source = Source { topic: &topic, partition, fetched: &fetched };
    let (end, mut response) = render(media, source, asks.bounds(&door))?;
    door.meter.fetched(end.records, response_bytes(&fetched));
    let to = response.headers_mut();
    to.insert(NEXT_OFFSET, end.next.into());
    door.name_tail(to, &fetched.tail);
    to.insert(header::VARY, HeaderValue::from_static("accept"));
    // What compaction leaves of a page is another page.
    if end.records == 0 || door.broker.needs_keys(&topic)? {
        to.insert(header::CACHE_CONTROL, NO_STORE);
        return Ok(response);
    }
    let full = end.next < fetched.tail.high_watermark && matches!(from, FetchFrom::Offset(_));
    to.insert(header::CACHE_CONTROL, if full { IMMUTABLE } else { NO_STORE });
    let tag = format!("\"{topic_id}.{partition}.{}-{}.{media}\"", fetched.from, end.next);
    let same = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let same = same.is_some_and(|tags| tags.split(',').any(|each| each.trim() == tag));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        to.insert(header::ETAG, tag);
    }
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        *response.body_mut() = axum::body::Body::empty();
    }
    Ok(response)
}

impl FetchAsks {
    /// How many records a stream gives before it ends after all.
    pub(super) fn bounds_of_stream(&self) -> u64 {
        self.max_records.unwrap_or(u64::MAX)
    }
}

/// A fetch that gives up waiting once the node is shutting down.
pub(in crate::http) async fn wait(door: &Door, fetch: Fetch) -> Result<Fetched, Error> {
    tokio::select! {
        biased;
        fetched = door.broker.fetch(fetch) => fetched,
        () = door.stopping.cancelled() => Err(Door::closing()),
    }
}

fn response_bytes(fetched: &Fetched) -> usize {
    fetched.batches.iter().map(|batch| batch.bytes().len()).sum()
}

/// A partition's records on their way into an answer.
#[derive(Clone, Copy)]
pub(in crate::http) struct Source<'a> {
    /// Their topic.
    pub(in crate::http) topic: &'a TopicName,
    /// Their partition.
    pub(in crate::http) partition: PartitionId,
    /// They themselves.
    pub(in crate::http) fetched: &'a Fetched,
}

fn render(media: Media, source: Source<'_>, bounds: Bounds) -> Result<(End, Response), Error> {
    let Source { partition: PartitionId(partition), fetched, .. } = source;
    let mut to = BytesMut::new();
    let end = match media {
        Media::Json | Media::V2 => {
            to.put_slice(b"{\"records\":[");
            let end = fill(&mut to, fetched, bounds, |to, record, number| {
                comma(to, number);
                native(to, partition, record);
            })?;
            write!(
                (&mut to).writer(),
                "],\"next_offset\":{},\"high_watermark\":{},\"log_start_offset\":{}}}",
                end.next,
                fetched.tail.high_watermark,
                fetched.tail.log_start
            )
            .expect("a buffer takes all bytes");
            end
        }
        Media::Ndjson | Media::EventStream => fill(&mut to, fetched, bounds, |to, record, _| {
            native(to, partition, record);
            to.put_u8(b'\n');
        })?,
        Media::V2Json | Media::V2Binary => v2_page(&mut to, media, source, bounds)?,
        Media::Batches => return Ok(batches(fetched)),
        Media::Octets => return one_value(fetched, bounds.inflated_bytes_max),
    };
    Ok((end, typed(media.name(), to.freeze())))
}

/// The array of records that REST Proxy v2 answers with.
pub(in crate::http) fn v2_page(
    to: &mut BytesMut,
    media: Media,
    source: Source<'_>,
    bounds: Bounds,
) -> Result<End, Error> {
    let Source { topic, partition, fetched } = source;
    let form = if media == Media::V2Json { Form::V2Json } else { Form::V2Binary };
    to.put_u8(b'[');
    let end = fill(to, fetched, bounds, |to, record, number| {
        comma(to, number);
        v2(to, form, topic.as_str(), partition.0, record);
    })?;
    to.put_u8(b']');
    Ok(end)
}

/// Between the elements of an array.
pub(in crate::http) fn comma(to: &mut BytesMut, number: u64) {
    if number > 0 {
        to.put_u8(b',');
    }
}

/// The batches as they are stored; the first may begin before the offset asked for.
fn batches(fetched: &Fetched) -> (End, Response) {
    let mut end = End { next: fetched.from, records: 0 };
    for batch in &fetched.batches {
        end.records += u64::from(batch.record_count());
        end.next = u64::try_from(batch.next_offset()).unwrap_or(end.next);
    }
    let whole: Vec<Bytes> = fetched.batches.iter().map(|batch| batch.bytes().clone()).collect();
    let length: usize = whole.iter().map(Bytes::len).sum();
    let chunks = futures::stream::iter(whole.into_iter().map(Ok::<_, std::convert::Infallible>));
    let mut response = typed(Media::Batches.name(), axum::body::Body::from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    (end, response)
}

/// The value of one record, with the rest of it in headers.
fn one_value(fetched: &Fetched, inflated_bytes_max: usize) -> Result<(End, Response), Error> {
    let bounds = Bounds { records_max: 1, page_bytes_max: usize::MAX, inflated_bytes_max };
    let mut value = BytesMut::new();
    let mut headers = HeaderMap::new();
    let end = fill(&mut value, fetched, bounds, |to, record, _| {
        to.put_slice(record.value.unwrap_or_default());
        describe(&mut headers, record);
    })?;
    let mut response = typed(Media::Octets.name(), value.freeze());
    if end.records == 0 {
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response.headers_mut().extend(headers);
    Ok((end, response))
}

/// What of a record HTTP headers can say: its key as text or base64, its time, and those of its headers
/// whose names and values are allowed there.
fn describe(to: &mut HeaderMap, record: &RecordRef<'_>) {
    to.insert("record-offset", record.offset.into());
    to.insert("record-timestamp", record.timestamp.into());
    if record.value.is_none() {
        to.insert("record-tombstone", HeaderValue::from_static("true"));
    }
    if let Some(key) = record.key {
        let plain = std::str::from_utf8(key).ok().and_then(|_| HeaderValue::from_bytes(key).ok());
        // Blanks at the ends would be lost on the way.
        let plain = plain.filter(|_| key.trim_ascii() == key);
        if let Some(value) = plain {
            to.insert("record-key", value);
        } else if let Ok(value) = HeaderValue::from_str(&BASE64.encode(key)) {
            to.insert("record-key", value);
            to.insert("record-key-encoding", HeaderValue::from_static("base64"));
        }
    }
    let mut left_out = 0_u32;
    for (name, value) in record.headers() {
        let name = HeaderName::from_bytes(format!("record-header-{name}").as_bytes());
        let value = HeaderValue::from_bytes(value.unwrap_or_default());
        match (name, value) {
            (Ok(name), Ok(value)) => {
                to.append(name, value);
            }
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        to.insert("record-headers-left-out", left_out.into());
    }
}
