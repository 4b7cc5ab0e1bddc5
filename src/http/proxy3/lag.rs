//! `GET /v3/clusters/{cluster}/consumer-groups/{group}/lag-summary`, `…/lags` and
//! `…/lags/{topic}/partitions/{partition}`.

use super::group::path;
use super::link::Links;
use crate::broker::{GroupView, LagView, MemberView};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{AtGroup, Named};
use crate::path::segment;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// Who reads a partition.
fn reader<'a>(view: &'a GroupView, lag: &LagView) -> Option<&'a MemberView> {
    let id = lag.member_id.as_ref()?;
    view.members.iter().find(|member| member.member_id == *id)
}

fn thing(links: &Links, view: &GroupView, lag: &LagView) -> Value {
    let LagView { topic, partition, .. } = lag;
    let below = format!("{}/lags/{topic}/partitions/{partition}", path(&view.group));
    let reader = reader(view, lag);
    let fields = json!({
        "consumer_group_id": view.group,
        "topic_name": topic,
        "partition_id": partition,
        "current_offset": lag.committed.unwrap_or(0),
        "log_end_offset": lag.log_end.unwrap_or(0),
        "lag": lag.lag.unwrap_or(0),
        "consumer_id": reader.map_or("", |member| &member.member_id),
        "instance_id": reader.and_then(|member| member.instance_id.as_deref()),
        "client_id": reader.map_or("", |member| &member.client_id),
    });
    links.thing("KafkaConsumerLag", &below, fields)
}

/// How far a group is behind, at most and in sum.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}/lag-summary", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
    ),
    responses((status = 200, description = "A KafkaConsumerGroupLagSummary", body = Value))
)]
pub(super) async fn summary(
    State(door): State<Door>,
    links: Links,
    AtGroup(group): AtGroup,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&group).await?;
    let most = view.offsets.iter().max_by_key(|lag| lag.lag.unwrap_or(0)).ok_or_else(|| {
        let message = format!("group {group} has read no partition: it has no lag");
        Error::new(ErrorKind::UnknownPartition, message)
    })?;
    let LagView { topic, partition, .. } = most;
    let below = path(&view.group);
    let reader = reader(&view, most);
    let id = reader.map_or("", |member| &member.member_id);
    let fields = json!({
        "consumer_group_id": view.group,
        "max_lag_consumer_id": id,
        "max_lag_instance_id": reader.and_then(|member| member.instance_id.as_deref()),
        "max_lag_client_id": reader.map_or("", |member| &member.client_id),
        "max_lag_topic_name": topic,
        "max_lag_partition_id": partition,
        "max_lag": most.lag.unwrap_or(0),
        "total_lag": view.lag,
        "max_lag_consumer": links.related(&format!("{below}/consumers/{}", segment(id))),
        "max_lag_partition": links.related(&format!("/topics/{topic}/partitions/{partition}")),
    });
    let below = format!("{below}/lag-summary");
    Ok(Json(links.thing("KafkaConsumerGroupLagSummary", &below, fields)))
}

/// How far a group is behind, by partition.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}/lags", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
    ),
    responses((status = 200, description = "A KafkaConsumerLagList", body = Value))
)]
pub(super) async fn list(
    State(door): State<Door>,
    links: Links,
    AtGroup(group): AtGroup,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&group).await?;
    let things: Vec<Value> = view.offsets.iter().map(|lag| thing(&links, &view, lag)).collect();
    let below = format!("{}/lags", path(&view.group));
    Ok(Json(links.list("KafkaConsumerLagList", &below, &things)))
}

/// How far a group is behind in one partition.
#[utoipa::path(
    get,
    path = "/v3/clusters/{cluster}/consumer-groups/{group}/lags/{topic}/partitions/{partition}",
    tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "A KafkaConsumerLag", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let (topic, partition) = (named.topic()?, named.partition()?);
    let view = door.broker.describe_group(&named.group()?).await?;
    let mut lags = view.offsets.iter();
    let lag = lags.find(|lag| lag.topic == topic.as_str() && lag.partition == partition.0);
    let lag = lag.ok_or_else(|| {
        let message = format!("group {} does not read {topic}-{partition}", view.group);
        Error::new(ErrorKind::UnknownPartition, message)
    })?;
    Ok(Json(thing(&links, &view, lag)))
}
