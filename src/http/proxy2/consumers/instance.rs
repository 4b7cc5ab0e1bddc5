//! `POST /consumers/{group}` and `DELETE /consumers/{group}/instances/{instance}`.

use super::{AtInstance, answer, as_v2};
use crate::broker::{JoinGroup, OffsetReset};
use crate::coordinator::{Delivery, MemberId, Subscription};
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::origin::Origin;
use crate::http::place::AtGroup;
use crate::path::segment;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// How long an instance may be left alone (the original's `consumer.instance.timeout.ms`).
const SESSION_TIMEOUT: Duration = Duration::from_mins(5);
/// Under these names its options are kept with the member.
pub(super) const FORMAT: &str = "format";
pub(super) const REQUEST_TIMEOUT: &str = "consumer.request.timeout.ms";

/// An instance to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = V2NewConsumer)]
#[serde(default)]
pub(super) struct NewInstance {
    /// Its name, unique in its group; one is made if it says none.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// The name's old name.
    #[schema(max_length = 255)]
    id: Option<String>,
    /// `binary` (default) or `json`.
    #[schema(example = "json")]
    format: Option<String>,
    /// `earliest` or `latest` (default).
    #[serde(rename = "auto.offset.reset")]
    #[schema(example = "earliest")]
    auto_offset_reset: Option<String>,
    /// `true` (default): a request for records commits what the last one gave.
    #[serde(rename = "auto.commit.enable")]
    auto_commit_enable: Option<Word>,
    /// Taken, and not waited for: a request ends with the first record.
    #[serde(rename = "fetch.min.bytes")]
    fetch_min_bytes: Option<Word>,
    /// How long a request for records waits, unless it says so; 1000 if missing.
    #[serde(rename = "consumer.request.timeout.ms")]
    consumer_request_timeout_ms: Option<Word>,
}

/// An option's value; most clients send text, some what it means.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(i64),
    Flag(bool),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

/// An instance that is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2Consumer)]
pub(super) struct Instance {
    /// Its name.
    instance_id: String,
    /// Its URL, as the caller reaches us.
    base_uri: String,
}

/// An option of an instance that cannot be.
fn invalid(option: &str, value: &impl fmt::Display, taken: &str) -> Error {
    let message = format!("Invalid consumer configuration: {option}={value}; taken: {taken}");
    Error::new(ErrorKind::InvalidConsumer, message)
}

impl NewInstance {
    fn join(self, AtGroup(group): AtGroup) -> Result<JoinGroup, Error> {
        let name = self.id.or(self.name);
        let name = name.unwrap_or_else(|| format!("rest-consumer-{}", Uuid::new_v4()));
        let auto_offset_reset = match self.auto_offset_reset.as_deref() {
            None => OffsetReset::default(),
            Some(name) => OffsetReset::named(name)
                .map_err(|_none| invalid("auto.offset.reset", &name, "earliest, latest, none"))?,
        };
        let auto_commit = match self.auto_commit_enable.map(|word| word.to_string()).as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(invalid("auto.commit.enable", &other, "true, false")),
        };
        if let Some(bytes) = &self.fetch_min_bytes
            && !bytes.to_string().parse().is_ok_and(|bytes: i64| (-1..=10_000_000).contains(&bytes))
        {
            return Err(invalid("fetch.min.bytes", bytes, "-1 to 10000000"));
        }
        let format = match self.format.as_deref() {
            None | Some("binary") => "binary",
            Some("json") => "json",
            Some(other) => return Err(invalid(FORMAT, &other, "binary, json")),
        };
        let mut settings = BTreeMap::from([(FORMAT.to_owned(), format.to_owned())]);
        if let Some(ms) = &self.consumer_request_timeout_ms {
            let ms = ms.to_string().parse::<u32>();
            let ms = ms.map_err(|_error| {
                let said = self.consumer_request_timeout_ms.as_ref();
                let said = said.map(ToString::to_string).unwrap_or_default();
                invalid(REQUEST_TIMEOUT, &said, "milliseconds")
            })?;
            settings.insert(REQUEST_TIMEOUT.to_owned(), ms.to_string());
        }
        Ok(JoinGroup {
            group,
            member: Some(MemberId::new(&name)?),
            instance: None,
            client: name,
            subscription: Subscription::nothing(),
            assignor: None,
            delivery: Delivery::Server,
            session_timeout: Some(SESSION_TIMEOUT),
            rebalance_timeout: None,
            auto_commit,
            auto_offset_reset,
            settings,
        })
    }
}

/// Makes a consumer instance in a group.
#[utoipa::path(
    post, path = "/consumers/{group}", tag = "v2",
    params(("group" = String, Path, description = "The group; made if there is none")),
    request_body(description = "Its options", content(
        (NewInstance = "application/vnd.kafka.v2+json"), (NewInstance = "application/json"),
    )),
    responses((status = 200, description = "It is there", content(
        (Instance = "application/vnd.kafka.v2+json"), (Instance = "application/json"),
    )))
)]
pub(super) async fn create(
    State(door): State<Door>,
    at: AtGroup,
    Origin(origin): Origin,
    headers: HeaderMap,
    Document(wanted): Document<NewInstance>,
) -> Result<Response, Error> {
    let join = wanted.join(at)?;
    let group = join.group.clone();
    let joined = door.broker.join_group(join, door.deadline(None)?).await?;
    let id = joined.member.as_str();
    let (at_group, at_id) = (segment(group.as_str()), segment(id));
    let base_uri = format!("{origin}/consumers/{at_group}/instances/{at_id}");
    answer(&headers, &Instance { instance_id: id.to_owned(), base_uri })
}

/// Deletes a consumer instance; what it had goes to others at once.
#[utoipa::path(
    delete, path = "/consumers/{group}/instances/{instance}", tag = "v2",
    params(
        ("group" = String, Path, description = "The group"),
        ("instance" = String, Path, description = "The instance"),
    ),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(door): State<Door>,
    AtInstance { group, member }: AtInstance,
) -> Result<StatusCode, Error> {
    let deadline = door.deadline(None)?;
    door.broker.leave_group(&group, &member, deadline).await.map_err(as_v2)?;
    Ok(StatusCode::NO_CONTENT)
}
