//! `POST` and `GET …/assignments`: partitions that an instance takes by hand, shared with nobody.

use super::{AtInstance, answer, as_v2};
use crate::broker::{Heartbeat, MemberView, PlaceView};
use crate::coordinator::{GroupName, MemberId};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::subscription;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long an assignment waits until the partitions are the instance's, so that it can seek in them. Of
/// those that another one took by hand it may get none.
const SETTLE: Duration = Duration::from_secs(5);

/// Partitions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = V2Partitions)]
#[serde(deny_unknown_fields)]
pub(super) struct Places {
    /// The partitions.
    #[schema(max_items = 1000)]
    pub(super) partitions: Vec<PlaceView>,
}

/// Assigns partitions to an instance, instead of those before.
#[utoipa::path(
    post, path = "/consumers/{group}/instances/{instance}/assignments", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    request_body(description = "Its partitions", content(
        (Places = "application/vnd.kafka.v2+json"), (Places = "application/json"),
    )),
    responses((status = 204, description = "They are assigned"))
)]
pub(super) async fn assign(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    Document(Places { partitions }): Document<Places>,
) -> Result<StatusCode, Error> {
    let wants = subscription(None, None, Some(&partitions))?;
    let now = door.broker.member(&group, &member).await.map_err(as_v2)?;
    if !now.topics.is_empty() || now.topic_pattern.is_some() {
        let message = format!("instance {member} is subscribed: it cannot be assigned too");
        return Err(Error::new(ErrorKind::IllegalState, message));
    }
    if let Some(wants) = wants {
        let deadline = door.deadline(None)?;
        door.broker.subscribe(&group, &member, wants, deadline).await.map_err(as_v2)?;
        settle(&door, &group, &member, &partitions).await.map_err(as_v2)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Waits until the member has what it took, and nothing else.
async fn settle(
    door: &Door,
    group: &GroupName,
    member: &MemberId,
    wanted: &[PlaceView],
) -> Result<(), Error> {
    let wanted: BTreeSet<PlaceView> = wanted.iter().cloned().collect();
    let until = Instant::now() + SETTLE;
    let mut known = None;
    loop {
        let beat = Heartbeat {
            group: group.clone(),
            member: member.clone(),
            generation: known,
            wait: until.saturating_duration_since(Instant::now()),
        };
        let allotment = door.broker.heartbeat(beat, until + SETTLE).await?;
        let has: BTreeSet<PlaceView> = allotment.assigned.iter().map(PlaceView::from).collect();
        if (has == wanted && allotment.revoke.is_empty()) || Instant::now() >= until {
            return Ok(());
        }
        known = Some(allotment.generation);
    }
}

/// The partitions that an instance has, by hand or by its subscription.
#[utoipa::path(
    get, path = "/consumers/{group}/instances/{instance}/assignments", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    responses((status = 200, description = "Its partitions", content(
        (Places = "application/vnd.kafka.v2+json"), (Places = "application/json"),
    )))
)]
pub(super) async fn show(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let MemberView { assigned, .. } = door.broker.member(&group, &member).await.map_err(as_v2)?;
    answer(&headers, &Places { partitions: assigned })
}
