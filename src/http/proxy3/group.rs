//! `GET /v3/clusters/{cluster}/consumer-groups`, `…/consumer-groups/{group}`, its `consumers` and their
//! `assignments`.

use super::link::Links;
use crate::broker::{GroupSummary, GroupView, MemberView, PlaceView};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::{AtGroup, Named};
use crate::path::segment;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// What v3 says of a group in a list and by itself.
struct Group<'a> {
    name: &'a str,
    state: &'a str,
    assignor: &'a str,
    coordinator: u64,
    is_simple: bool,
}

impl<'a> From<&'a GroupSummary> for Group<'a> {
    fn from(summary: &'a GroupSummary) -> Self {
        Self {
            name: &summary.group,
            state: &summary.state,
            assignor: &summary.assignor,
            coordinator: summary.coordinator,
            is_simple: false,
        }
    }
}

impl<'a> From<&'a GroupView> for Group<'a> {
    fn from(view: &'a GroupView) -> Self {
        Self {
            name: &view.group,
            state: &view.state,
            assignor: &view.assignor,
            coordinator: view.coordinator,
            is_simple: view.members.iter().any(|member| !member.manual.is_empty()),
        }
    }
}

/// A state as Kafka calls it.
fn state(ours: &str) -> &'static str {
    match ours {
        "empty" => "EMPTY",
        "assigning" => "PREPARING_REBALANCE",
        "reconciling" => "COMPLETING_REBALANCE",
        "stable" => "STABLE",
        "dead" => "DEAD",
        _ => "UNKNOWN",
    }
}

/// Where a group is, below its cluster.
pub(super) fn path(group: &str) -> String {
    format!("/consumer-groups/{}", segment(group))
}

fn thing(links: &Links, group: &Group<'_>) -> Value {
    let below = path(group.name);
    let fields = json!({
        "consumer_group_id": group.name,
        "is_simple": group.is_simple,
        "partition_assignor": group.assignor,
        "state": state(group.state),
        "type": "CONSUMER",
        "is_mixed_consumer_group": false,
        "coordinator": links.related(&format!("/brokers/{}", group.coordinator)),
        "consumers": links.related(&format!("{below}/consumers")),
        "lag_summary": links.related(&format!("{below}/lag-summary")),
    });
    links.thing("KafkaConsumerGroup", &below, fields)
}

fn consumer(links: &Links, group: &str, member: &MemberView) -> Value {
    let below = format!("{}/consumers/{}", path(group), segment(&member.member_id));
    let fields = json!({
        "consumer_group_id": group,
        "consumer_id": member.member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "assignments": links.related(&format!("{below}/assignments")),
    });
    links.thing("KafkaConsumer", &below, fields)
}

fn assignment(links: &Links, group: &str, member: &str, place: &PlaceView) -> Value {
    let PlaceView { topic, partition } = place;
    let below = format!(
        "{}/consumers/{}/assignments/{topic}/partitions/{partition}",
        path(group),
        segment(member)
    );
    let fields = json!({
        "consumer_group_id": group,
        "consumer_id": member,
        "topic_name": topic,
        "partition_id": partition,
        "partition": links.related(&format!("/topics/{topic}/partitions/{partition}")),
        "lag": links.related(&format!("{}/lags/{topic}/partitions/{partition}", path(group))),
    });
    links.thing("KafkaConsumerAssignment", &below, fields)
}

fn member<'a>(view: &'a GroupView, named: &Named) -> Result<&'a MemberView, Error> {
    let id = named.get("consumer")?;
    view.members.iter().find(|member| member.member_id == id).ok_or_else(|| {
        let message = format!("group {} has no consumer {id:?}", view.group);
        Error::new(ErrorKind::UnknownMember, message)
    })
}

/// Lists the consumer groups.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups", tag = "v3",
    params(("cluster" = String, Path, description = "The cluster's id")),
    responses((status = 200, description = "A KafkaConsumerGroupList", body = Value))
)]
pub(super) async fn list(State(door): State<Door>, links: Links) -> Result<Json<Value>, Error> {
    let groups = door.broker.groups().await?;
    let things = groups.iter().map(|group| thing(&links, &group.into())).collect::<Vec<_>>();
    Ok(Json(links.list("KafkaConsumerGroupList", "/consumer-groups", &things)))
}

/// Describes a consumer group.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
    ),
    responses((status = 200, description = "A KafkaConsumerGroup", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    AtGroup(group): AtGroup,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&group).await?;
    Ok(Json(thing(&links, &(&view).into())))
}

/// Lists the consumers of a group.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}/consumers", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
    ),
    responses((status = 200, description = "A KafkaConsumerList", body = Value))
)]
pub(super) async fn consumers(
    State(door): State<Door>,
    links: Links,
    AtGroup(group): AtGroup,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&group).await?;
    let things: Vec<Value> =
        view.members.iter().map(|member| consumer(&links, &view.group, member)).collect();
    let below = format!("{}/consumers", path(&view.group));
    Ok(Json(links.list("KafkaConsumerList", &below, &things)))
}

/// Describes a consumer of a group.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    responses((status = 200, description = "A KafkaConsumer", body = Value))
)]
pub(super) async fn show_consumer(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&named.group()?).await?;
    Ok(Json(consumer(&links, &view.group, member(&view, &named)?)))
}

/// Lists what a consumer has.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}/assignments",
    tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
        ("consumer" = String, Path, description = "The consumer"),
    ),
    responses((status = 200, description = "A KafkaConsumerAssignmentList", body = Value))
)]
pub(super) async fn assignments(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let view = door.broker.describe_group(&named.group()?).await?;
    let (group, member) = (&view.group, member(&view, &named)?);
    let has = member.assigned.iter();
    let things: Vec<Value> =
        has.map(|place| assignment(&links, group, &member.member_id, place)).collect();
    let below = format!("{}/consumers/{}/assignments", path(group), segment(&member.member_id));
    Ok(Json(links.list("KafkaConsumerAssignmentList", &below, &things)))
}

/// Describes one partition that a consumer has.
#[utoipa::path(
    get,
    path = "/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}/assignments/{topic}/partitions/{partition}",
    tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("group" = String, Path, description = "The group"),
        ("consumer" = String, Path, description = "The consumer"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    responses((status = 200, description = "A KafkaConsumerAssignment", body = Value))
)]
pub(super) async fn show_assignment(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let (topic, partition) = (named.topic()?, named.partition()?);
    let view = door.broker.describe_group(&named.group()?).await?;
    let member = member(&view, &named)?;
    let place = PlaceView { topic: topic.to_string(), partition: partition.0 };
    if !member.assigned.contains(&place) {
        let message = format!("consumer {} does not have {topic}-{partition}", member.member_id);
        return Err(Error::new(ErrorKind::UnknownPartition, message));
    }
    Ok(Json(assignment(&links, &view.group, &member.member_id, &place)))
}
