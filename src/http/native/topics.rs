//! `GET /v1/topics`.

use crate::broker::TopicSummary;
use crate::http::door::Door;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// All topics.
#[derive(Serialize, ToSchema)]
pub(super) struct Topics {
    /// By name.
    topics: Vec<TopicSummary>,
}

/// Lists the topics.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics",
    responses((status = 200, description = "All topics", body = Topics))
)]
pub(super) async fn list(State(door): State<Door>) -> Json<Topics> {
    Json(Topics { topics: door.broker.topics() })
}
