//! `/v3/clusters/{cluster}/topics` and `…/topics/{topic}`.

use super::link::Links;
use crate::broker::{Created, NewTopic, TopicSummary};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::place::AtTopic;
use crate::topic::TopicName;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A topic to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct CreateTopicRequest {
    topic_name: String,
    /// 1 to 1000; 1 if missing.
    #[schema(minimum = 1, maximum = 1000)]
    partitions_count: Option<u32>,
    /// 1, 3 or 5.
    #[schema(minimum = 1, maximum = 5)]
    replication_factor: Option<u32>,
    #[serde(default)]
    configs: Vec<ConfigValue>,
    /// Check only.
    #[serde(default)]
    validate_only: bool,
}

/// A setting of a topic to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ConfigValue {
    name: String,
    value: String,
}

/// What to change of a topic.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct UpdatePartitionCountRequest {
    /// More than now.
    #[schema(minimum = 1, maximum = 1000)]
    partitions_count: u32,
}

fn thing(links: &Links, topic: &TopicSummary) -> Value {
    let below = format!("/topics/{}", topic.name);
    let fields = json!({
        "topic_name": topic.name,
        "is_internal": false,
        "replication_factor": topic.replication_factor,
        "partitions_count": topic.partitions,
        "partitions": links.related(&format!("{below}/partitions")),
        "configs": links.related(&format!("{below}/configs")),
        "partition_reassignments": links.related(&format!("{below}/partitions/-/reassignment")),
        "authorized_operations": [],
    });
    links.thing("KafkaTopic", &below, fields)
}

/// Lists the topics.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics", tag = "v3",
    params(("cluster" = String, Path, description = "The cluster's id")),
    responses((status = 200, description = "A KafkaTopicList", body = Value))
)]
pub(super) async fn list(State(door): State<Door>, links: Links) -> Json<Value> {
    let topics = door.broker.topics();
    let things = topics.iter().map(|topic| thing(&links, topic)).collect::<Vec<_>>();
    Json(links.list("KafkaTopicList", "/topics", &things))
}

/// Makes a topic.
#[utoipa::path(
    post, path = "/v3/clusters/{cluster}/topics", tag = "v3",
    params(("cluster" = String, Path, description = "The cluster's id")),
    request_body = CreateTopicRequest,
    responses(
        (status = 201, description = "A KafkaTopic", body = Value, headers(("Location" = String))),
        (status = 200, description = "It could be made (validate_only)", body = Value),
    )
)]
pub(super) async fn create(
    State(door): State<Door>,
    links: Links,
    Document(wanted): Document<CreateTopicRequest>,
) -> Result<(StatusCode, HeaderMap, Json<Value>), Error> {
    let mut config = BTreeMap::new();
    for ConfigValue { name, value } in wanted.configs {
        config.insert(name, value);
    }
    let topic = NewTopic {
        name: TopicName::new(&wanted.topic_name)?,
        partitions: wanted.partitions_count,
        replication_factor: wanted.replication_factor,
        config,
        validate_only: wanted.validate_only,
    };
    match door.broker.create_topic(topic, door.deadline(None)?).await? {
        Created::New(summary) if wanted.validate_only => {
            Ok((StatusCode::OK, HeaderMap::new(), Json(thing(&links, &summary))))
        }
        Created::New(summary) => {
            let mut headers = HeaderMap::new();
            let location = links.to(&format!("/topics/{}", summary.name));
            if let Ok(location) = location.parse() {
                headers.insert(header::LOCATION, location);
            }
            Ok((StatusCode::CREATED, headers, Json(thing(&links, &summary))))
        }
        // Unlike a PUT of ours, a POST says that the topic is new.
        Created::Existed(summary) => {
            let message = format!("topic {} exists", summary.name);
            Err(Error::new(ErrorKind::TopicExists, message))
        }
    }
}

/// Describes a topic.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    responses((status = 200, description = "A KafkaTopic", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    AtTopic(topic): AtTopic,
) -> Result<Json<Value>, Error> {
    Ok(Json(thing(&links, &door.broker.topic(&topic)?)))
}

/// Grows a topic to more partitions.
#[utoipa::path(
    patch, path = "/v3/clusters/{cluster}/topics/{topic}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    request_body = UpdatePartitionCountRequest,
    responses((status = 200, description = "A KafkaTopic", body = Value))
)]
pub(super) async fn alter(
    State(door): State<Door>,
    links: Links,
    AtTopic(topic): AtTopic,
    Document(change): Document<UpdatePartitionCountRequest>,
) -> Result<Json<Value>, Error> {
    let deadline = door.deadline(None)?;
    let count = change.partitions_count;
    let summary = door.broker.add_partitions(&topic, count, deadline).await?;
    Ok(Json(thing(&links, &summary)))
}

/// Deletes a topic and all its records.
#[utoipa::path(
    delete, path = "/v3/clusters/{cluster}/topics/{topic}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(door): State<Door>,
    _links: Links,
    AtTopic(topic): AtTopic,
) -> Result<StatusCode, Error> {
    door.broker.delete_topic(&topic, door.deadline(None)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
