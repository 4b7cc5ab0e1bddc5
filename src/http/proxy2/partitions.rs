//! `GET /topics/{topic}/partitions`, `…/{partition}` and `…/{partition}/offsets`.

use super::answer;
use crate::broker::{Freshness, PartitionView};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{AtPartition, AtTopic};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// A partition.
#[derive(Serialize, ToSchema)]
#[schema(as = V2Partition)]
#[expect(clippy::struct_field_names, reason = "the fields have v2's names")]
pub(super) struct Partition {
    partition: u32,
    /// -1 without one.
    leader: i64,
    replicas: Vec<Replica>,
}

/// A replica.
#[derive(Serialize, ToSchema)]
#[schema(as = V2Replica)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are v2's")]
struct Replica {
    broker: u64,
    leader: bool,
    in_sync: bool,
}

/// The ends of a partition.
#[derive(Serialize, ToSchema)]
#[schema(as = V2Ends)]
pub(super) struct Ends {
    beginning_offset: u64,
    end_offset: u64,
}

impl From<PartitionView> for Partition {
    fn from(view: PartitionView) -> Self {
        let PartitionView { partition, leader, replicas, in_sync, .. } = view;
        let replicas = replicas.into_iter().map(|broker| Replica {
            broker,
            leader: leader == Some(broker),
            in_sync: in_sync.contains(&broker),
        });
        let replicas = replicas.collect();
        let leader = leader.and_then(|leader| i64::try_from(leader).ok()).unwrap_or(-1);
        Self { partition, leader, replicas }
    }
}

/// Lists the partitions of a topic.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions", tag = "v2",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$")),
    responses((status = 200, description = "Its partitions", content(
        (Vec<Partition> = "application/vnd.kafka.v2+json"), (Vec<Partition> = "application/json"),
    )))
)]
pub(super) async fn list(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let partitions = door.broker.describe(&topic).await?.partitions;
    let partitions: Vec<Partition> = partitions.into_iter().map(Partition::from).collect();
    answer(&headers, &partitions)
}

/// Describes a partition.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}", tag = "v2",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "The partition", content(
        (Partition = "application/vnd.kafka.v2+json"), (Partition = "application/json"),
    )))
)]
pub(super) async fn describe(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let partitions = door.broker.describe(&topic).await?.partitions;
    let found = partitions.into_iter().find(|view| view.partition == partition.0);
    let found = found.ok_or_else(|| {
        let message = format!("topic {topic} has no partition {partition}");
        Error::new(ErrorKind::UnknownPartition, message)
    })?;
    answer(&headers, &Partition::from(found))
}

/// The ends of a partition.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}/offsets", tag = "v2",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "Its first offset, and the one after its last", content(
        (Ends = "application/vnd.kafka.v2+json"), (Ends = "application/json"),
    )))
)]
pub(super) async fn offsets(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let tail = door.broker.tail(&topic, partition, Freshness::Linearizable).await?;
    let ends = Ends { beginning_offset: tail.log_start, end_offset: tail.high_watermark };
    answer(&headers, &ends)
}
