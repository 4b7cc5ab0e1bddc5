//! `GET /v1/topics/{topic}/records?offsets=0:12,1:9`: several partitions at once.
//!
//! What is there is answered at once; only if there is nothing anywhere does it wait for the first
//! partition that has something. The pages of `max_bytes` begin with another partition each time, so
//! that no partition waits for ever behind a full one.

use super::fetch::{FetchAsks, comma, wait};
use super::follow::{self, Wanted};
use super::page::{Bounds, fill};
use super::seen::Seen;
use crate::broker::{Fetch, FetchFrom, Fetched};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::offset;
use crate::http::place::{Asks, AtTopic};
use crate::http::record::shape::{TopicPage, V2Fetched};
use crate::http::record::{Form, native, v2};
use crate::http::reply::typed;
use crate::topic::{PartitionId, TopicName};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use futures::stream::{self, FuturesUnordered, StreamExt};
use serde::Deserialize;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use utoipa::IntoParams;

const OFFERED: &[Media] =
    &[Media::Json, Media::Ndjson, Media::EventStream, Media::V2Json, Media::V2Binary];
/// Partitions read at the same time.
const AT_ONCE: usize = 8;
/// Which partition a page begins with.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// Which records are wanted, and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TopicAsks {
    /// `partition:offset,…`, each offset as for a partition; all partitions at `offset` if missing.
    #[param(example = "0:earliest")]
    offsets: Option<String>,
    /// Where partitions begin that `offsets` does not name: `earliest` if missing.
    #[param(pattern = "^(earliest|latest|-?[0-9]{1,15}|@.+)$", example = "earliest")]
    offset: Option<String>,
    /// Bytes of batches as they are stored; 1048576 if missing.
    #[param(minimum = 1, maximum = 67_108_864)]
    max_bytes: Option<usize>,
    /// Records at most.
    #[param(minimum = 1)]
    max_records: Option<u64>,
    /// How long to wait for records if there are none; 0 if missing.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<u64>,
    /// `leader` (default) or `linearizable`.
    #[param(pattern = "^(leader|linearizable)$", example = "leader")]
    read: Option<String>,
    /// With NDJSON: never end, and give records as they come. `text/event-stream` always does.
    follow: Option<bool>,
    /// For who cannot send `Last-Event-ID`: a stream goes on after this event. The header wins.
    #[param(example = "0:41,1:7")]
    last_event_id: Option<String>,
}

/// Reads several partitions of a topic.
///
/// As `text/event-stream` it does not end: an event for each record, whose id says how far every
/// partition was seen (`0:41,1:7`; -1 where nothing was). Who says it in `Last-Event-ID` gets what comes
/// after it, from any node. Partitions that the topic gets later are followed from their beginning,
/// unless `offsets` names which are wanted.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/records", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("Last-Event-ID" = Option<String>, Header, description = "A stream goes on after this event"),
        TopicAsks
    ),
    responses(
        (status = 200, description = "Records, possibly none", content(
            (TopicPage = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/event-stream"),
            (Vec<V2Fetched> = "application/vnd.kafka.json.v2+json"),
            (Vec<V2Fetched> = "application/vnd.kafka.binary.v2+json"),
        )),
    )
)]
pub(super) async fn fetch(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    Asks(asks): Asks<TopicAsks>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let media = Media::accepted(&headers, OFFERED)?;
    let partitions = door.broker.topic(&topic)?.partitions;
    let places = places(asks.offsets.as_deref(), asks.offset.as_deref(), &topic, partitions)?;
    let each = FetchAsks {
        offset: None,
        max_bytes: asks.max_bytes,
        max_records: asks.max_records,
        wait_ms: asks.wait_ms,
        min_bytes: None,
        read: asks.read,
        follow: None,
        last_event_id: None,
    };
    let mut fetches = Vec::with_capacity(places.len());
    for (partition, from) in places {
        fetches.push(Fetch { from, ..each.fetch(&door, topic.clone(), partition)? });
    }
    if let Some(framing) = follow::asked(media, asks.follow)? {
        let whole = asks.offsets.is_none();
        let seen = Seen::of(&headers, asks.last_event_id.as_deref())?;
        let records_max = each.bounds_of_stream();
        return Wanted { framing, fetches, whole, seen, records_max }.start(door).await;
    }
    let mut reads = now(&door, &fetches).await;
    if let Some(first) = all_failed(&reads) {
        return Err(first.clone());
    }
    let waits = fetches.first().is_some_and(|fetch| fetch.wait > Duration::ZERO);
    if waits && reads.iter().all(|read| read.records() == 0) {
        first_to_come(&door, &fetches, &mut reads).await?;
    }
    Ok(answer(&door, media, &topic, &reads, &each))
}

