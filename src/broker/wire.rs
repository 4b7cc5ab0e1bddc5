//! What brokers ask of each other on the `Call` lane, and its bytes.
//!
//! ```text
//! len u32 LE │ control (storage::codec), len bytes │ raw record batches, as stored
//! ```
//!
//! The control part says how long each batch is; their bytes are never copied into it.

use super::groups::{GroupAsk, GroupReply};
use super::request::{Created, Fetched, NewTopic, Produced};
use crate::error::Error;
use crate::metadata::Registration;
use crate::partition::{FetchFrom, Freshness, Tail};
use crate::topic::TopicName;
use bytes::Bytes;
use raft::{Acks, GroupId, NodeId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use storage::batch::RecordBatch;

/// The kind of every call of this floor: the version of its messages.
pub(super) const CALL: u8 = 1;

/// A request to a broker; about the group that stands beside it in the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Append the batch that follows.
    Produce { acks: Acks, expected_end: Option<u64> },
    /// Read.
    Fetch { from: FetchFrom, bytes_max: u64, bytes_min: u64, wait: Duration, freshness: Freshness },
    /// Tell the ends.
    Tail { freshness: Freshness },
    /// Move the log start.
    Trim { offset: u64 },
    /// Change the metadata.
    Administer(Change),
    /// Tell of the broker and of these groups; of all that it leads, if `None`.
    Status { groups: Option<Vec<GroupId>> },
    /// Answer once this revision of the image is here, and these groups are as it says: open with a
    /// known leader, or gone.
    Settle { revision: u64, groups: Vec<GroupId> },
    /// Something about consumer groups.
    Group(GroupAsk),
}

/// What asking again may do when no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It does something a second time: never asked again, the outcome is unknown.
    Harms,
    /// It does the same thing once: asked again; if no answer ever comes the outcome is unknown.
    DoesOnce,
    /// It changes nothing that lasts: asked again freely.
    ChangesNothing,
}

impl Ask {
    /// What asking again may do when no answer came.
    pub(super) fn repeat(&self) -> Repeat {
        match self {
            Self::Produce { .. } | Self::Trim { .. } | Self::Administer(_) => Repeat::Harms,
            Self::Group(ask) if ask.is_change() => Repeat::DoesOnce,
            Self::Fetch { .. }
            | Self::Tail { .. }
            | Self::Status { .. }
            | Self::Settle { .. }
            | Self::Group(_) => Repeat::ChangesNothing,
        }
    }

    /// How long it may wait by itself before it answers.
    pub(super) fn wait(&self) -> Duration {
        match self {
            Self::Fetch { wait, .. } => *wait,
            Self::Group(ask) => ask.wait(),
            Self::Produce { .. }
            | Self::Tail { .. }
            | Self::Trim { .. }
            | Self::Administer(_)
            | Self::Status { .. }
            | Self::Settle { .. } => Duration::ZERO,
        }
    }
}

/// A change of the metadata, as asked for: the leader plans it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    Register { broker: Registration, founders: Vec<NodeId> },
    Create(NewTopic),
    Delete(TopicName),
    Alter { name: TopicName, changes: BTreeMap<String, Option<String>> },
    AddPartitions { name: TopicName, count: u32 },
    CreateCoordinators,
    ReserveProducerIds,
}

/// What a request got.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Produced(Produced),
    Fetched(Fetched),
    Tail(Tail),
    Changed(Changed),
    Status(NodeStatus),
    Settled,
    Group(GroupReply),
}

/// What a change of the metadata did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Changed {
    /// The image that has it.
    pub(super) revision: u64,
    /// The groups that it concerns.
    pub(super) groups: Vec<GroupId>,
    /// Of a create.
    pub(super) created: Option<Created>,
}

/// How a broker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeStatus {
    pub(super) groups: Vec<GroupStatus>,
    pub(super) broken: Vec<(GroupId, String)>,
}

/// How a replica is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupStatus {
    pub(super) group: GroupId,
    /// Only a leader's is complete.
    pub(super) leading: bool,
    pub(super) term: u64,
    pub(super) log_start: u64,
    pub(super) high_watermark: u64,
    /// The leader and its followers that are in sync; empty on a follower.
    pub(super) in_sync: Vec<NodeId>,
    pub(super) size_bytes: u64,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Miss {
    /// Ask elsewhere: nothing was done here.
    NotLeader {
        /// Who leads, if known here.
        leader: Option<NodeId>,
        /// Where peers reach it, for those who do not know.
        address: Option<String>,
    },
    /// It ended so.
    Failed(Error),
}

impl Miss {
    /// Nothing was done, and nobody is known who could.
    pub(super) const fn nobody() -> Self {
        Self::NotLeader { leader: None, address: None }
    }
}

impl From<Error> for Miss {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The control part of a reply.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Produced(Produced),
    Fetched { from: u64, tail: Tail, lengths: Vec<u32> },
    Tail(Tail),
    Changed(Changed),
    Status(NodeStatus),
    Settled,
    Group(GroupReply),
}

/// The pieces of a request; `budget` is how long its asker will wait.
pub(super) fn encode_ask(ask: &Ask, budget: Duration, payload: Option<Bytes>) -> Vec<Bytes> {
    let mut pieces = vec![control(&(ask, budget))];
    pieces.extend(payload);
    pieces
}

/// A request, its asker's patience and what follows it.
pub(super) fn decode_ask(body: Bytes) -> io::Result<(Ask, Duration, Bytes)> {
    let ((ask, budget), rest) = split(body)?;
    Ok((ask, budget, rest))
}

