//! `GET` and `POST /v1/groups/{group}/members/{member}/positions`: where a member reads next.

use super::wish::{at, few};
use crate::broker::{FetchFrom, SeekTo};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::offset;
use crate::http::place::AtMember;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a member reads next.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Positions {
    /// In each partition it has.
    positions: Vec<Position>,
}

/// Where a member reads next in one partition.
#[derive(Debug, Serialize, ToSchema)]
struct Position {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// The next offset; null where it has not begun and nothing is committed.
    offset: Option<u64>,
}

/// Where a member is to read next.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seek {
    /// In partitions that it has.
    #[schema(min_items = 1, max_items = 1000)]
    positions: Vec<SeekIn>,
}

/// Where a member is to read next in one partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SeekIn {
    /// The topic.
    topic: String,
    /// The partition.
    partition: u32,
    /// An offset, `earliest`, `latest`, `@RFC3339` or `@milliseconds`.
    offset: Place,
}

/// A place in a log: a number, or a word.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Place {
    /// An offset.
    Offset(u64),
    /// A word.
    Word(String),
}

impl Place {
    fn read(&self) -> Result<SeekTo, Error> {
        let word = match self {
            Self::Offset(offset) => return Ok(SeekTo::Offset(*offset)),
            Self::Word(word) => word,
        };
        match offset::read(word)? {
            FetchFrom::Offset(offset) => Ok(SeekTo::Offset(offset)),
            FetchFrom::Earliest => Ok(SeekTo::Beginning),
            FetchFrom::Latest => Ok(SeekTo::End),
            FetchFrom::Timestamp(ms) => Ok(SeekTo::Timestamp(ms)),
            FetchFrom::Last(_) => {
                let message = format!("offset {word:?}: a position is not counted from the end");
                Err(Error::new(ErrorKind::InvalidRequest, message))
            }
        }
    }
}

/// Where a member reads next.
#[utoipa::path(
    get, path = "/v1/groups/{group}/members/{member}/positions", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
    ),
    responses((status = 200, description = "Its positions", body = Positions))
)]
pub(super) async fn list(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
) -> Result<Json<Positions>, Error> {
    let positions = door.broker.positions(&group, &member).await?;
    let positions = positions.into_iter().map(|(at, offset)| Position {
        topic: at.topic.to_string(),
        partition: at.partition.0,
        offset,
    });
    Ok(Json(Positions { positions: positions.collect() }))
}

/// A member is to read elsewhere.
#[utoipa::path(
    post, path = "/v1/groups/{group}/members/{member}/positions", tag = "groups",
    params(
        ("group" = String, Path, description = "The group"),
        ("member" = String, Path, description = "The member"),
    ),
    request_body = Seek,
    responses((status = 204, description = "Its next records come from there"))
)]
pub(super) async fn seek(
    State(door): State<Door>,
    AtMember(group, member): AtMember,
    Document(Seek { positions }): Document<Seek>,
) -> Result<StatusCode, Error> {
    few(positions.len())?;
    let to: Result<Vec<_>, Error> = positions
        .iter()
        .map(|each| Ok((at(&each.topic, each.partition)?, each.offset.read()?)))
        .collect();
    door.broker.seek(&group, &member, to?).await?;
    Ok(StatusCode::NO_CONTENT)
}
