//! `GET`, `PATCH` and `DELETE /v1/groups/{group}/members/{member}`, and its heartbeat.

use super::join::Share;
use super::wish::subscription;
use crate::broker::{Heartbeat, MemberView, PlaceView};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::topic::TimeAsks;
use crate::http::place::{Asks, AtMember};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// What a member wants instead: one of the three.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OtherWish {
    /// A share of these topics.
    #[schema(max_items = 1000)]
    topics: Option<Vec<String>>,
    /// A share of every topic whose whole name matches.
    #[schema(max_length = 1024)]
    topic_pattern: Option<String>,
    /// Exactly these partitions.
    #[schema(max_items = 1000)]
    partitions: Option<Vec<PlaceView>>,
}

/// A sign of life.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Beat {
    /// The generation that it acknowledges: it reads nothing more of what that revoked.
    generation: Option<u32>,
    /// How long the answer may wait for news.
    #[schema(minimum = 0, maximum = 30000)]
    wait_ms: u64,
}

/// Describes a member.
#[utoipa::path(
    get, path = "/v1/groups/{group}/members/{member}", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
    ),
    responses((status = 200, description = "The member", body = MemberView))
)]
pub(super) async fn describe(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
) -> Result<Json<MemberView>, Error> {
    door.broker.member(&group, &member).await.map(Json)
}

/// A member wants something else.
#[utoipa::path(
    patch, path = "/v1/groups/{group}/members/{member}", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
        TimeAsks
    ),
    request_body = OtherWish,
    responses((status = 200, description = "The member", body = MemberView))
)]
pub(super) async fn subscribe(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Asks(asks): Asks<TimeAsks>,
    Document(wish): Document<OtherWish>,
) -> Result<Json<MemberView>, Error> {
    let OtherWish { topics, topic_pattern, partitions } = wish;
    let wants = subscription(topics.as_deref(), topic_pattern.as_deref(), partitions.as_deref())?;
    let wants = wants.ok_or_else(|| {
        let message = "nothing to change: topics, topic_pattern or partitions is taken";
        Error::new(ErrorKind::InvalidRequest, message)
    })?;
    let deadline = door.deadline(asks.timeout_ms)?;
    door.broker.subscribe(&group, &member, wants, deadline).await?;
    door.broker.member(&group, &member).await.map(Json)
}

/// A member goes; what it had goes to others at once.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/members/{member}", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
        TimeAsks
    ),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn leave(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Asks(asks): Asks<TimeAsks>,
) -> Result<StatusCode, Error> {
    door.broker.leave_group(&group, &member, door.deadline(asks.timeout_ms)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign of life; says what the member has, and what it is to give away.
#[utoipa::path(
    post, path = "/v1/groups/{group}/members/{member}/heartbeat", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
        TimeAsks
    ),
    request_body = Beat,
    responses((status = 200, description = "What it has", body = Share))
)]
pub(super) async fn heartbeat(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Asks(asks): Asks<TimeAsks>,
    Document(Beat { generation, wait_ms }): Document<Beat>,
) -> Result<Json<Share>, Error> {
    let wait = door.wait(wait_ms)?;
    let deadline = door.deadline(asks.timeout_ms)?.max(tokio::time::Instant::now() + wait);
    let beat = Heartbeat { group, member, generation, wait };
    let allotment = tokio::select! {
        biased;
        beaten = door.broker.heartbeat(beat, deadline) => beaten?,
        () = door.stopping.cancelled(), if wait > Duration::ZERO => return Err(Door::closing()),
    };
    Ok(Json(Share::from(&allotment)))
}
