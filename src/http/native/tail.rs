//! `HEAD /v1/topics/{topic}/partitions/{partition}`: the ends of a partition, without a body.

use crate::broker::Freshness;
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{Asks, AtPartition};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

/// How fresh it is to be.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TailAsks {
    /// `leader` (default) or `linearizable`.
    #[param(pattern = "^(leader|linearizable)$", example = "leader")]
    read: Option<String>,
}

/// The ends of a partition.
///
/// `ETag` is the last record's offset in quotes ("-1" if there never was one): as `If-Match` of a
/// produce request it appends only if nothing came in between.
#[utoipa::path(
    head, path = "/v1/topics/{topic}/partitions/{partition}", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        TailAsks
    ),
    responses((status = 200, description = "The partition exists", headers(
        ("High-Watermark" = u64, description = "The offset after the last committed record"),
        ("Log-Start-Offset" = u64, description = "The first offset that can be read"),
        ("Leader-Epoch" = u64, description = "The leader's term"),
        ("ETag" = String, description = "The last record's offset, quoted"),
    )))
)]
pub(super) async fn tail(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    Asks(asks): Asks<TailAsks>,
) -> Result<Response, Error> {
    let freshness = match asks.read.as_deref() {
        None | Some("leader") => Freshness::Leader,
        Some("linearizable") => Freshness::Linearizable,
        Some(other) => {
            let message = format!("read {other:?}: leader or linearizable is taken");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
    };
    let tail = door.broker.tail(&topic, partition, freshness).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    door.name_tail(headers, &tail);
    headers.insert("next-offset", tail.high_watermark.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let last = tail.high_watermark.checked_sub(1);
    let tag = last.map_or("\"-1\"".to_owned(), |last| format!("\"{last}\""));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}
