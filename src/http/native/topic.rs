//! `PUT`, `GET`, `PATCH` and `DELETE /v1/topics/{topic}`.

use crate::broker::{Created, NewTopic, TopicSummary, TopicView};
use crate::error::Error;
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::place::{Asks, AtTopic};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A topic to make.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TopicToMake {
    /// 1 to 1000; 1 if missing.
    #[schema(minimum = 1, maximum = 1000, example = 6)]
    partitions: Option<u32>,
    /// 1, 3 or 5, at most one a broker; 3, or what the cluster has, if missing.
    #[schema(minimum = 1, maximum = 5, example = 1)]
    replication_factor: Option<u32>,
    /// Settings that are not the default.
    config: BTreeMap<String, String>,
    /// Check only.
    validate_only: bool,
}

/// What to change of a topic.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TopicChange {
    /// How many partitions it is to have: more than now.
    #[schema(minimum = 1, maximum = 1000)]
    partitions: Option<u32>,
    /// Settings to change; `null` resets one to its default.
    config: BTreeMap<String, Option<String>>,
}

/// How long it may take.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct TimeAsks {
    /// How long the request may take, at most 120000; 30000 if missing.
    #[param(minimum = 0, maximum = 120_000)]
    pub(in crate::http) timeout_ms: Option<u64>,
}

/// Describes a topic.
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$")),
    responses((status = 200, description = "The topic", body = TopicView))
)]
pub(super) async fn describe(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
) -> Result<Json<TopicView>, Error> {
    door.broker.describe(&topic).await.map(Json)
}

/// Makes a topic.
///
/// The same again is no error: 200 says that it exists with exactly these settings.
#[utoipa::path(
    put, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"), TimeAsks),
    request_body = TopicToMake,
    responses(
        (status = 201, description = "It is new", body = TopicSummary),
        (status = 200, description = "It existed, with exactly these settings; or it could be made (validate_only)", body = TopicSummary),
    )
)]
pub(super) async fn create(
    State(door): State<Door>,
    AtTopic(name): AtTopic,
    Asks(asks): Asks<TimeAsks>,
    Document(wanted): Document<TopicToMake>,
) -> Result<(StatusCode, Json<TopicSummary>), Error> {
    let TopicToMake { partitions, replication_factor, config, validate_only } = wanted;
    let topic = NewTopic { name, partitions, replication_factor, config, validate_only };
    let deadline = door.deadline(asks.timeout_ms)?;
    Ok(match door.broker.create_topic(topic, deadline).await? {
        Created::New(summary) if validate_only => (StatusCode::OK, Json(summary)),
        Created::New(summary) => (StatusCode::CREATED, Json(summary)),
        Created::Existed(summary) => (StatusCode::OK, Json(summary)),
    })
}

/// Changes a topic: its settings, or to more partitions.
#[utoipa::path(
    patch, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"), TimeAsks),
    request_body = TopicChange,
    responses((status = 200, description = "It is changed", body = TopicSummary))
)]
pub(super) async fn alter(
    State(door): State<Door>,
    AtTopic(name): AtTopic,
    Asks(asks): Asks<TimeAsks>,
    Document(change): Document<TopicChange>,
) -> Result<Json<TopicSummary>, Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    if !change.config.is_empty() {
        door.broker.alter_topic(&name, change.config, deadline).await?;
    }
    match change.partitions {
        Some(count) => door.broker.add_partitions(&name, count, deadline).await.map(Json),
        None => door.broker.topic(&name).map(Json),
    }
}

/// Deletes a topic and all its records.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"), TimeAsks),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(door): State<Door>,
    AtTopic(name): AtTopic,
    Asks(asks): Asks<TimeAsks>,
) -> Result<StatusCode, Error> {
    door.broker.delete_topic(&name, door.deadline(asks.timeout_ms)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
