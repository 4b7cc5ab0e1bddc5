//! `POST` and `GET …/offsets`: how far the instance's group has come.

use super::{AtInstance, answer, as_v2};
use crate::broker::{CommitOffsets, NewOffset, PlaceView};
use crate::coordinator::Committer;
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::{place_at, places, query_places};
use crate::http::place::Asks;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What to commit; everything that was read, if nothing is said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = V2Commit)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Commit {
    /// Each with the offset of the last record that was worked off.
    offsets: Option<Vec<OffsetIn>>,
    /// As Redpanda has it: each with the offset to go on at.
    partitions: Option<Vec<OffsetIn>>,
}

/// An offset of a partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = V2OffsetOf)]
#[serde(deny_unknown_fields)]
struct OffsetIn {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The offset.
    offset: u64,
    /// Whatever is to be found with it.
    #[serde(default)]
    metadata: Option<String>,
}

/// Which partitions.
#[derive(Debug, Default, Deserialize, ToSchema, Serialize)]
#[schema(as = V2Which)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Which {
    /// The partitions; without any those that the instance has.
    partitions: Option<Vec<PlaceView>>,
}

/// Which partitions, for callers whose `GET` has no body.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichAsks {
    /// `topic:partition,…`
    #[param(example = "orders:0,orders:1")]
    partitions: Option<String>,
}

/// Whether the commit may be answered before it is done.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AsyncAsks {
    /// Taken; the answer comes when it is committed all the same.
    #[serde(rename = "async")]
    #[param(rename = "async")]
    _async: Option<String>,
}

/// What is committed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Committed)]
pub(super) struct Committed {
    /// Of the partitions in which something is.
    offsets: Vec<CommittedIn>,
}

/// What is committed in a partition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2CommittedOffset)]
struct CommittedIn {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset to read.
    offset: u64,
    /// What was given with it.
    metadata: String,
}

fn rows(named: Vec<OffsetIn>, plus: u64) -> Result<Vec<NewOffset>, Error> {
    let row = |each: OffsetIn| {
        let offset = each.offset.checked_add(plus).filter(|next| i64::try_from(*next).is_ok());
        let offset = offset.ok_or_else(|| {
            let message = format!("offset {}: beyond the largest", each.offset);
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        let (at, metadata) = (place_at(&each.topic, each.partition)?, each.metadata);
        Ok(NewOffset { at, offset, metadata: metadata.unwrap_or_default(), leader_epoch: None })
    };
    named.into_iter().map(row).collect()
}

/// Commits offsets; with an empty body, everything that was read.
///
/// In `offsets` stands the offset of the last record that was worked off: what is committed, and read
/// back, is one more.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/offsets", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
        AsyncAsks
    ),
    request_body(description = "What", content(
        (Commit = "application/vnd.kafka.v2+json"), (Commit = "application/json"),
    )),
    responses(
        (status = 200, description = "They are committed", content(
            (Vec<CommittedIn> = "application/vnd.kafka.v2+json"),
            (Vec<CommittedIn> = "application/json"),
        )),
        (status = 204, description = "They are committed, said with `partitions`"),
    )
)]
pub(super) async fn commit(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    _async: Asks<AsyncAsks>,
    headers: HeaderMap,
    Document(Commit { offsets, partitions }): Document<Commit>,
) -> Result<Response, Error> {
    let deadline = door.deadline(None)?;
    let answered = answer(&headers, &Vec::<CommittedIn>::new())?;
    let (offsets, answered) = match (offsets, partitions) {
        (None, None) => {
            let done = door.broker.commit_received(&group, &member, deadline).await;
            return done.map(|()| answered).map_err(as_v2);
        }
        (Some(offsets), None) => (rows(offsets, 1)?, answered),
        (None, Some(partitions)) => (rows(partitions, 0)?, StatusCode::NO_CONTENT.into_response()),
        (Some(_), Some(_)) => {
            let message = "of offsets and partitions one is taken";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
    };
    let by = Committer::Member { id: member, generation: None };
    let commit = CommitOffsets { group, by, offsets };
    door.broker.commit_offsets(commit, deadline).await.map_err(as_v2)?;
    Ok(answered)
}

/// What the instance's group has committed.
#[utoipa::path(
    get, path = "/consumers/{group}/instances/{instance}/offsets", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
        WhichAsks
    ),
    request_body(description = "Of which partitions", content(
        (Which = "application/vnd.kafka.v2+json"), (Which = "application/json"),
    )),
    responses((status = 200, description = "The offsets", content(
        (Committed = "application/vnd.kafka.v2+json"), (Committed = "application/json"),
    )))
)]
pub(super) async fn committed(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    Asks(asks): Asks<WhichAsks>,
    headers: HeaderMap,
    Document(which): Document<Which>,
) -> Result<Response, Error> {
    let view = door.broker.member(&group, &member).await.map_err(as_v2)?;
    let which = match (which.partitions, asks.partitions.as_deref()) {
        (Some(named), _) => places(&named)?,
        (None, Some(named)) => query_places(named)?,
        (None, None) => places(&view.assigned)?,
    };
    let rows = door.broker.committed_offsets(&group, Some(which)).await.map_err(as_v2)?;
    let row = |row: crate::broker::CommittedOffset| {
        let offset = row.offset?;
        Some(CommittedIn {
            topic: row.topic,
            partition: row.partition,
            offset,
            metadata: row.metadata,
        })
    };
    answer(&headers, &Committed { offsets: rows.into_iter().filter_map(row).collect() })
}
