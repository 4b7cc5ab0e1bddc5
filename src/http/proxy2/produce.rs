//! `POST /topics/{topic}` and `POST /topics/{topic}/partitions/{partition}`.
//!
//! As in the original the status is 200 even if records failed: each has its own error. What refuses the
//! whole request (no such topic, not JSON) has a status of its own there as well.

use super::media;
use crate::error::Error;
use crate::http::body;
use crate::http::door::Door;
use crate::http::load::{Load, Terms};
use crate::http::media::Media;
use crate::http::native::produced_load;
use crate::http::place::{AtPartition, AtTopic};
use crate::http::record::shape::{V2Offsets, V2Records};
use crate::http::reply::typed;
use crate::topic::{PartitionId, TopicName};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use raft::Acks;
use serde::Serialize;
use storage::batch::Compression;

/// `application/json` is what many send and the original refuses.
const TAKEN: &[Media] = &[Media::V2Json, Media::V2Binary, Media::Json];
/// Kafka's codes in v2: of records, not of requests.
const NOT_RETRIABLE: u32 = 50002;
const RETRIABLE: u32 = 50003;

#[derive(Serialize)]
struct Answer<'a> {
    offsets: Vec<Fate<'a>>,
    key_schema_id: Option<u32>,
    value_schema_id: Option<u32>,
}

#[derive(Serialize)]
struct Fate<'a> {
    partition: u32,
    offset: Option<u64>,
    error_code: Option<u32>,
    error: Option<&'a str>,
}

/// Appends records to a topic.
#[utoipa::path(
    post, path = "/topics/{topic}", tag = "v2",
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$")),
    request_body(description = "Records", content(
        (V2Records = "application/vnd.kafka.json.v2+json"),
        (V2Records = "application/vnd.kafka.binary.v2+json"),
        (V2Records = "application/json"),
    )),
    responses((status = 200, description = "An offset or an error for each record", content(
        (V2Offsets = "application/vnd.kafka.v2+json"), (V2Offsets = "application/json"),
    )))
)]
pub(super) async fn to_topic(
    State(door): State<Door>,
    AtTopic(topic): AtTopic,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    produce(&door, topic, None, (headers, body)).await
}

/// Appends records to a partition.
#[utoipa::path(
    post, path = "/topics/{topic}/partitions/{partition}", tag = "v2",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"),
        ("partition" = u32, Path, description = "The partition"),
    ),
    request_body(description = "Records", content(
        (V2Records = "application/vnd.kafka.json.v2+json"),
        (V2Records = "application/vnd.kafka.binary.v2+json"),
        (V2Records = "application/json"),
    )),
    responses((status = 200, description = "An offset or an error for each record", content(
        (V2Offsets = "application/vnd.kafka.v2+json"), (V2Offsets = "application/json"),
    )))
)]
pub(super) async fn to_partition(
    State(door): State<Door>,
    AtPartition(topic, partition): AtPartition,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    produce(&door, topic, Some(partition), (headers, body)).await
}

async fn produce(
    door: &Door,
    topic: TopicName,
    partition: Option<PartitionId>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Error> {
    let answered_as = media(&headers)?;
    let sent_as = Media::of_body(&headers, TAKEN)?;
    let form = if sent_as == Media::V2Binary { Media::V2Binary } else { Media::V2Json };
    let load = Load::new(&door.broker, topic, partition, Compression::None)?;
    let received = body::receive(door, &headers, body).await?;
    let (load, _) = produced_load(door, load, form, &headers, &received.bytes)?;
    drop(received);
    let acks = Acks::Quorum;
    let terms = Terms { acks, expected_end: None, deadline: door.deadline(None)? };
    let sent = load.send(terms).await?;
    door.meter.produced(sent.len(), sent.bytes);
    let offsets = sent.fates(acks).map(|fate| {
        let (partition, error) = (fate.partition, fate.offset.err());
        let code = |error: &Error| if error.row().retriable { RETRIABLE } else { NOT_RETRIABLE };
        Fate {
            partition,
            offset: fate.offset.ok().flatten(),
            error_code: error.map(code),
            error: error.map(|error| error.message.as_str()),
        }
    });
    let answer = Answer { offsets: offsets.collect(), key_schema_id: None, value_schema_id: None };
    Ok(typed(answered_as.name(), serde_json::to_vec(&answer).expect("plain data")))
}
