//! `POST`, `GET` and `DELETE …/subscription`: topics that are shared with the other instances of the group.

use super::{AtInstance, answer, as_v2};
use crate::broker::MemberView;
use crate::coordinator::Subscription;
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::subscription;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Topics, or a pattern of topics.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = V2Subscription)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    /// The topics.
    #[schema(max_items = 1000)]
    topics: Option<Vec<String>>,
    /// Every topic whose whole name matches, also those that come.
    #[schema(max_length = 1024)]
    topic_pattern: Option<String>,
}

/// What an instance is subscribed to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Subscribed)]
pub(super) struct Subscribed {
    /// The topics; with a pattern, those of which it has partitions.
    topics: Vec<String>,
}

/// Subscribes an instance to topics, instead of those before.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/subscription", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    request_body(description = "What it wants", content(
        (Wish = "application/vnd.kafka.v2+json"), (Wish = "application/json"),
    )),
    responses((status = 204, description = "It is subscribed"))
)]
pub(super) async fn subscribe(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    Document(Wish { topics, topic_pattern }): Document<Wish>,
) -> Result<StatusCode, Error> {
    let wants = subscription(topics.as_deref(), topic_pattern.as_deref(), None)?;
    let wants = wants.ok_or_else(|| {
        let message = "neither topics nor topic_pattern: one of them says what is wanted";
        Error::new(ErrorKind::InvalidRequest, message)
    })?;
    let now = door.broker.member(&group, &member).await.map_err(as_v2)?;
    if !now.manual.is_empty() {
        let message = format!("instance {member} was assigned partitions: it cannot subscribe too");
        return Err(Error::new(ErrorKind::IllegalState, message));
    }
    let deadline = door.deadline(None)?;
    door.broker.subscribe(&group, &member, wants, deadline).await.map_err(as_v2)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an instance is subscribed to.
#[utoipa::path(
    get, path = "/consumers/{group}/instances/{instance}/subscription", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    responses((status = 200, description = "Its topics", content(
        (Subscribed = "application/vnd.kafka.v2+json"), (Subscribed = "application/json"),
    )))
)]
pub(super) async fn show(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let now = door.broker.member(&group, &member).await.map_err(as_v2)?;
    answer(&headers, &Subscribed { topics: topics(now) })
}

fn topics(view: MemberView) -> Vec<String> {
    if view.topic_pattern.is_none() {
        return view.topics;
    }
    let mut topics: Vec<String> = view.target.into_iter().map(|place| place.topic).collect();
    topics.dedup();
    topics
}

/// Takes an instance off its topics, or off the partitions that it was assigned.
#[utoipa::path(
    delete, path = "/consumers/{group}/instances/{instance}/subscription", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    responses((status = 204, description = "It is subscribed to nothing"))
)]
pub(super) async fn unsubscribe(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
) -> Result<StatusCode, Error> {
    let (nothing, deadline) = (Subscription::nothing(), door.deadline(None)?);
    door.broker.subscribe(&group, &member, nothing, deadline).await.map_err(as_v2)?;
    Ok(StatusCode::NO_CONTENT)
}
