//! `GET /topics` and `GET /topics/{topic}`.

use super::answer;
use super::partitions::Partition;
use crate::error::Error;
use crate::http::door::Door;
use crate::http::place::AtTopic;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A topic.
#[derive(Serialize, ToSchema)]
#[schema(as = V2Topic)]
pub(super) struct Topic {
    name: String,
    configs: BTreeMap<String, String>,
    partitions: Vec<Partition>,
}

/// Lists the topics' names.
#[utoipa::path(
    get, path = "/topics", tag = "v2",
    responses((status = 200, description = "Their names", content(
        (Vec<String> = "application/vnd.kafka.v2+json"), (Vec<String> = "application/json"),
    )))
)]
pub(super) async fn list(State(door): State<Door>, headers: HeaderMap) -> Result<Response, Error> {
    let names: Vec<String> = door.broker.topics().into_iter().map(|topic| topic.name).collect();
    answer(&headers, &names)
}

/// Describes a topic.
#[utoipa::path(
    get, path = "/topics/{topic}", tag = "v2",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$")),
    responses((status = 200, description = "The topic", content(
        (Topic = "application/vnd.kafka.v2+json"), (Topic = "application/json"),
    )))
)]
pub(super) async fn describe(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let view = door.broker.describe(&topic).await?;
    let topic = Topic {
        name: view.name,
        configs: view.config.into_iter().map(|setting| (setting.name, setting.value)).collect(),
        partitions: view.partitions.into_iter().map(Partition::from).collect(),
    };
    answer(&headers, &topic)
}
