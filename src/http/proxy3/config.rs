//! `/v3/clusters/{cluster}/topics/{topic}/configs`, `…/configs/{name}` and `…/configs:alter`.

use super::link::Links;
use crate::broker::SettingView;
use crate::error::{Error, ErrorKind};
use crate::http::document::Document;
use crate::http::door::Door;
use crate::http::place::{AtTopic, Named};
use crate::topic::TopicName;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A setting's new value.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct UpdateConfigRequest {
    value: Option<String>,
}

/// Several settings at once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct AlterConfigBatchRequest {
    data: Vec<AlterOperation>,
    /// Not offered: what would be refused is known only once it is tried.
    #[serde(default)]
    validate_only: bool,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AlterOperation {
    name: String,
    value: Option<String>,
    #[serde(default)]
    operation: Operation,
}

/// What to do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Operation {
    /// Give it the value.
    #[default]
    Set,
    /// Reset it to its default.
    Delete,
}

fn thing(links: &Links, topic: &TopicName, setting: &SettingView) -> Value {
    let source = if setting.is_default { "DEFAULT_CONFIG" } else { "DYNAMIC_TOPIC_CONFIG" };
    let fields = json!({
        "topic_name": topic.as_str(),
        "name": setting.name,
        "value": setting.value,
        "is_default": setting.is_default,
        "is_read_only": false,
        "is_sensitive": false,
        "source": source,
        "synonyms": [],
    });
    let below = format!("/topics/{topic}/configs/{}", setting.name);
    links.thing("KafkaTopicConfig", &below, fields)
}

fn find(door: &Door, topic: &TopicName, name: &str) -> Result<SettingView, Error> {
    let found = door.broker.settings(topic)?.into_iter().find(|setting| setting.name == name);
    found.ok_or_else(|| {
        Error::new(ErrorKind::UnknownSetting, format!("topics have no setting {name:?}"))
    })
}

/// Lists a topic's settings.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/configs", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    responses((status = 200, description = "A KafkaTopicConfigList", body = Value))
)]
pub(super) async fn list(
    State(door): State<Door>,
    links: Links,
    AtTopic(topic): AtTopic,
) -> Result<Json<Value>, Error> {
    let settings = door.broker.settings(&topic)?;
    let things = settings.iter().map(|setting| thing(&links, &topic, setting)).collect::<Vec<_>>();
    Ok(Json(links.list("KafkaTopicConfigList", &format!("/topics/{topic}/configs"), &things)))
}

/// Tells a setting.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/topics/{topic}/configs/{name}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("name" = String, Path, description = "The setting"),
    ),
    responses((status = 200, description = "A KafkaTopicConfig", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let topic = named.topic()?;
    let setting = find(&door, &topic, named.get("name")?)?;
    Ok(Json(thing(&links, &topic, &setting)))
}

/// Changes a setting.
#[utoipa::path(
    put, path = "/v3/clusters/{cluster}/topics/{topic}/configs/{name}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("name" = String, Path, description = "The setting"),
    ),
    request_body = UpdateConfigRequest,
    responses((status = 204, description = "It is changed"))
)]
pub(super) async fn set(
    State(door): State<Door>,
    _links: Links,
    named: Named,
    Document(change): Document<UpdateConfigRequest>,
) -> Result<StatusCode, Error> {
    change_one(&door, &named, change.value).await
}

/// Resets a setting to its default.
#[utoipa::path(
    delete, path = "/v3/clusters/{cluster}/topics/{topic}/configs/{name}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("name" = String, Path, description = "The setting"),
    ),
    responses((status = 204, description = "It is the default"))
)]
pub(super) async fn reset(
    State(door): State<Door>,
    _links: Links,
    named: Named,
) -> Result<StatusCode, Error> {
    change_one(&door, &named, None).await
}

async fn change_one(
    door: &Door,
    named: &Named,
    value: Option<String>,
) -> Result<StatusCode, Error> {
    let (topic, name) = (named.topic()?, named.get("name")?);
    find(door, &topic, name)?;
    let changes = BTreeMap::from([(name.to_owned(), value)]);
    door.broker.alter_topic(&topic, changes, door.deadline(None)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes several settings, all or none.
#[utoipa::path(
    post, path = "/v3/clusters/{cluster}/topics/{topic}/configs:alter", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
    ),
    request_body = AlterConfigBatchRequest,
    responses((status = 204, description = "They are changed"))
)]
pub(super) async fn alter(
    State(door): State<Door>,
    _links: Links,
    AtTopic(topic): AtTopic,
    Document(batch): Document<AlterConfigBatchRequest>,
) -> Result<StatusCode, Error> {
    if batch.validate_only {
        let message = "validate_only is not offered for settings; leave it out";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let mut changes = BTreeMap::new();
    for AlterOperation { name, value, operation } in batch.data {
        let value = match (operation, value) {
            (Operation::Delete, _) => None,
            (Operation::Set, Some(value)) => Some(value),
            (Operation::Set, None) => {
                let message = format!("SET of {name} needs a value");
                return Err(Error::new(ErrorKind::InvalidSettings, message));
            }
        };
        changes.insert(name, value);
    }
    door.broker.alter_topic(&topic, changes, door.deadline(None)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
