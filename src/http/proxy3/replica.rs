//! `GET /v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas` and `…/replicas/{broker}`.

use super::link::Links;
use super::partition::find;
use crate::broker::PartitionView;
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{AtPartition, Named};
use crate::topic::TopicName;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

fn thing(links: &Links, topic: &TopicName, view: &PartitionView, broker: u64) -> Value {
    let partition = view.partition;
    let fields = json!({
        "topic_name": topic.as_str(),
        "partition_id": partition,
        "broker_id": broker,
        "is_leader": view.leader == Some(broker),
        "is_in_sync": view.in_sync.contains(&broker),
        "broker": links.related(&format!("/brokers/{broker}")),
    });
    let below = format!("/topics/{topic}/partitions/{partition}/replicas/{broker}");
    links.thing("KafkaReplica", &below, fields)
}

/// Lists the replicas of a partition.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "A KafkaReplicaList", body = Value))
)]
pub(super) async fn list(
    State(door): State<Door>,
    links: Links,
    AtPartition(topic, partition): AtPartition,
) -> Result<Json<Value>, Error> {
    let view = find(&door, &topic, partition).await?;
    let things = view
        .replicas
        .iter()
        .map(|broker| thing(&links, &topic, &view, *broker))
        .collect::<Vec<_>>();
    let below = format!("/topics/{topic}/partitions/{partition}/replicas");
    Ok(Json(links.list("KafkaReplicaList", &below, &things)))
}

/// Describes a replica.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas/{broker}",
    tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
        ("broker" = u64, Path, description = "The broker's id"),
    ),
    responses((status = 200, description = "A KafkaReplica", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let (topic, partition) = (named.topic()?, named.partition()?);
    let view = find(&door, &topic, partition).await?;
    let id = named.get("broker")?;
    let broker = view.replicas.iter().find(|broker| broker.to_string() == id);
    let broker = broker.ok_or_else(|| {
        let message = format!("broker {id:?} holds no replica of {topic}-{partition}");
        Error::new(ErrorKind::UnknownBroker, message)
    })?;
    Ok(Json(thing(&links, &topic, &view, *broker)))
}
