//! `GET /v1/groups`, `GET` and `DELETE /v1/groups/{group}`, `GET /v1/groups/{group}/lag`.

use crate::broker::{GroupSummary, GroupView, LagView};
use crate::error::Error;
use crate::http::door::Door;
use crate::http::native::topic::TimeAsks;
use crate::http::place::{Asks, AtGroup};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// All groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Groups {
    /// By name.
    groups: Vec<GroupSummary>,
}

/// How far a group is behind.
#[expect(clippy::struct_field_names, reason = "the fields have the names of the interface")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Lag {
    /// The group.
    group: String,
    /// The sum of the lags that are known, in records.
    lag: u64,
    /// Each partition that it reads or has read.
    partitions: Vec<LagView>,
}

/// Lists the consumer groups.
#[utoipa::path(
    get, path = "/v1/groups", tag = "groups",
    responses((status = 200, description = "The groups", body = Groups))
)]
pub(super) async fn list(State(door): State<Door>) -> Result<Json<Groups>, Error> {
    let groups = door.broker.groups().await?;
    Ok(Json(Groups { groups }))
}

/// Describes a group: its members, what each has, and how far it is.
#[utoipa::path(
    get, path = "/v1/groups/{group}", tag = "groups",
    params(("group" = String, Path, description = "The group")),
    responses((status = 200, description = "The group", body = GroupView))
)]
pub(super) async fn describe(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
) -> Result<Json<GroupView>, Error> {
    door.broker.describe_group(&group).await.map(Json)
}

/// Deletes a group that has no members, and its offsets.
#[utoipa::path(
    delete, path = "/v1/groups/{group}", tag = "groups",
    params(("group" = String, Path, description = "The group"), TimeAsks),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<TimeAsks>,
) -> Result<StatusCode, Error> {
    door.broker.delete_group(&group, door.deadline(asks.timeout_ms)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How far a group is behind, by partition and summed.
#[utoipa::path(
    get, path = "/v1/groups/{group}/lag", tag = "groups",
    params(("group" = String, Path, description = "The group")),
    responses((status = 200, description = "Its lag", body = Lag))
)]
pub(super) async fn lag(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
) -> Result<Json<Lag>, Error> {
    let GroupView { group, lag, offsets, .. } = door.broker.describe_group(&group).await?;
    Ok(Json(Lag { group, lag, partitions: offsets }))
}
