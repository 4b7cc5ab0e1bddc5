//! `POST /v1/topics/{topic}/partitions/{partition}/trim`.

use super::topic::TimeAsks;
use crate::error::Error;
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::place::{Asks, AtPartition};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far to trim.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trim {
    /// The first offset to keep.
    offset: u64,
}

/// The ends of a partition.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ends {
    /// The first offset that can be read.
    log_start_offset: u64,
    /// The offset after the last committed record.
    high_watermark: u64,
}

/// Moves the log start of a partition: what is before it can no longer be read.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/partitions/{partition}/trim", tag = "records",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        TimeAsks
    ),
    request_body = Trim,
    responses((status = 200, description = "The ends as they are now", body = Ends))
)]
pub(super) async fn trim(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    Asks(asks): Asks<TimeAsks>,
    Document(Trim { offset }): Document<Trim>,
) -> Result<Json<Ends>, Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    let tail = door.broker.trim(&topic, partition, offset, deadline).await?;
    Ok(Json(Ends { log_start_offset: tail.log_start, high_watermark: tail.high_watermark }))
}
