//! `POST …/positions`, `…/positions/beginning` and `…/positions/end`: where an instance reads next.

use super::assignment::Places;
use super::{AtInstance, as_v2};
use crate::broker::SeekTo;
use crate::coordinator::TopicPartition;
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::{few, place_at, places};
use crate::http::offset::time_ms;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an instance is to read next.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = V2Positions)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Seek {
    /// By offset.
    offsets: Vec<ByOffset>,
    /// By time.
    timestamps: Vec<ByTime>,
}

/// At an offset.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = V2PositionByOffset)]
#[serde(deny_unknown_fields)]
struct ByOffset {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset.
    offset: u64,
    /// Passed over.
    #[serde(default)]
    metadata: Option<String>,
}

/// At the first record of a time or later.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = V2PositionByTime)]
#[serde(deny_unknown_fields)]
struct ByTime {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// RFC 3339.
    #[schema(example = "2026-11-21T08:00:00Z")]
    timestamp: String,
    /// Passed over.
    #[serde(default)]
    metadata: Option<String>,
}

impl Seek {
    fn read(&self) -> Result<Vec<(TopicPartition, SeekTo)>, Error> {
        few(self.offsets.len().saturating_add(self.timestamps.len()))?;
        let by_offset = self
            .offsets
            .iter()
            .map(|each| Ok((place_at(&each.topic, each.partition)?, SeekTo::Offset(each.offset))));
        let by_time = self.timestamps.iter().map(|each| {
            let ms = time_ms(&each.timestamp).ok_or_else(|| {
                let message = format!("timestamp {:?} is not an RFC 3339 time", each.timestamp);
                Error::new(ErrorKind::InvalidRequest, message)
            })?;
            Ok((place_at(&each.topic, each.partition)?, SeekTo::Timestamp(ms)))
        });
        by_offset.chain(by_time).collect()
    }
}

async fn go(
    door: &Door,
    at: AtInstance,
    to: Vec<(TopicPartition, SeekTo)>,
) -> Result<StatusCode, Error> {
    let AtInstance { group, member } = at;
    door.broker.seek(&group, &member, to).await.map_err(as_v2)?;
    Ok(StatusCode::NO_CONTENT)
}

fn all_to(named: &Places, to: SeekTo) -> Result<Vec<(TopicPartition, SeekTo)>, Error> {
    Ok(places(&named.partitions)?.into_iter().map(|at| (at, to)).collect())
}

/// An instance is to read elsewhere, by offset or by time.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/positions", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    request_body(description = "Where", content(
        (Seek = "application/vnd.kafka.v2+json"), (Seek = "application/json"),
    )),
    responses((status = 204, description = "Its next records come from there"))
)]
pub(super) async fn seek(
    State(door): State<Door>,
    at: AtInstance,
    Document(seek): Document<Seek>,
) -> Result<StatusCode, Error> {
    let to = seek.read()?;
    go(&door, at, to).await
}

/// An instance is to read partitions from their beginning.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/positions/beginning", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    request_body(description = "Which", content(
        (Places = "application/vnd.kafka.v2+json"), (Places = "application/json"),
    )),
    responses((status = 204, description = "Its next records come from there"))
)]
pub(super) async fn to_beginning(
    State(door): State<Door>,
    at: AtInstance,
    Document(named): Document<Places>,
) -> Result<StatusCode, Error> {
    let to = all_to(&named, SeekTo::Beginning)?;
    go(&door, at, to).await
}

/// An instance is to read of partitions only what comes.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/positions/end", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    request_body(description = "Which", content(
        (Places = "application/vnd.kafka.v2+json"), (Places = "application/json"),
    )),
    responses((status = 204, description = "Its next records come from there"))
)]
pub(super) async fn to_end(
    State(door): State<Door>,
    at: AtInstance,
    Document(named): Document<Places>,
) -> Result<StatusCode, Error> {
    let to = all_to(&named, SeekTo::End)?;
    go(&door, at, to).await
}
