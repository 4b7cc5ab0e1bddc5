//! `GET /v1/groups/{group}/members/{member}/records`: a member's next records.
//!
//! A delivery has a number. Who says it with the next request has received it; who says an older one
//! lost an answer on the way, and gets those records again.

use super::sheet::{Room, Sheet, Stand};
use crate::broker::Poll;
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::native::Bounds;
use crate::http::place::{Asks, AtMember};
use crate::http::record::shape::{TopicRecord, V2Fetched};
use crate::http::reply::typed;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::BufMut;
use serde::{Deserialize, Serialize};
use std::io::Write;
use utoipa::{IntoParams, ToSchema};

const OFFERED: &[Media] = &[Media::Json, Media::Ndjson, Media::V2Json, Media::V2Binary];
const BYTES_DEFAULT: usize = 1024 * 1024;
const GENERATION: HeaderName = HeaderName::from_static("generation");
const DELIVERY: HeaderName = HeaderName::from_static("delivery");

/// How much, and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PollAsks {
    /// How long to wait for the first record; 0 if missing.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<u64>,
    /// Bytes of batches as they are stored; at least one batch comes. 1048576 if missing.
    #[param(minimum = 1, maximum = 67_108_864)]
    max_bytes: Option<usize>,
    /// Records at most.
    #[param(minimum = 1)]
    max_records: Option<u64>,
    /// The last delivery that was received. If another was given since, it was lost on the way, and is
    /// given again. Without it the last one counts as received.
    delivery: Option<u64>,
}

/// A member's records, in order within each partition.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the API's description alone")]
pub(super) struct Delivered {
    /// The records.
    records: Vec<TopicRecord>,
    /// The group's generation.
    generation: u32,
    /// The number of this delivery.
    delivery: u64,
    /// Where the partitions stand that were read.
    partitions: Vec<Stand>,
}

impl PollAsks {
    /// How many bytes are asked for, checked.
    pub(super) fn bytes_max(asked: Option<usize>, door: &Door) -> Result<usize, Error> {
        let (bytes, most) = (asked.unwrap_or(BYTES_DEFAULT), door.limits.fetch_bytes_max);
        if bytes == 0 || bytes > most {
            let message = format!("max_bytes {bytes}: 1 to {most} is taken");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(bytes)
    }
}

/// A member's next records, of whatever partitions it has.
///
/// It is a sign of life, takes part in rebalances, and commits what the last one gave if the member
/// joined with `auto_commit`. Answers as soon as there is something, or after `wait_ms` without records.
#[utoipa::path(
    get, path = "/v1/groups/{group}/members/{member}/records", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
        PollAsks
    ),
    responses((status = 200, description = "Records, possibly none",
        content(
            (Delivered = "application/json"),
            (String = "application/x-ndjson"),
            (Vec<V2Fetched> = "application/vnd.kafka.json.v2+json"),
            (Vec<V2Fetched> = "application/vnd.kafka.binary.v2+json"),
        ),
        headers(
            ("Generation" = u32, description = "The group's generation"),
            ("Delivery" = u64, description = "The number of this delivery"),
        )
    ))
)]
pub(super) async fn poll(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Asks(asks): Asks<PollAsks>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let media = Media::accepted(&headers, OFFERED)?;
    if asks.max_records == Some(0) {
        let message = "max_records 0: at least 1 is taken";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let poll = Poll {
        group,
        member,
        wait: door.wait(asks.wait_ms.unwrap_or(0))?,
        bytes_max: PollAsks::bytes_max(asks.max_bytes, &door)?,
        delivered: asks.delivery,
    };
    let bounds = Bounds {
        records_max: asks.max_records.unwrap_or(u64::MAX),
        page_bytes_max: door.limits.page_bytes_max,
        inflated_bytes_max: door.limits.inflated_bytes_max,
    };
    let room = Room { media, bounds };
    let (sheet, delivery) = next_of(&door, poll, room).await?;
    let generation = sheet.generation;
    door.meter.fetched(sheet.records, sheet.to.len());
    let mut response = typed(media.name(), whole(media, sheet, delivery));
    let to = response.headers_mut();
    to.insert(GENERATION, generation.into());
    to.insert(DELIVERY, delivery.into());
    to.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    to.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A member's next records and the delivery's number; gives up waiting once the node is shutting down.
pub(in crate::http) async fn next_of(
    door: &Door,
    poll: Poll,
    room: Room,
) -> Result<(Sheet, u64), Error> {
    tokio::select! {
        biased;
        polled = door.broker.poll(poll, |polled| Sheet::fill(polled, room)) => polled,
        () = door.stopping.cancelled() => Err(Door::closing()),
    }
}

/// What stands around the records.
fn whole(media: Media, sheet: Sheet, delivery: u64) -> bytes::Bytes {
    let Sheet { to: records, stands, generation, .. } = sheet;
    let mut to = bytes::BytesMut::with_capacity(records.len() + 128);
    match media {
        Media::Ndjson | Media::EventStream => return records.freeze(),
        Media::V2Json | Media::V2Binary => {
            to.put_u8(b'[');
            to.put_slice(&records);
            to.put_u8(b']');
        }
        Media::Json | Media::V2 | Media::Octets | Media::Batches => {
            to.put_slice(b"{\"records\":[");
            to.put_slice(&records);
            let stands = serde_json::to_string(&stands).expect("plain data");
            write!(
                (&mut to).writer(),
                "],\"generation\":{generation},\"delivery\":{delivery},\"partitions\":{stands}}}"
            )
            .expect("a buffer takes all bytes");
        }
    }
    to.freeze()
}
