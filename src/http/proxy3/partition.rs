//! `GET /v3/clusters/{cluster}/topics/{topic}/partitions` and `…/partitions/{partition}`.

use super::link::Links;
use crate::broker::PartitionView;
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{AtPartition, AtTopic};
use crate::topic::{PartitionId, TopicName};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// One partition of a topic.
pub(super) async fn find(
    door: &Door,
    topic: &TopicName,
    partition: PartitionId,
) -> Result<PartitionView, Error> {
    let partitions = door.broker.describe(topic).await?.partitions;
    let found = partitions.into_iter().find(|view| view.partition == partition.0);
    found.ok_or_else(|| {
        let message = format!("topic {topic} has no partition {partition}");
        Error::new(ErrorKind::UnknownPartition, message)
    })
}

fn thing(links: &Links, topic: &TopicName, view: &PartitionView) -> Value {
    let below = format!("/topics/{topic}/partitions/{}", view.partition);
    let mut fields = json!({
        "topic_name": topic.as_str(),
        "partition_id": view.partition,
        "replicas": links.related(&format!("{below}/replicas")),
        "reassignment": links.related(&format!("{below}/reassignment")),
    });
    if let (Some(leader), Value::Object(fields)) = (view.leader, &mut fields) {
        let leader = links.related(&format!("{below}/replicas/{leader}"));
        fields.insert("leader".to_owned(), leader);
    }
    links.thing("KafkaPartition", &below, fields)
}

/// Lists the partitions of a topic.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/partitions", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    responses((status = 200, description = "A KafkaPartitionList", body = Value))
)]
pub(super) async fn list(
    State(door): State<Door>,
    links: Links,
    AtTopic(topic): AtTopic,
) -> Result<Json<Value>, Error> {
    let partitions = door.broker.describe(&topic).await?.partitions;
    let things = partitions.iter().map(|view| thing(&links, &topic, view)).collect::<Vec<_>>();
    Ok(Json(links.list("KafkaPartitionList", &format!("/topics/{topic}/partitions"), &things)))
}

/// Describes a partition.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "A KafkaPartition", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    AtPartition(topic, partition): AtPartition,
) -> Result<Json<Value>, Error> {
    Ok(Json(thing(&links, &topic, &find(&door, &topic, partition).await?)))
}
