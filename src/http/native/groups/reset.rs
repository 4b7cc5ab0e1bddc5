//! `POST /v1/groups/{group}/reset`: where a group that has no members goes on.

use super::wish::{few, places};
use crate::broker::{PlaceView, ResetOffsets, ResetRow, ResetTo};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::native::topic::TimeAsks;
use crate::http::offset::time_ms;
use crate::http::place::{Asks, AtGroup};
use crate::topic::TopicName;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Where a group is to go on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    /// Where to.
    to: Target,
    /// In these topics, whole.
    #[serde(default)]
    topics: Vec<String>,
    /// In these partitions. Without topics and partitions: everywhere that something is committed.
    #[serde(default)]
    partitions: Vec<PlaceView>,
    /// Only tell what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// Where offsets are put.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// To the log start.
    Earliest,
    /// To the end.
    Latest,
    /// To this offset, or the nearest there is.
    Offset(u64),
    /// To the first record of this time (RFC 3339, or milliseconds since 1970) or later.
    Timestamp(Time),
    /// To the first record of so long ago or later (ISO 8601, `PT1H30M`).
    Duration(String),
    /// So many records on; back, if it is negative. Not beyond what there is.
    Shift(i64),
}

/// A time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Time {
    /// Milliseconds since 1970.
    Ms(i64),
    /// RFC 3339.
    Text(String),
}

/// What a reset does, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResetDone {
    /// Whether it was only told.
    dry_run: bool,
    /// By topic and partition.
    offsets: Vec<ResetRow>,
}

impl Target {
    fn read(self) -> Result<ResetTo, Error> {
        let refuse = |message: String| Error::new(ErrorKind::InvalidRequest, message);
        Ok(match self {
            Self::Earliest => ResetTo::Earliest,
            Self::Latest => ResetTo::Latest,
            Self::Offset(offset) => ResetTo::Offset(offset),
            Self::Shift(records) => ResetTo::Shift(records),
            Self::Timestamp(Time::Ms(ms)) => ResetTo::Timestamp(ms),
            Self::Timestamp(Time::Text(text)) => {
                let ms = time_ms(&text).ok_or_else(|| {
                    refuse(format!("timestamp {text:?}: neither milliseconds nor an RFC 3339 time"))
                })?;
                ResetTo::Timestamp(ms)
            }
            Self::Duration(text) => {
                let duration = duration(&text).ok_or_else(|| {
                    refuse(format!("duration {text:?}: not an ISO 8601 duration like PT1H30M"))
                })?;
                ResetTo::Duration(duration)
            }
        })
    }
}

/// `P1DT2H`: days have 24 hours, and months none that would be known.
fn duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    span.to_duration(days).ok()?.try_into().ok()
}

/// Puts the committed offsets of a group elsewhere; `dry_run` tells what that would do.
#[utoipa::path(
    post, path = "/v1/groups/{group}/reset", tag = "groups",
    params(("group" = String, Path, description = "The group; made if there is none"), TimeAsks),
    request_body = Reset,
    responses((status = 200, description = "From where to where", body = ResetDone))
)]
pub(super) async fn reset(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<TimeAsks>,
    Document(Reset { to, topics, partitions, dry_run }): Document<Reset>,
) -> Result<Json<ResetDone>, Error> {
    few(topics.len())?;
    let topics: Result<Vec<_>, Error> = topics.iter().map(|name| TopicName::new(name)).collect();
    let (to, partitions) = (to.read()?, places(&partitions)?);
    let reset = ResetOffsets { group, topics: topics?, partitions, to, dry_run };
    let offsets = door.broker.reset_offsets(reset, door.deadline(asks.timeout_ms)?).await?;
    Ok(Json(ResetDone { dry_run, offsets }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_iso_8601() {
        for (text, seconds) in [("PT1H", 3600), ("P1DT1S", 86_401), ("PT1.5S", 1), ("PT0S", 0)] {
            assert_eq!(duration(text).map(|each| each.as_secs()), Some(seconds), "{text}");
        }
        for wrong in ["", "an hour", "P1M", "-PT1H", "3600"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_target_is_read() {
        let read = |text: &str| serde_json::from_str::<Target>(text).unwrap().read();
        let rows = [
            ("\"earliest\"", ResetTo::Earliest),
            ("\"latest\"", ResetTo::Latest),
            ("{\"offset\":7}", ResetTo::Offset(7)),
            ("{\"shift\":-10}", ResetTo::Shift(-10)),
            ("{\"timestamp\":17}", ResetTo::Timestamp(17)),
            ("{\"timestamp\":\"1970-01-01T00:00:01Z\"}", ResetTo::Timestamp(1000)),
            ("{\"duration\":\"PT1M\"}", ResetTo::Duration(Duration::from_mins(1))),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        for wrong in ["{\"timestamp\":\"noon\"}", "{\"duration\":\"P1M\"}"] {
            assert_eq!(read(wrong).unwrap_err().kind, ErrorKind::InvalidRequest, "{wrong}");
        }
    }
}
