//! `GET`, `PUT` and `DELETE /v1/groups/{group}/offsets`, and `POST …/members/{member}/offsets`: how far a
//! group has come.

use super::wish::{at, query_places};
use crate::broker::{CommitOffsets, CommittedOffset, NewOffset};
use crate::coordinator::{Committer, MemberId};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::topic::TimeAsks;
use crate::http::place::{Asks, AtGroup, AtMember};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a group has committed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Committed {
    /// By topic and partition.
    offsets: Vec<CommittedOffset>,
}

/// Which partitions are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichAsks {
    /// `topic:partition,…`; all that are committed if missing.
    #[param(example = "orders:0,orders:1")]
    partitions: Option<String>,
    /// How long the request may take, at most 120000; 30000 if missing.
    #[param(minimum = 0, maximum = 120_000)]
    timeout_ms: Option<u64>,
}

/// Offsets to commit, all or none.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    /// What.
    #[schema(min_items = 1)]
    offsets: Vec<CommitIn>,
    /// Who; without it nobody in particular, which a partition that no member has takes.
    #[serde(default)]
    member_id: Option<String>,
    /// The generation that the member has acknowledged; without it whatever it is.
    #[serde(default)]
    generation: Option<u32>,
}

/// What a member commits: everything it was given, if nothing is said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MemberCommit {
    /// What.
    offsets: Option<Vec<CommitIn>>,
    /// The generation that it has acknowledged.
    generation: Option<u32>,
}

/// An offset to commit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CommitIn {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset to read.
    #[schema(maximum = 9_223_372_036_854_775_807_u64)]
    offset: u64,
    /// Whatever is to be found with it.
    #[serde(default)]
    #[schema(max_length = 4096)]
    metadata: String,
    /// The leader epoch of the record before it.
    #[serde(default)]
    leader_epoch: Option<u64>,
}

impl CommitIn {
    fn read(self) -> Result<NewOffset, Error> {
        let Self { topic, partition, offset, metadata, leader_epoch } = self;
        if i64::try_from(offset).is_err() {
            let message = format!("offset {offset} of {topic}-{partition}: beyond the largest");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(NewOffset { at: at(&topic, partition)?, offset, metadata, leader_epoch })
    }
}

fn read_all(offsets: Vec<CommitIn>) -> Result<Vec<NewOffset>, Error> {
    if offsets.is_empty() {
        let message = "no offsets: at least one is needed";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    offsets.into_iter().map(CommitIn::read).collect()
}

/// What a group has committed.
#[utoipa::path(
    get, path = "/v1/groups/{group}/offsets", tag = "groups",
    params(("group" = String, Path, description = "The group"), WhichAsks),
    responses((status = 200, description = "Its offsets; null where partitions were named that have none",
        body = Committed))
)]
pub(super) async fn committed(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<WhichAsks>,
) -> Result<Json<Committed>, Error> {
    let which = asks.partitions.as_deref().map(query_places).transpose()?;
    let offsets = door.broker.committed_offsets(&group, which).await?;
    Ok(Json(Committed { offsets }))
}

/// Commits offsets, for a member or for nobody in particular.
#[utoipa::path(
    put, path = "/v1/groups/{group}/offsets", tag = "groups",
    params(("group" = String, Path, description = "The group; made if there is none"), TimeAsks),
    request_body = Commit,
    responses((status = 204, description = "They are committed"))
)]
pub(super) async fn commit(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<TimeAsks>,
    Document(Commit { offsets, member_id, generation }): Document<Commit>,
) -> Result<StatusCode, Error> {
    let by = match member_id {
        Some(id) => Committer::Member { id: MemberId::new(&id)?, generation },
        None => Committer::Nobody,
    };
    let commit = CommitOffsets { group, by, offsets: read_all(offsets)? };
    door.broker.commit_offsets(commit, door.deadline(asks.timeout_ms)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets offsets of partitions that no member has.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/offsets", tag = "groups",
    params(("group" = String, Path, description = "The group"), WhichAsks),
    responses((status = 204, description = "They are gone"))
)]
pub(super) async fn delete(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<WhichAsks>,
) -> Result<StatusCode, Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    let which = if let Some(named) = asks.partitions.as_deref() {
        query_places(named)?
    } else {
        let all = door.broker.committed_offsets(&group, None).await?;
        all.iter().map(|each| at(&each.topic, each.partition)).collect::<Result<_, Error>>()?
    };
    door.broker.delete_offsets(&group, which, deadline).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A member commits: what it says, or, with an empty body, everything it was given.
#[utoipa::path(
    post, path = "/v1/groups/{group}/members/{member}/offsets", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
        TimeAsks
    ),
    request_body = MemberCommit,
    responses((status = 204, description = "It is committed"))
)]
pub(super) async fn commit_as_member(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Asks(asks): Asks<TimeAsks>,
    Document(MemberCommit { offsets, generation }): Document<MemberCommit>,
) -> Result<StatusCode, Error> {
    let deadline = door.deadline(asks.timeout_ms)?;
    match offsets {
        None => door.broker.commit_received(&group, &member, deadline).await?,
        Some(offsets) => {
            let by = Committer::Member { id: member, generation };
            let commit = CommitOffsets { group, by, offsets: read_all(offsets)? };
            door.broker.commit_offsets(commit, deadline).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}
