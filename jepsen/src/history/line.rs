//! An event as one line of JSON, and back.
//!
//! `v` is kept raw until `f` is known: nothing is buffered as a tree, and the order of fields is free.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::event::{Attempt, Detail, Event, Kind, Process, ProducerStamp, ReadMode};
use super::{Alien, Fault, Key, Operation};

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two facts of a line that have nothing in common"
)]
struct Line<'a> {
    i: u64,
    t: u64,
    p: Process,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(borrow)]
    f: Cow<'a, str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    v: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    mode: ReadMode,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hw: BTreeMap<Key, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    log_start: BTreeMap<Key, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    out_of_range: BTreeMap<Key, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    producer: Option<ProducerStamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    batch: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rebalanced: Vec<Key>,
    #[serde(default, skip_serializing_if = "is_default")]
    seek_to_beginning: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliens: Vec<Alien>,
}

/// Writes the event without the line's end.
pub(super) fn to_line(event: &Event) -> serde_json::Result<Vec<u8>> {
    let detail = event.detail.clone();
    let v = value_of(&event.operation)?;
    serde_json::to_vec(&Line {
        i: event.index,
        t: event.time,
        p: event.process,
        kind: event.kind,
        f: event.operation.name().into(),
        v: v.as_deref(),
        node: detail.node,
        term: detail.term,
        error: detail.error,
        mode: detail.mode,
        hw: detail.high_watermarks,
        log_start: detail.log_starts,
        out_of_range: detail.out_of_range,
        producer: detail.producer,
        batch: detail.batch,
        attempts: detail.attempts,
        group: detail.group,
        member: detail.member,
        rebalanced: detail.rebalanced,
        seek_to_beginning: detail.seek_to_beginning,
        aliens: detail.aliens,
    })
}

/// Reads an event.
pub(super) fn from_line(text: &str) -> serde_json::Result<Event> {
    let line: Line<'_> = serde_json::from_str(text)?;
    let operation = operation_of(line.p, &line.f, line.v)?;
    Ok(Event {
        index: line.i,
        time: line.t,
        process: line.p,
        kind: line.kind,
        operation,
        detail: Detail {
            node: line.node,
            term: line.term,
            error: line.error,
            mode: line.mode,
            high_watermarks: line.hw,
            log_starts: line.log_start,
            out_of_range: line.out_of_range,
            producer: line.producer,
            batch: line.batch,
            attempts: line.attempts,
            group: line.group,
            member: line.member,
            rebalanced: line.rebalanced,
            seek_to_beginning: line.seek_to_beginning,
            aliens: line.aliens,
        },
    })
}

fn value_of(operation: &Operation) -> serde_json::Result<Option<Box<RawValue>>> {
    match operation {
        Operation::Assign(keys)
        | Operation::Subscribe(keys)
        | Operation::DebugTopicPartitions(keys) => to_raw_value(keys),
        Operation::Send(micros) | Operation::Poll(micros) | Operation::Txn(micros) => {
            to_raw_value(micros)
        }
        Operation::Crash => return Ok(None),
        Operation::Latest(offsets) | Operation::Trim(offsets) => to_raw_value(offsets),
        Operation::Join(membership)
        | Operation::Heartbeat(membership)
        | Operation::Leave(membership) => to_raw_value(membership),
        Operation::DescribeGroup(view) => to_raw_value(view),
        Operation::Commit(commit) => to_raw_value(commit),
        Operation::Committed(committed) => to_raw_value(committed),
        Operation::CreateTopic(topic)
        | Operation::DeleteTopic(topic)
        | Operation::DescribeTopic(topic) => to_raw_value(topic),
        Operation::SetConfig(setting) | Operation::GetConfig(setting) => to_raw_value(setting),
        Operation::FinalRead(replica) | Operation::ReplicaDump(replica) => to_raw_value(replica),
        Operation::Fault(fault) => to_raw_value(fault),
        Operation::State(state) => to_raw_value(state),
    }
    .map(Some)
}

fn operation_of(process: Process, f: &str, v: Option<&RawValue>) -> serde_json::Result<Operation> {
    Ok(match (process, f) {
        (Process::Nemesis, name) => {
            let mut fault: Fault = parse(v)?;
            name.clone_into(&mut fault.name);
            Operation::Fault(fault)
        }
        (Process::Observer, "state") => Operation::State(parse(v)?),
        (_, "assign") => Operation::Assign(parse(v)?),
        (_, "subscribe") => Operation::Subscribe(parse(v)?),
        (_, "send") => Operation::Send(micros(v)?),
        (_, "poll") => Operation::Poll(micros(v)?),
        (_, "txn") => Operation::Txn(micros(v)?),
        (_, "crash") => Operation::Crash,
        (_, "debug-topic-partitions") => Operation::DebugTopicPartitions(parse(v)?),
        (_, "latest") => Operation::Latest(parse(v)?),
        (_, "trim") => Operation::Trim(parse(v)?),
        (_, "join") => Operation::Join(parse(v)?),
        (_, "heartbeat") => Operation::Heartbeat(parse(v)?),
        (_, "leave") => Operation::Leave(parse(v)?),
        (_, "describe-group") => Operation::DescribeGroup(parse(v)?),
        (_, "commit") => Operation::Commit(parse(v)?),
        (_, "committed") => Operation::Committed(parse(v)?),
        (_, "create-topic") => Operation::CreateTopic(parse(v)?),
        (_, "delete-topic") => Operation::DeleteTopic(parse(v)?),
        (_, "describe-topic") => Operation::DescribeTopic(parse(v)?),
        (_, "set-config") => Operation::SetConfig(parse(v)?),
        (_, "get-config") => Operation::GetConfig(parse(v)?),
        (_, "final-read") => Operation::FinalRead(parse(v)?),
        (_, "replica-dump") => Operation::ReplicaDump(parse(v)?),
        (_, other) => {
            return Err(serde::de::Error::custom(format!("{process} cannot do {other:?}")));
        }
    })
}

fn parse<T: DeserializeOwned>(v: Option<&RawValue>) -> serde_json::Result<T> {
    serde_json::from_str(v.map_or("null", RawValue::get))
}

fn micros(v: Option<&RawValue>) -> serde_json::Result<Vec<super::Micro>> {
    serde_json::from_str(v.map_or("null", RawValue::get))
}
