//! What replicas say to each other.
//!
//! AppendEntries is written by hand, so that payloads are neither copied nor looked at: all heads stand
//! in front, the payloads follow as the very `Bytes` of the log. The receiver slices them out of the
//! connection's read buffer. Everything else is small and goes through `storage::codec`.
//!
//! ```text
//! format 1 │ vote: term 8, node 8, committed 1 │ prev: 1 [+ 16] │ committed: 1 [+ 16] │ count 4
//!          │ count × { term 8, index 8, kind 1, length 4 } │ payloads
//! ```
//!
//! Numbers are little endian. The decoder is total: any bytes give a request or an error, and what it
//! allocates is bounded by the bytes it was given.

use crate::adapter::checkpoint::Checkpoint;
use crate::adapter::config::{Entry, LogId, Types, Vote};
use crate::adapter::log_store::{from_parts, to_stored};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use openraft::raft::AppendEntriesRequest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use storage::{EntryKind, planted};

/// AppendEntries as described above.
const FORMAT: u8 = 1;
/// Head of one entry.
const ENTRY_HEAD_BYTES: usize = 8 + 8 + 1 + 4;
/// Most that stands before the entries' heads.
const HEAD_BYTES: usize = 1 + 17 + 17 + 17 + 4;
/// In front of a reply: the answer follows.
const ANSWERED: u8 = 0;
/// In front of a reply: why there is no answer follows.
const REFUSED: u8 = 1;

/// What is asked, in the `kind` byte of a transport request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vote,
    PreVote,
    TransferLeader,
    Append,
    Marker,
}

impl Kind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Vote => 1,
            Self::PreVote => 2,
            Self::TransferLeader => 3,
            Self::Append => 4,
            Self::Marker => 5,
        }
    }

    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Vote, Self::PreVote, Self::TransferLeader, Self::Append, Self::Marker]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// A marker on its way to a follower that is too far behind.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) vote: Vote,
    pub(crate) checkpoint: Checkpoint,
}

/// An AppendEntries in pieces: the heads, then the payloads as they are.
pub(crate) fn encode_append(request: AppendEntriesRequest<Types>) -> Vec<Bytes> {
    let mut head = BytesMut::with_capacity(HEAD_BYTES + request.entries.len() * ENTRY_HEAD_BYTES);
    head.put_u8(FORMAT);
    let leader = request.vote.leader_id();
    head.put_u64_le(leader.term);
    head.put_u64_le(leader.voted_for);
    head.put_u8(u8::from(request.vote.is_committed()));
    put_log_id(&mut head, request.prev_log_id.as_ref());
    put_log_id(&mut head, request.leader_commit.as_ref());
    head.put_u32_le(u32::try_from(request.entries.len()).expect("openraft counts entries in k"));
    let mut payloads = Vec::with_capacity(request.entries.len());
    for entry in request.entries {
        let (stored, _only_on_the_way_to_our_own_log) = to_stored(entry);
        head.put_u64_le(stored.position.term.get());
        head.put_u64_le(stored.position.index.get());
        head.put_u8(kind_byte(stored.kind));
        head.put_u32_le(u32::try_from(stored.payload.len()).expect("a batch is below 4 GiB"));
        payloads.push(stored.payload);
    }
    let mut pieces = vec![head.freeze()];
    pieces.extend(payloads.into_iter().filter(|payload| !payload.is_empty()));
    pieces
}

