//! `GET /v1/groups/{group}/records`: a connection that is a member of the group while it lives.
//!
//! ```text
//!   join ── poll ── page ── connection ── poll ── …        beside: heartbeats, until the connection is gone
//!                    └ ids: what this reader has seen
//! ```
//!
//! What was written to a connection may never have been read. So the group's offsets move when the reader
//! says that it has seen something: it comes back with `Last-Event-ID`, or commits by itself as the member
//! that the stream names. Who asks for `auto_commit` has a page committed once the connection took the
//! next one, and may lose what was on its way.

use super::membership::Membership;
use super::reader::{Commits, Reader};
use super::records::PollAsks;
use super::wish::subscription;
use crate::broker::{JoinGroup, Joined, OffsetReset};
use crate::coordinator::{Delivery, GroupName, InstanceId};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::native::course::Course;
use crate::http::native::framing::Framing;
use crate::http::native::seen::{Seen, Spot};
use crate::http::place::{Asks, AtGroup};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::IntoParams;

const OFFERED: &[Media] = &[Media::EventStream, Media::Ndjson];
/// A connection is heard every third of it, whatever its reader does; it is how long the partitions of one
/// whose node died wait for another.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const MEMBER_ID: HeaderName = HeaderName::from_static("member-id");

/// What is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamAsks {
    /// The topics, `orders,users`. These or a pattern.
    #[param(example = "orders")]
    topics: Option<String>,
    /// Every topic whose whole name matches.
    topic_pattern: Option<String>,
    /// Where it begins where the group has committed nothing: `latest` if missing.
    #[param(inline)]
    auto_offset_reset: Option<OffsetReset>,
    /// Whether a page is committed once the connection took the next one; false if missing.
    auto_commit: Option<bool>,
    /// Bytes of batches as they are stored, for one page; 1048576 if missing.
    #[param(minimum = 1, maximum = 67_108_864)]
    max_bytes: Option<usize>,
    /// Records, then it ends.
    #[param(minimum = 1)]
    max_records: Option<u64>,
    /// For who cannot send `Last-Event-ID`: the stream goes on after this event. The header wins.
    #[param(example = "orders/0:41")]
    last_event_id: Option<String>,
    /// How the member calls itself.
    client_id: Option<String>,
    /// A static name: who comes back under it within the session has what it had, without a rebalance.
    instance_id: Option<String>,
    /// How long it may be silent when its node dies; 10000 if missing.
    #[param(minimum = 100, maximum = 3_600_000)]
    session_timeout_ms: Option<u32>,
}

/// The records of a group, as they come: this connection is a member while it lives.
///
/// Events have the ids of what was seen so far (`orders/0:41,orders/1:7`): who says the last one in
/// `Last-Event-ID` commits that, and gets what comes after it. `event: member` names the member, which
/// may commit by `POST …/members/{member}/offsets`; `event: assignment` says what it has;
/// `event: error` and `event: end` say why it ends.
#[utoipa::path(
    get, path = "/v1/groups/{group}/records", tag = "groups",
    params(
        ("group" = String, Path, description = "The group; made if there is none"),
        ("Last-Event-ID" = Option<String>, Header, description = "It goes on after this event"),
        StreamAsks
    ),
    responses((status = 200, description = "A stream without end",
        content((String = "text/event-stream"), (String = "application/x-ndjson")),
        headers(
            ("Member-Id" = String, description = "The member that this connection is"),
        )
    ))
)]
pub(super) async fn stream(
    State(door): State<Door>,
    AtGroup(group): AtGroup,
    Asks(asks): Asks<StreamAsks>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let framing = Framing::of(Media::accepted(&headers, OFFERED)?).expect("all of these stream");
    let resumed = Seen::<Spot>::of(&headers, asks.last_event_id.as_deref())?.unwrap_or_default();
    let bytes_max = PollAsks::bytes_max(asks.max_bytes, &door)?;
    let records_max = asks.max_records.unwrap_or(u64::MAX);
    if records_max == 0 {
        let message = "max_records 0: at least 1 is taken";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let place = door.admit_follow()?;
    let commits = asks.auto_commit.unwrap_or(false).then(Commits::new);
    let join = asks.join(group.clone())?;
    // A static member is waited for: it comes back to what it had.
    let leaves = join.instance.is_none();
    let joined = door.broker.join_group(join, door.deadline(None)?).await?;
    let Joined { member, heartbeat_interval, .. } = joined;
    let membership = Membership { group: group.clone(), member: member.clone(), leaves };
    let reader = Reader {
        framing,
        group,
        told: None,
        seen: Seen::default(),
        resumed,
        commits,
        delivery: None,
        bytes_max,
        left: records_max,
        course: Course::Well,
        _held: membership.hold(&door, heartbeat_interval),
        _place: place,
        member: member.clone(),
        door,
    };
    let mut response = reader.answer();
    if let Ok(id) = HeaderValue::from_str(member.as_str()) {
        response.headers_mut().insert(MEMBER_ID, id);
    }
    Ok(response)
}

impl StreamAsks {
    fn join(self, group: GroupName) -> Result<JoinGroup, Error> {
        let topics = self.topics.map(|names| {
            let names = names.split(',').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        let wants = subscription(topics.as_deref(), self.topic_pattern.as_deref(), None)?;
        let subscription = wants.ok_or_else(|| {
            let message = "neither topics nor topic_pattern: one of them says what is wanted";
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        let session = self.session_timeout_ms.map(|ms| Duration::from_millis(u64::from(ms)));
        Ok(JoinGroup {
            group,
            member: None,
            instance: self.instance_id.map(|id| InstanceId::new(&id)).transpose()?,
            client: self.client_id.unwrap_or_default(),
            subscription,
            assignor: None,
            delivery: Delivery::Server,
            session_timeout: Some(session.unwrap_or(SESSION_TIMEOUT)),
            rebalance_timeout: None,
            // The broker would commit what was given; here only the reader knows what came.
            auto_commit: false,
            auto_offset_reset: self.auto_offset_reset.unwrap_or_default(),
            settings: BTreeMap::new(),
        })
    }
}
