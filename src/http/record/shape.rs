//! The shapes of records in JSON, for the API's description. They are documents: reading and writing go
//! past them (`read.rs`, `write.rs`).
#![allow(dead_code, reason = "their fields are read by the API's description alone")]

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Records to append.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Records {
    /// In order.
    #[schema(min_items = 1)]
    records: Vec<Record>,
}

/// A record to append.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Record {
    /// A string is stored as its UTF-8 text, other JSON as its own text; `null` or nothing is no key.
    #[serde(default)]
    key: serde_json::Value,
    /// Like the key; `null` or nothing is a tombstone.
    #[serde(default)]
    value: serde_json::Value,
    /// In order, duplicates allowed; also as `{"name": "value"}`.
    #[serde(default)]
    headers: Vec<Header>,
    /// Milliseconds since the Unix epoch, or an RFC 3339 string; the time of arrival if missing.
    #[serde(default)]
    timestamp: Option<i64>,
    /// Where it goes; by its key, or round-robin, if missing.
    #[serde(default)]
    partition: Option<u32>,
    /// `base64`: the key is a base64 string of its bytes.
    #[serde(default)]
    key_encoding: Option<Encoding>,
    /// `base64`: the value is a base64 string of its bytes.
    #[serde(default)]
    value_encoding: Option<Encoding>,
}

/// A record's header.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Header {
    /// Its name.
    name: String,
    /// Its value.
    value: Option<String>,
    /// `base64`: the value is a base64 string of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
}

/// How a string stands for bytes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As its text.
    Utf8,
    /// As what it decodes to.
    Base64,
}

/// What became of each record, in the order of the request.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Offsets {
    /// An offset, or an error (with status 207).
    offsets: Vec<OffsetOrError>,
}

/// Where a record went, or why it did not.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct OffsetOrError {
    /// Its partition.
    partition: u32,
    /// Its offset; null if the acknowledgement was not waited for, or with an error.
    offset: Option<u64>,
    /// Of a ready-made batch: how many records it has; `offset` is its first one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    records: Option<u32>,
    /// True if it was there already: its producer, or who has its key, sent it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate: Option<bool>,
    /// As in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_code: Option<u32>,
    /// As in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
    /// As in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retriable: Option<bool>,
    /// As in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
}

/// Records of a partition, in order.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Page {
    /// The records.
    records: Vec<Fetched>,
    /// Where the next fetch begins.
    next_offset: u64,
    /// The offset after the last committed record.
    high_watermark: u64,
    /// The first offset that can be read.
    log_start_offset: u64,
}

/// Records of several partitions, in order within each.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TopicPage {
    /// The records.
    records: Vec<Fetched>,
    /// Where each partition stands.
    partitions: Vec<PartitionPage>,
}

/// Where a partition stands after a fetch.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct PartitionPage {
    /// Which.
    partition: u32,
    /// Where the next fetch begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_offset: Option<u64>,
    /// The offset after the last committed record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    high_watermark: Option<u64>,
    /// The first offset that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    log_start_offset: Option<u64>,
    /// Why it could not be read, as in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_code: Option<u32>,
    /// As in an error's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
}

/// A record that was read.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Fetched {
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: u64,
    /// Milliseconds since the Unix epoch.
    timestamp: i64,
    /// Text; base64 if `key_encoding` says so.
    key: Option<String>,
    /// Only if the key is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_encoding: Option<Encoding>,
    /// Text; base64 if `value_encoding` says so.
    value: Option<String>,
    /// Only if the value is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value_encoding: Option<Encoding>,
    /// Only if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
}

/// A record that was read, of one of several topics.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TopicRecord {
    /// Its topic.
    topic: String,
    /// The rest of it.
    #[serde(flatten)]
    record: Fetched,
}

/// Records to append, as REST Proxy v2 has them.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct V2Records {
    /// In order.
    #[schema(min_items = 1)]
    records: Vec<V2Record>,
}

/// A record as REST Proxy v2 has it: JSON, or base64 strings in the binary type.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct V2Record {
    /// Its key.
    #[serde(default)]
    key: serde_json::Value,
    /// Its value.
    #[serde(default)]
    value: serde_json::Value,
    /// Where it goes; by its key, or round-robin, if missing.
    #[serde(default)]
    partition: Option<u32>,
}

/// A record that was read, as REST Proxy v2 has it, with the timestamp and the headers that it lacks.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct V2Fetched {
    /// Its topic.
    topic: String,
    /// JSON, or a base64 string in the binary type.
    key: serde_json::Value,
    /// Like the key.
    value: serde_json::Value,
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: u64,
    /// Milliseconds since the Unix epoch.
    timestamp: i64,
    /// Only if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
}

/// What became of each record, as REST Proxy v2 has it: the status is 200 even if all failed.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct V2Offsets {
    /// In the order of the request.
    offsets: Vec<V2Offset>,
    /// Always null: there is no schema registry.
    key_schema_id: Option<i32>,
    /// Always null.
    value_schema_id: Option<i32>,
}

/// Where a record went, or why it did not.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct V2Offset {
    /// Its partition.
    partition: u32,
    /// Its offset.
    offset: Option<u64>,
    /// 50003 if a retry can help, else 50002.
    error_code: Option<u32>,
    /// What went wrong.
    error: Option<String>,
}
