//! `GET …/records`: what is next for an instance, in its format.

use super::instance::{FORMAT, REQUEST_TIMEOUT};
use super::{AtInstance, as_v2};
use crate::broker::{MemberView, Poll};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::{self, Media};
use crate::http::native::{Bounds, Room, next_of};
use crate::http::place::Asks;
use crate::http::record::shape::V2Fetched;
use crate::http::reply::typed;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
const BYTES_DEFAULT: usize = 1024 * 1024;

/// How much, and when. What is beyond our limits is cut to them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PollAsks {
    /// How long to wait for a record, ms; what the instance says if missing.
    timeout: Option<u64>,
    /// Bytes of batches as they are stored; 1048576 if missing.
    max_bytes: Option<i64>,
}

/// The next records of what an instance has.
#[utoipa::path(
    get, path = "/consumers/{group}/instances/{instance}/records", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
        PollAsks
    ),
    responses((status = 200, description = "Records, possibly none", content(
        (Vec<V2Fetched> = "application/vnd.kafka.binary.v2+json"),
        (Vec<V2Fetched> = "application/vnd.kafka.json.v2+json"),
        (Vec<V2Fetched> = "application/vnd.kafka.v2+json"),
        (Vec<V2Fetched> = "application/json"),
    )))
)]
pub(super) async fn poll(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    Asks(asks): Asks<PollAsks>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let view = door.broker.member(&group, &member).await.map_err(as_v2)?;
    let form = form(&view);
    let answered_as = accepted(&headers, form)?;
    if view.topics.is_empty() && view.topic_pattern.is_none() && view.manual.is_empty() {
        let message = format!("instance {member} is neither subscribed nor assigned anything");
        return Err(Error::new(ErrorKind::IllegalState, message));
    }
    let said = view.settings.get(REQUEST_TIMEOUT).and_then(|ms| ms.parse().ok());
    let timeout = asks.timeout.or(said).map_or(TIMEOUT_DEFAULT, Duration::from_millis);
    // -1 is as much as there is.
    let bytes_max = asks.max_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let poll = Poll {
        group,
        member,
        wait: timeout.min(door.limits.wait_max),
        bytes_max: bytes_max.unwrap_or(BYTES_DEFAULT).clamp(1, door.limits.fetch_bytes_max),
        delivered: None,
    };
    let bounds = Bounds {
        records_max: u64::MAX,
        page_bytes_max: door.limits.page_bytes_max,
        inflated_bytes_max: door.limits.inflated_bytes_max,
    };
    let polled = next_of(&door, poll, Room { media: form, bounds }).await;
    let (sheet, _) = polled.map_err(as_v2)?;
    door.meter.fetched(sheet.records, sheet.to.len());
    let mut to = BytesMut::with_capacity(sheet.to.len() + 2);
    to.put_u8(b'[');
    to.put_slice(&sheet.to);
    to.put_u8(b']');
    let mut response = typed(answered_as.name(), to.freeze());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The form that an instance reads.
fn form(view: &MemberView) -> Media {
    match view.settings.get(FORMAT).map(String::as_str) {
        Some("json") => Media::V2Json,
        _ => Media::V2Binary,
    }
}

/// The type of the answer, which is in the instance's format whatever it is called.
fn accepted(headers: &HeaderMap, form: Media) -> Result<Media, Error> {
    let offered = [form, Media::V2, Media::Json];
    Media::accepted(headers, &offered).map_err(|error| {
        let other = if form == Media::V2Json { Media::V2Binary } else { Media::V2Json };
        if media::asks_for(headers, other.name()) {
            let message = format!(
                "The requested embedded data format does not match the deserializer for this \
                 consumer instance: it reads {form}"
            );
            return Error::new(ErrorKind::NotAcceptable, message);
        }
        error
    })
}
