//! `POST /v1/groups/{group}/members`: a member comes.

use super::wish::subscription;
use crate::broker::{JoinGroup, Joined, OffsetReset, PlaceView};
use crate::coordinator::{
    Allotment, Assignor, Delivery, GroupName, InstanceId, MemberId, Partitions, Subscription,
};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::topic::TimeAsks;
use crate::http::place::{Asks, AtGroup};
use crate::path::segment;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// Who fetches a member's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fetches {
    /// The cluster: they come with `GET …/records`.
    #[default]
    Server,
    /// The member itself, from the partitions; it heartbeats and acknowledges generations.
    Client,
}

impl From<Fetches> for Delivery {
    fn from(fetches: Fetches) -> Self {
        match fetches {
            Fetches::Server => Self::Server,
            Fetches::Client => Self::Client,
        }
    }
}

/// A member to be. Of `topics`, `topic_pattern` and `partitions` at most one is said.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewMember {
    /// The topics it wants a share of.
    #[schema(max_items = 1000)]
    topics: Option<Vec<String>>,
    /// It wants a share of every topic, present or future, whose whole name matches.
    #[schema(max_length = 1024, example = "orders-.*")]
    topic_pattern: Option<String>,
    /// It wants exactly these partitions, shared with nobody.
    #[schema(max_items = 1000)]
    partitions: Option<Vec<PlaceView>>,
    /// `sticky`, `roundrobin` or `range`; the group takes what most members say, `sticky` if none does.
    #[schema(example = "sticky")]
    assignor: Option<String>,
    /// How long it may be silent; 45000 if not said.
    #[schema(minimum = 100, maximum = 3_600_000)]
    session_timeout_ms: Option<u32>,
    /// How long it may keep what it is to give away; 60000 if not said.
    #[schema(minimum = 100, maximum = 3_600_000)]
    rebalance_timeout_ms: Option<u32>,
    /// A name that stays over restarts: who comes again under it takes over what it had, without a
    /// rebalance.
    #[schema(max_length = 255)]
    instance_id: Option<String>,
    /// Where it begins where the group has committed nothing.
    auto_offset_reset: OffsetReset,
    /// Whether its next request for records commits what the last one gave. Only with `server`.
    auto_commit: bool,
    /// Who fetches.
    delivery: Fetches,
    /// What it calls itself, for people to read.
    #[schema(max_length = 255)]
    client_id: String,
    /// Its id; one is made if it says none.
    #[schema(max_length = 255)]
    member_id: Option<String>,
}

impl Default for NewMember {
    fn default() -> Self {
        Self {
            topics: None,
            topic_pattern: None,
            partitions: None,
            assignor: None,
            session_timeout_ms: None,
            rebalance_timeout_ms: None,
            instance_id: None,
            auto_offset_reset: OffsetReset::default(),
            auto_commit: true,
            delivery: Fetches::Server,
            client_id: String::new(),
            member_id: None,
        }
    }
}

/// What a member has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Share {
    /// The group's newest generation; a heartbeat that says it acknowledges it.
    generation: u32,
    /// What it may read.
    assigned: Vec<PlaceView>,
    /// What it is to stop reading; it can commit it until it acknowledges the generation.
    revoke: Vec<PlaceView>,
    /// What it is to have, once others have let it go.
    awaited: Vec<PlaceView>,
}

/// A member that is.
#[expect(clippy::struct_field_names, reason = "the fields have the names of the interface")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Member {
    /// Its group.
    group: String,
    /// Its id.
    member_id: String,
    /// How long it may be silent.
    session_timeout_ms: u64,
    /// How often it should be heard.
    heartbeat_interval_ms: u64,
    /// What it has.
    #[serde(flatten)]
    share: Share,
}

impl From<&Allotment> for Share {
    fn from(allotment: &Allotment) -> Self {
        let views = |partitions: &Partitions| partitions.iter().map(PlaceView::from).collect();
        Self {
            generation: allotment.generation,
            assigned: views(&allotment.assigned),
            revoke: views(&allotment.revoke),
            awaited: views(&allotment.awaited),
        }
    }
}

impl NewMember {
    fn join(self, group: GroupName) -> Result<JoinGroup, Error> {
        let wants = subscription(
            self.topics.as_deref(),
            self.topic_pattern.as_deref(),
            self.partitions.as_deref(),
        )?;
        let timeout = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(u64::from(ms)));
        Ok(JoinGroup {
            group,
            member: self.member_id.map(|id| MemberId::new(&id)).transpose()?,
            instance: self.instance_id.map(|id| InstanceId::new(&id)).transpose()?,
            client: self.client_id,
            subscription: wants.unwrap_or_else(Subscription::nothing),
            assignor: self.assignor.map(|name| name.parse::<Assignor>()).transpose()?,
            delivery: self.delivery.into(),
            session_timeout: timeout(self.session_timeout_ms),
            rebalance_timeout: timeout(self.rebalance_timeout_ms),
            auto_commit: self.auto_commit,
            auto_offset_reset: self.auto_offset_reset,
            settings: BTreeMap::new(),
        })
    }
}

/// A member comes.
///
/// It is silent at most `session_timeout_ms` and goes with `DELETE`. With `delivery: server` its records
/// come with `GET …/records`, which is its sign of life too; with `client` it heartbeats.
#[utoipa::path(
    post, path = "/v1/groups/{group}/members", tag = "groups",
    params(("group" = String, Path, description = "The group; made if there is none"), TimeAsks),
    request_body = NewMember,
    responses((status = 201, description = "It is in", body = Member, headers(
        ("Location" = String, description = "The member"),
    )))
)]
pub(super) async fn join(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<TimeAsks>,
    Document(wanted): Document<NewMember>,
) -> Result<(StatusCode, HeaderMap, Json<Member>), Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    let joined = door.broker.join_group(wanted.join(group.clone())?, deadline).await?;
    let Joined { member, allotment, session_timeout, heartbeat_interval } = joined;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let body = Member {
        group: group.to_string(),
        member_id: member.to_string(),
        session_timeout_ms: ms(session_timeout),
        heartbeat_interval_ms: ms(heartbeat_interval),
        share: Share::from(&allotment),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, location(&group, &member)?);
    Ok((StatusCode::CREATED, headers, Json(body)))
}

/// The path of a member.
pub(super) fn location(group: &GroupName, member: &MemberId) -> Result<HeaderValue, Error> {
    let (group, member) = (segment(group.as_str()), segment(member.as_str()));
    HeaderValue::from_str(&format!("/v1/groups/{group}/members/{member}"))
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}