/// Slices an AppendEntries out of `bytes`.
pub(crate) fn decode_append(mut bytes: Bytes) -> io::Result<AppendEntriesRequest<Types>> {
    let format = bytes.try_get_u8().map_err(short)?;
    if format != FORMAT {
        return Err(invalid(format!("AppendEntries of format {format}")));
    }
    let term = bytes.try_get_u64_le().map_err(short)?;
    let node = bytes.try_get_u64_le().map_err(short)?;
    let vote =
        if get_flag(&mut bytes)? { Vote::new_committed(term, node) } else { Vote::new(term, node) };
    let prev_log_id = get_log_id(&mut bytes)?;
    let leader_commit = get_log_id(&mut bytes)?;
    let count = bytes.try_get_u32_le().map_err(short)?;
    let heads_len = usize::try_from(count).ok().and_then(|n| n.checked_mul(ENTRY_HEAD_BYTES));
    let heads_len = heads_len
        .filter(|len| *len <= bytes.len())
        .ok_or_else(|| invalid(format!("{count} entries in {} bytes", bytes.len())))?;
    let mut heads = bytes.split_to(heads_len);
    let mut entries = Vec::with_capacity(heads_len / ENTRY_HEAD_BYTES);
    while heads.has_remaining() {
        entries.push(get_entry(&mut heads, &mut bytes)?);
    }
    if bytes.has_remaining() {
        return Err(invalid(format!("{} bytes after the last payload", bytes.len())));
    }
    dense(prev_log_id.as_ref(), &entries)?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

fn get_entry(heads: &mut Bytes, payloads: &mut Bytes) -> io::Result<Entry> {
    let log_id = get_bare_log_id(heads)?;
    let kind = heads.try_get_u8().map_err(short)?;
    let kind = of_kind_byte(kind).ok_or_else(|| invalid(format!("entry of kind {kind}")))?;
    let len = heads.try_get_u32_le().map_err(short)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= payloads.len());
    let len = len.ok_or_else(|| invalid(format!("entry {log_id}: its payload is cut off")))?;
    let mut payload = payloads.split_to(len);
    if planted!(FollowerDiffers) && kind == EntryKind::Data && log_id.index % 50 == 0 {
        payload = with_another_byte(&payload);
    }
    from_parts(log_id, kind, payload, None)
}

/// What [`FollowerDiffers`](storage::sabotage::Bug::FollowerDiffers) makes of a batch: its last record ends otherwise.
fn with_another_byte(payload: &Bytes) -> Bytes {
    let mut bytes = payload.to_vec();
    // The last byte counts the record's headers.
    if let Some(byte) = bytes.iter_mut().rev().nth(1) {
        *byte ^= 1;
    }
    bytes.into()
}

/// Indices follow each other, from `prev` on: openraft relies on it.
fn dense(prev: Option<&LogId>, entries: &[Entry]) -> io::Result<()> {
    let mut due = prev.map_or(Some(0), |prev| prev.index.checked_add(1));
    for entry in entries {
        if due != Some(entry.index()) {
            return Err(invalid(format!("entry {} where {due:?} is due", entry.log_id())));
        }
        due = entry.index().checked_add(1);
    }
    Ok(())
}

fn put_log_id(head: &mut BytesMut, log_id: Option<&LogId>) {
    head.put_u8(u8::from(log_id.is_some()));
    if let Some(log_id) = log_id {
        head.put_u64_le(log_id.leader_id.term);
        head.put_u64_le(log_id.index);
    }
}

fn get_log_id(bytes: &mut Bytes) -> io::Result<Option<LogId>> {
    if get_flag(bytes)? { get_bare_log_id(bytes).map(Some) } else { Ok(None) }
}

fn get_bare_log_id(bytes: &mut Bytes) -> io::Result<LogId> {
    let term = bytes.try_get_u64_le().map_err(short)?;
    let index = bytes.try_get_u64_le().map_err(short)?;
    Ok(LogId::new_term_index(term, index))
}

fn get_flag(bytes: &mut Bytes) -> io::Result<bool> {
    match bytes.try_get_u8().map_err(short)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!("flag of value {other}"))),
    }
}

fn kind_byte(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Blank => 0,
        EntryKind::Membership => 1,
        EntryKind::Data => 2,
        EntryKind::Trim => 3,
        EntryKind::Command => 4,
    }
}

fn of_kind_byte(byte: u8) -> Option<EntryKind> {
    use EntryKind::{Blank, Command, Data, Membership, Trim};
    [Blank, Membership, Data, Trim, Command].into_iter().find(|kind| kind_byte(*kind) == byte)
}

/// A reply with an answer, or why there is none.
pub(crate) fn encode_reply<T: Serialize>(reply: Result<T, String>) -> Vec<Bytes> {
    let mut bytes = Vec::new();
    match reply {
        Ok(answer) => {
            bytes.push(ANSWERED);
            bytes.extend_from_slice(&storage::codec::encode(&answer));
        }
        Err(why) => {
            bytes.push(REFUSED);
            bytes.extend_from_slice(why.as_bytes());
        }
    }
    vec![bytes.into()]
}