/// What came of reading one partition.
struct Read {
    partition: PartitionId,
    result: Result<Fetched, Error>,
}

impl Read {
    fn records(&self) -> usize {
        let with_records =
            |fetched: &Fetched| fetched.batches.iter().filter(|b| b.record_count() > 0).count();
        self.result.as_ref().map_or(0, with_records)
    }
}

/// Reads without waiting, until `max_bytes` are there.
async fn now(door: &Door, fetches: &[Fetch]) -> Vec<Read> {
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % fetches.len().max(1);
    let order: Vec<Fetch> =
        fetches.iter().skip(turn).chain(fetches.iter().take(turn)).cloned().collect();
    let bytes_max = fetches.first().map_or(0, |fetch| fetch.bytes_max);
    let mut reads = stream::iter(order)
        .map(|fetch| async move {
            let partition = fetch.partition;
            let at_once = Fetch { wait: Duration::ZERO, ..fetch };
            Read { partition, result: door.broker.fetch(at_once).await }
        })
        .buffered(AT_ONCE);
    let mut done = Vec::with_capacity(fetches.len());
    let mut bytes = 0;
    while let Some(mut read) = reads.next().await {
        if let Ok(fetched) = &mut read.result {
            if bytes >= bytes_max {
                fetched.batches.clear();
            }
            bytes += fetched.batches.iter().map(|batch| batch.bytes().len()).sum::<usize>();
        }
        done.push(read);
    }
    done
}

/// Waits for the partition that has something first.
async fn first_to_come(door: &Door, fetches: &[Fetch], reads: &mut [Read]) -> Result<(), Error> {
    let mut waiting: FuturesUnordered<_> = reads
        .iter()
        .enumerate()
        .filter_map(|(at, read)| {
            let from = FetchFrom::Offset(read.result.as_ref().ok()?.from);
            let fetch = fetches.iter().find(|fetch| fetch.partition == read.partition)?;
            // By number: `latest` is where it was when the request came.
            let fetch = Fetch { from, ..fetch.clone() };
            Some(async move { (at, wait(door, fetch).await) })
        })
        .collect();
    while let Some((at, result)) = waiting.next().await {
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::ShuttingDown) {
            return result.map(drop);
        }
        let some = result.as_ref().is_ok_and(|fetched| !fetched.batches.is_empty());
        if some {
            drop(waiting);
            if let Some(read) = reads.get_mut(at) {
                read.result = result;
            }
            return Ok(());
        }
    }
    Ok(())
}

fn all_failed(reads: &[Read]) -> Option<&Error> {
    let mut errors = reads.iter().map(|read| read.result.as_ref().err());
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then_some(first)
}

fn answer(
    door: &Door,
    media: Media,
    topic: &TopicName,
    reads: &[Read],
    asks: &FetchAsks,
) -> Response {
    let mut page = TopicSheet { topic, media, to: BytesMut::new(), places: Vec::new(), records: 0 };
    page.to.put_slice(match media {
        Media::Ndjson | Media::EventStream => b"".as_slice(),
        Media::V2Json | Media::V2Binary => b"[",
        Media::Json | Media::V2 | Media::Octets | Media::Batches => b"{\"records\":[",
    });
    for Read { partition, result } in reads {
        let mut bounds = asks.bounds(door);
        bounds.records_max = bounds.records_max.saturating_sub(page.records);
        if page.to.len() >= bounds.page_bytes_max {
            bounds.records_max = 0;
        }
        page.add(*partition, result, bounds);
    }
    let TopicSheet { mut to, places, records, .. } = page;
    match media {
        Media::Ndjson | Media::EventStream => {}
        Media::V2Json | Media::V2Binary => to.put_u8(b']'),
        Media::Json | Media::V2 | Media::Octets | Media::Batches => {
            to.put_slice(b"],\"partitions\":");
            serde_json::to_writer((&mut to).writer(), &places).expect("plain data");
            to.put_u8(b'}');
        }
    }
    door.meter.fetched(records, to.len());
    let mut response = typed(media.name(), to.freeze());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&next_offsets(&places)) {
        headers.insert("next-offsets", value);
    }
    response
}

