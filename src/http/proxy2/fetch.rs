//! `GET /topics/{topic}/partitions/{partition}/records`: Redpanda's stateless fetch, which Confluent's
//! v1 had and v2 dropped.

use crate::broker::{Fetch, FetchFrom, Freshness};
use crate::error::Error;
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::native::{Bounds, Source, v2_page, wait};
use crate::http::offset;
use crate::http::place::{Asks, AtPartition};
use crate::http::record::shape::V2Fetched;
use crate::http::reply::typed;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::BytesMut;
use serde::Deserialize;
use std::time::Duration;
use utoipa::IntoParams;

/// Base64 is the original's default; `application/json` is the JSON of v2.
const OFFERED: &[Media] = &[Media::V2Binary, Media::V2Json, Media::Json];
const BYTES_DEFAULT: usize = 1024 * 1024;
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// What is wanted. What is beyond our limits is cut to them: existing clients ask for the moon.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FetchAsks {
    /// Where it begins; `earliest` if missing.
    #[param(example = "0")]
    offset: Option<String>,
    /// How long to wait for a record, ms; 1000 if missing.
    timeout: Option<u64>,
    /// Bytes at most; 1048576 if missing.
    max_bytes: Option<usize>,
}

/// Reads a partition.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}/records", tag = "v2",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        FetchAsks
    ),
    responses((status = 200, description = "Records, possibly none", content(
        (Vec<V2Fetched> = "application/vnd.kafka.binary.v2+json"),
        (Vec<V2Fetched> = "application/vnd.kafka.json.v2+json"),
        (Vec<V2Fetched> = "application/json"),
    )))
)]
pub(super) async fn fetch(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    Asks(asks): Asks<FetchAsks>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let answered_as = Media::accepted(&headers, OFFERED)?;
    let form = if answered_as == Media::V2Binary { Media::V2Binary } else { Media::V2Json };
    let timeout = asks.timeout.map_or(TIMEOUT_DEFAULT, Duration::from_millis);
    let fetch = Fetch {
        topic: topic.clone(),
        partition,
        from: asks.offset.as_deref().map_or(Ok(FetchFrom::Earliest), offset::read)?,
        bytes_max: asks.max_bytes.unwrap_or(BYTES_DEFAULT).clamp(1, door.limits.fetch_bytes_max),
        bytes_min: 1,
        wait: timeout.min(door.limits.wait_max),
        freshness: Freshness::Leader,
    };
    let fetched = wait(&door, fetch).await?;
    let bounds = Bounds {
        records_max: u64::MAX,
        page_bytes_max: door.limits.page_bytes_max,
        inflated_bytes_max: door.limits.inflated_bytes_max,
    };
    let mut to = BytesMut::new();
    let source = Source { topic: &topic, partition, fetched: &fetched };
    let end = v2_page(&mut to, form, source, bounds)?;
    door.meter.fetched(end.records, to.len());
    let mut response = typed(answered_as.name(), to.freeze());
    door.name_tail(response.headers_mut(), &fetched.tail);
    Ok(response)
}