/// The answer, or why the peer gave none.
pub(crate) fn decode_reply<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<Result<T, String>> {
    match bytes.split_first() {
        Some((&ANSWERED, answer)) => storage::codec::decode(answer).map(Ok),
        Some((&REFUSED, why)) => Ok(Err(String::from_utf8_lossy(why).into_owned())),
        Some((other, _)) => Err(invalid(format!("reply of kind {other}"))),
        None => Err(invalid("an empty reply".into())),
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn short(error: bytes::TryGetError) -> io::Error {
    invalid(format!("message cut off: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::config::{Data, Membership};
    use openraft::EntryPayload;
    use openraft::impls::EmptyNode;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn entry(term: u64, index: u64, payload: EntryPayload<Data, u64, EmptyNode>) -> Entry {
        Entry { log_id: LogId::new_term_index(term, index), payload }
    }

    fn data(kind: EntryKind, payload: &'static [u8]) -> EntryPayload<Data, u64, EmptyNode> {
        let payload = Bytes::from_static(payload);
        EntryPayload::Normal(Data { kind, payload, placed: None, ticket: None })
    }

    fn request() -> AppendEntriesRequest<Types> {
        let voters = BTreeSet::from([1, 2]);
        AppendEntriesRequest {
            vote: Vote::new_committed(5, 2),
            prev_log_id: Some(LogId::new_term_index(4, 9)),
            entries: vec![
                entry(5, 10, EntryPayload::Blank),
                entry(5, 11, data(EntryKind::Data, b"batch")),
                entry(5, 12, data(EntryKind::Trim, b"12345678")),
                entry(
                    5,
                    13,
                    EntryPayload::Membership(Membership::new_with_defaults(vec![voters], [])),
                ),
            ],
            leader_commit: None,
        }
    }

    fn joined(pieces: &[Bytes]) -> Bytes {
        pieces.concat().into()
    }

    fn shown(request: &AppendEntriesRequest<Types>) -> String {
        format!("{request}")
    }

    #[test]
    fn append_entries_come_back_as_they_went() {
        let decoded = decode_append(joined(&encode_append(request()))).unwrap();
        assert_eq!(shown(&decoded), shown(&request()));
        let EntryPayload::Normal(data) = &decoded.entries[1].payload else { panic!("data") };
        assert_eq!((data.kind, data.payload.as_ref()), (EntryKind::Data, b"batch".as_ref()));
    }

    #[test]
    fn payloads_are_sliced_not_copied() {
        let bytes = joined(&encode_append(request()));
        let within = bytes.as_ptr_range();
        let decoded = decode_append(bytes).unwrap();
        let EntryPayload::Normal(data) = &decoded.entries[1].payload else { panic!("data") };
        assert!(within.contains(&data.payload.as_ptr()));
    }

    #[test]
    fn golden_bytes() {
        let mut small = request();
        small.entries.truncate(2);
        let hex = format!("{:02x}", joined(&encode_append(small)));
        let expected = concat!(
            "01", // format
            "0500000000000000",
            "0200000000000000",
            "01", // vote: term 5, node 2, committed
            "01",
            "0400000000000000",
            "0900000000000000", // prev 4.9
            "00",               // nothing committed
            "02000000",         // two entries
            "0500000000000000",
            "0a00000000000000",
            "00",
            "00000000", // blank 5.10
            "0500000000000000",
            "0b00000000000000",
            "02",
            "05000000",   // data 5.11, five bytes
            "6261746368", // "batch"
        );
        assert_eq!(hex, expected);
    }

    #[test]
    fn entries_that_do_not_follow_each_other_are_refused() {
        let mut gap = request();
        gap.entries.remove(1);
        let error = decode_append(joined(&encode_append(gap))).unwrap_err();
        assert!(error.to_string().contains("entry 5.12 where Some(11) is due"), "{error}");
    }

    #[test]
    fn a_refusal_says_why() {
        let bytes = joined(&encode_reply::<u64>(Err("group 7 is not open here".into())));
        assert_eq!(
            decode_reply::<u64>(&bytes).unwrap(),
            Err("group 7 is not open here".to_owned())
        );
        assert_eq!(decode_reply::<u64>(&joined(&encode_reply(Ok(7_u64)))).unwrap(), Ok(7));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode_append(bytes.into()));
        }

        #[test]
        fn a_damaged_request_gives_a_request_or_an_error(at in 0..150_usize, to in any::<u8>(), cut in 0..150_usize) {
            let mut bytes = joined(&encode_append(request())).to_vec();
            if let Some(byte) = bytes.get_mut(at) { *byte = to; }
            bytes.truncate(bytes.len().saturating_sub(cut));
            drop(decode_append(bytes.into()));
        }
    }
}