/// An answer of several partitions being written.
struct TopicSheet<'a> {
    topic: &'a TopicName,
    media: Media,
    to: BytesMut,
    /// Where each partition stands.
    places: Vec<serde_json::Value>,
    records: u64,
}

impl TopicSheet<'_> {
    fn add(&mut self, partition: PartitionId, result: &Result<Fetched, Error>, bounds: Bounds) {
        let PartitionId(partition) = partition;
        let (media, topic, before) = (self.media, self.topic.as_str(), self.records);
        let whole = self.to.len();
        let filled = result.as_ref().map_err(Clone::clone).and_then(|fetched| {
            let end = fill(&mut self.to, fetched, bounds, |to, record, number| match media {
                Media::Ndjson | Media::EventStream => {
                    native(to, partition, record);
                    to.put_u8(b'\n');
                }
                Media::V2Json | Media::V2Binary => {
                    let form = if media == Media::V2Json { Form::V2Json } else { Form::V2Binary };
                    comma(to, before + number);
                    v2(to, form, topic, partition, record);
                }
                Media::Json | Media::V2 | Media::Octets | Media::Batches => {
                    comma(to, before + number);
                    native(to, partition, record);
                }
            })?;
            Ok((end, fetched.tail))
        });
        match filled {
            Ok((end, tail)) => {
                self.records += end.records;
                self.places.push(json!({
                    "partition": partition,
                    "next_offset": end.next,
                    "high_watermark": tail.high_watermark,
                    "log_start_offset": tail.log_start,
                }));
            }
            Err(error) => {
                self.to.truncate(whole);
                self.places.push(json!({
                    "partition": partition,
                    "error_code": error.row().code,
                    "message": error.message,
                }));
            }
        }
    }
}

/// `0:15,1:9`, as `offsets` takes it.
fn next_offsets(places: &[serde_json::Value]) -> String {
    let pairs = places.iter().filter_map(|place| {
        let next = place.get("next_offset")?;
        Some(format!("{}:{next}", place.get("partition")?))
    });
    pairs.collect::<Vec<_>>().join(",")
}

/// The partitions to read and where each begins.
fn places(
    offsets: Option<&str>,
    offset: Option<&str>,
    topic: &TopicName,
    partitions: u32,
) -> Result<Vec<(PartitionId, FetchFrom)>, Error> {
    let base = offset.map_or(Ok(FetchFrom::Earliest), offset::read)?;
    let Some(offsets) = offsets else {
        return Ok((0..partitions).map(|partition| (PartitionId(partition), base)).collect());
    };
    let mut places: Vec<(PartitionId, FetchFrom)> = Vec::new();
    for pair in offsets.split(',').filter(|pair| !pair.is_empty()) {
        let refuse = |kind, why: &str| Error::new(kind, format!("offsets: {pair:?} {why}"));
        let (partition, from) = match pair.split_once(':') {
            Some((partition, from)) => (partition, offset::read(from)?),
            None => (pair, base),
        };
        let partition: u32 = partition.parse().map_err(|_not_a_number| {
            refuse(ErrorKind::InvalidRequest, "is not partition:offset")
        })?;
        if partition >= partitions {
            let why =
                format!("names a partition that topic {topic} does not have: it has {partitions}");
            return Err(refuse(ErrorKind::UnknownPartition, &why));
        }
        if places.iter().any(|(named, _)| named.0 == partition) {
            return Err(refuse(ErrorKind::InvalidRequest, "names a partition again"));
        }
        places.push((PartitionId(partition), from));
    }
    if places.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "offsets names no partition"));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let topic = TopicName::new("t").unwrap();
        let read = |offsets, offset| places(offsets, offset, &topic, 3);
        let at = |partition, from| (PartitionId(partition), from);
        assert_eq!(
            read(Some("2:12,0:latest,1"), Some("-4")).unwrap(),
            [at(2, FetchFrom::Offset(12)), at(0, FetchFrom::Latest), at(1, FetchFrom::Last(4))]
        );
        assert_eq!(read(None, None).unwrap().len(), 3);
        for (offsets, kind) in [
            ("", ErrorKind::InvalidRequest),
            ("0:", ErrorKind::InvalidRequest),
            ("x:1", ErrorKind::InvalidRequest),
            ("0:1,0:2", ErrorKind::InvalidRequest),
            ("3:0", ErrorKind::UnknownPartition),
        ] {
            assert_eq!(read(Some(offsets), None).unwrap_err().kind, kind, "{offsets}");
        }
    }
}