/// The pieces of an answer.
pub(super) fn encode_answer(answer: Result<Reply, Miss>) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let said = answer.map(|reply| match reply {
        Reply::Produced(produced) => Said::Produced(produced),
        Reply::Fetched(fetched) => {
            let length = |batch: &RecordBatch| {
                u32::try_from(batch.bytes().len()).expect("a batch is far below 4 GiB")
            };
            let lengths = fetched.batches.iter().map(length).collect();
            batches.extend(fetched.batches.into_iter().map(RecordBatch::into_bytes));
            Said::Fetched { from: fetched.from, tail: fetched.tail, lengths }
        }
        Reply::Tail(tail) => Said::Tail(tail),
        Reply::Changed(changed) => Said::Changed(changed),
        Reply::Status(status) => Said::Status(status),
        Reply::Settled => Said::Settled,
        Reply::Group(reply) => Said::Group(reply),
    });
    let mut pieces = vec![control(&said)];
    pieces.append(&mut batches);
    pieces
}

/// An answer.
pub(super) fn decode_answer(body: Bytes) -> io::Result<Result<Reply, Miss>> {
    let (said, mut rest): (Result<Said, Miss>, Bytes) = split(body)?;
    let said = match said {
        Ok(said) => said,
        Err(miss) => return Ok(Err(miss)),
    };
    Ok(Ok(match said {
        Said::Produced(produced) => Reply::Produced(produced),
        Said::Fetched { from, tail, lengths } => {
            let mut batches = Vec::new();
            for length in lengths {
                let length = usize::try_from(length).map_err(|e| invalid(e.to_string()))?;
                if length > rest.len() {
                    return Err(invalid(format!("{length} bytes of a batch, {} left", rest.len())));
                }
                let batch = RecordBatch::stored(rest.split_to(length));
                batches.push(batch.map_err(|error| invalid(error.to_string()))?);
            }
            Reply::Fetched(Fetched { from, batches, tail })
        }
        Said::Tail(tail) => Reply::Tail(tail),
        Said::Changed(changed) => Reply::Changed(changed),
        Said::Status(status) => Reply::Status(status),
        Said::Settled => Reply::Settled,
        Said::Group(reply) => Reply::Group(reply),
    }))
}

fn control(value: &impl Serialize) -> Bytes {
    let encoded = storage::codec::encode(value);
    let length = u32::try_from(encoded.len()).expect("control parts are far below 4 GiB");
    [&length.to_le_bytes(), encoded.as_slice()].concat().into()
}

fn split<T: DeserializeOwned>(mut body: Bytes) -> io::Result<(T, Bytes)> {
    let Some((length, _)) = body.split_first_chunk::<4>() else {
        return Err(invalid(format!("a message of {} bytes", body.len())));
    };
    let length =
        usize::try_from(u32::from_le_bytes(*length)).map_err(|e| invalid(e.to_string()))?;
    let mut rest = body.split_off(4);
    if length > rest.len() {
        return Err(invalid(format!("{length} bytes of control, {} left", rest.len())));
    }
    let value = storage::codec::decode(&rest.split_to(length))?;
    Ok((value, rest))
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use storage::batch::{Compression, Record};

    fn joined(pieces: &[Bytes]) -> Bytes {
        pieces.concat().into()
    }

    fn batch(value: &'static [u8]) -> RecordBatch {
        let record = Record { value: Some(Bytes::from_static(value)), ..Record::default() };
        RecordBatch::build(&[record], Compression::None)
    }

    const TAIL: Tail = Tail { log_start: 3, high_watermark: 9, leader: NodeId(2), leader_epoch: 5 };

    #[test]
    fn a_request_comes_with_its_batch_and_its_budget() {
        let ask = Ask::Produce { acks: Acks::Quorum, expected_end: Some(7) };
        let payload = batch(b"x").into_bytes();
        let body = joined(&encode_ask(&ask, Duration::from_millis(50), Some(payload.clone())));
        assert_eq!(decode_ask(body).unwrap(), (ask, Duration::from_millis(50), payload));
    }

    #[test]
    fn fetched_batches_are_taken_apart_where_they_were_joined() {
        let batches = vec![batch(b"a"), batch(b"a longer one")];
        let fetched = Fetched { from: 4, batches: batches.clone(), tail: TAIL };
        let body = joined(&encode_answer(Ok(Reply::Fetched(fetched))));
        let Ok(Reply::Fetched(found)) = decode_answer(body).unwrap() else { panic!("not fetched") };
        assert_eq!((found.from, found.batches, found.tail), (4, batches, TAIL));
    }

    #[test]
    fn a_miss_arrives_as_it_left() {
        let miss = Miss::NotLeader { leader: Some(NodeId(3)), address: Some("h:1".into()) };
        let body = joined(&encode_answer(Err(miss.clone())));
        assert_eq!(decode_answer(body).unwrap().unwrap_err(), miss);
    }

    #[test]
    fn a_batch_longer_than_the_message_is_an_error() {
        let fetched = Fetched { from: 4, batches: vec![batch(b"abc")], tail: TAIL };
        let mut body = joined(&encode_answer(Ok(Reply::Fetched(fetched))));
        body.truncate(body.len() - 1);
        assert!(decode_answer(body).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_message_or_an_error(bytes: Vec<u8>) {
            drop(decode_ask(Bytes::from(bytes.clone())));
            drop(decode_answer(Bytes::from(bytes)));
        }
    }
}
