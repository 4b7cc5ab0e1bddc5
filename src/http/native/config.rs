//! `GET` and `PATCH /v1/topics/{topic}/config`.

use super::topic::TimeAsks;
use crate::broker::SettingView;
use crate::error::Error;
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::place::{Asks, AtTopic};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// All settings of a topic.
#[derive(Serialize, ToSchema)]
pub(super) struct Settings {
    /// Set or default.
    config: Vec<SettingView>,
}

/// Tells a topic's settings.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/config", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$")),
    responses((status = 200, description = "All settings", body = Settings))
)]
pub(super) async fn show(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
) -> Result<Json<Settings>, Error> {
    Ok(Json(Settings { config: door.broker.settings(&topic)? }))
}

/// Changes a topic's settings; `null` resets one to its default.
#[utoipa::path(
    patch, path = "/v1/topics/{topic}/config", tag = "topics",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"), TimeAsks),
    request_body = BTreeMap<String, Option<String>>,
    responses((status = 200, description = "All settings as they are now", body = Settings))
)]
pub(super) async fn alter(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    Asks(asks): Asks<TimeAsks>,
    Document(changes): Document<BTreeMap<String, Option<String>>>,
) -> Result<Json<Settings>, Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    door.broker.alter_topic(&topic, changes, deadline).await?;
    Ok(Json(Settings { config: door.broker.settings(&topic)? }))
}
