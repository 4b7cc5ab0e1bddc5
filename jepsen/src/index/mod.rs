//! What every check looks at: a history, read once and pressed together.
//!
//! ```text
//!   operations   both ends of each, in the order of their completion; those without an end come last
//!   logs         per key: offset → the first value that was seen there, and the rare other ones
//!   readings     what an operation read, as runs of offsets that show what the log shows, and the rare rest
//!   copies       what each replica had at the end, as readings
//! ```
//!
//! - Memory grows with operations and distinct records, not with how often a record is read: a poll of
//!   a thousand records is one run of 24 bytes unless it contradicts what others saw.
//! - Positions are the numbers of events. `a.completed < b.invoked` means that `a` was over before `b` began.

mod builder;
mod copies;
mod groups;
mod log;
mod names;
mod op;
mod reading;

use std::collections::BTreeMap;
use std::io::BufRead;

pub use builder::{Builder, FINAL_PROCESS_FIRST};
pub use copies::{Copy, Source};
pub use groups::{GroupAct, GroupBody, MetadataAct, MetadataBody};
pub use log::{Duplicate, Log, Note, Slot};
pub use names::Names;
pub use op::{Act, Mark, MarkKind, Op, OpId, SendNote, SentAt};
pub use reading::Reading;

use crate::history::{Alien, Fault, Header, Key, Outcome, Reader, ReaderError, State, Tail};

/// A history, pressed together.
#[derive(Default)]
pub struct Index {
    /// What the first line said.
    pub header: Header,
    /// How the file ended.
    pub tail: Tail,
    /// How many events there were.
    pub events: u64,
    /// The time of the last event, in nanoseconds.
    pub ended: u64,
    /// All client operations; an [`OpId`] is a place in here.
    pub ops: Vec<Op>,
    /// Where copies that are read at the end stand among the operations, and what they hold.
    pub copies: Vec<Copy>,
    /// What was done to the cluster: event, time, act.
    pub faults: Vec<(u32, u64, Fault)>,
    /// What the observer saw: time and state.
    pub states: Vec<(u64, State)>,
    /// High watermarks and log starts that came with answers, in the order of completion.
    pub marks: Vec<Mark>,
    /// What members and coordinators said.
    pub groups: Vec<GroupAct>,
    /// What was done to topics and settings.
    pub metadata: Vec<MetadataAct>,
    /// Records that were none of ours.
    pub aliens: Vec<(OpId, Alien)>,
    /// Offsets that were refused as out of range.
    pub out_of_range: Vec<(OpId, Key, u64)>,
    /// Names of nodes, groups and members.
    pub names: Names,
    /// Reads that showed the right value in other bytes: by whom, key, offset.
    pub clashes: Vec<(OpId, Key, u64)>,
    logs: BTreeMap<Key, Log>,
    trimmed: BTreeMap<Key, u64>,
    /// Of each partition and key of its records the last offset where one stands; in a compacted topic only.
    latest: BTreeMap<(Key, u64), u64>,
    sends: Vec<SentAt>,
    readings: Vec<Reading>,
    keys_of: Vec<(OpId, Vec<Key>)>,
    send_notes: Vec<(OpId, SendNote)>,
    members_of: Vec<(OpId, u32, u32)>,
}

impl Index {
    /// Reads a history to its end.
    pub fn read<R: BufRead>(mut reader: Reader<R>) -> Result<Index, ReaderError> {
        let mut builder = Builder::new(reader.header().clone());
        for event in reader.by_ref() {
            builder.event(&event?);
        }
        Ok(builder.finish(reader.tail()))
    }

    /// An operation.
    pub fn op(&self, id: OpId) -> &Op {
        self.ops.get(id.place()).expect("an operation's id is its place in `ops`")
    }

    /// All operations with their ids, in the order of their completion.
    pub fn numbered(&self) -> impl Iterator<Item = (OpId, &Op)> {
        self.ops.iter().enumerate().map(|(place, op)| (OpId::at(place), op))
    }

    /// What an operation sent.
    pub fn sends(&self, op: &Op) -> &[SentAt] {
        self.sends.get(op.sends.clone()).unwrap_or_default()
    }

    /// What an operation read.
    pub fn readings(&self, op: &Op) -> &[Reading] {
        self.readings.get(op.readings.clone()).unwrap_or_default()
    }

    /// The log of a key, if anything is known of it.
    pub fn log(&self, key: Key) -> Option<&Log> {
        self.logs.get(&key)
    }

    /// All logs.
    pub fn logs(&self) -> impl Iterator<Item = (Key, &Log)> {
        self.logs.iter().map(|(key, log)| (*key, log))
    }

    /// The keys of an assignment or subscription, or those rebalanced during a poll.
    pub fn keys_of(&self, id: OpId) -> &[Key] {
        match self.keys_of.binary_search_by_key(&id, |(op, _)| *op) {
            Ok(place) => self.keys_of.get(place).map_or(&[], |(_, keys)| keys.as_slice()),
            Err(_) => &[],
        }
    }

    /// What is special about a send: a stamp, a batch, several attempts.
    pub fn send_note(&self, id: OpId) -> Option<&SendNote> {
        let place = self.send_notes.binary_search_by_key(&id, |(op, _)| *op).ok()?;
        self.send_notes.get(place).map(|(_, note)| note)
    }

    /// All sends about which something is special.
    pub fn send_notes(&self) -> &[(OpId, SendNote)] {
        &self.send_notes
    }

    /// Polls that members of groups made: operation, group, member.
    pub fn group_polls(&self) -> &[(OpId, u32, u32)] {
        &self.members_of
    }

    /// The value that a log shows first at an offset.
    pub fn value_at(&self, key: Key, offset: u64) -> Option<u64> {
        self.log(key)?.primary(offset)
    }

    /// Whether a send must have happened: it was acknowledged, or something it sent was read.
    pub fn must_have_committed(&self, op: &Op) -> bool {
        match op.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => self.sends(op).iter().any(|sent| {
                self.log(sent.key)
                    .and_then(|log| log.note(sent.value))
                    .is_some_and(|note| note.read_ok)
            }),
        }
    }

    /// The copy of a key that all others and all reads are compared with: served, of the last round, whole,
    /// and the one that reaches farthest.
    pub fn final_copy(&self, key: Key) -> Option<&Copy> {
        self.copies
            .iter()
            .filter(|copy| copy.key == key && copy.source == Source::Served && copy.complete)
            .max_by_key(|copy| (copy.round, copy.high_watermark))
    }

    /// The highest log start of a key that anybody ever told or asked for: what lies below may have been removed
    /// on purpose, at any time.
    pub fn trimmed_below(&self, key: Key) -> u64 {
        self.trimmed.get(&key).copied().unwrap_or_default()
    }

    /// Whether a record may be missing on purpose from a log that begins at `start`: it lies before that; or, in a
    /// compacted topic, and whatever `start` is, a later record of its key stands.
    pub fn may_be_gone(&self, key: Key, (offset, value): (u64, u64), start: u64) -> bool {
        match self.header.compacted {
            Some(_) => self.is_superseded(key, offset, value),
            None => offset < start,
        }
    }

    /// Whether a later record of the same key stands; never but in a compacted topic.
    pub fn is_superseded(&self, key: Key, offset: u64, value: u64) -> bool {
        let Some(keys) = self.header.compacted else { return false };
        let of = value.checked_rem(keys).unwrap_or_default();
        self.latest.get(&(key, of)).is_some_and(|latest| *latest > offset)
    }

    fn find_latest(&mut self) {
        let Some(keys) = self.header.compacted else { return };
        for (key, log) in &self.logs {
            for slot in log.slots() {
                let of = slot.value.checked_rem(keys).unwrap_or_default();
                self.latest.insert((*key, of), slot.offset);
            }
        }
    }

    fn find_trims(&mut self) {
        let starts = self.marks.iter().filter(|mark| mark.kind == MarkKind::LogStart);
        let starts = starts.map(|mark| (mark.key, mark.offset));
        let trims = self.metadata.iter().filter_map(|act| match act.body {
            MetadataBody::Trimmed { key, offset } => Some((key, offset)),
            MetadataBody::Exists { .. }
            | MetadataBody::Described { .. }
            | MetadataBody::Set { .. }
            | MetadataBody::Got { .. } => None,
        });
        let copies = self.copies.iter().map(|copy| (copy.key, copy.log_start));
        for (key, offset) in starts.chain(trims).chain(copies) {
            let below = self.trimmed.entry(key).or_default();
            *below = (*below).max(offset);
        }
    }

    /// The events of these operations, both ends, ascending.
    pub fn events_of(&self, ops: &[OpId]) -> Vec<u64> {
        let mut events: Vec<u64> = ops
            .iter()
            .map(|id| self.op(*id))
            .flat_map(|op| [Some(op.invoked), op.completed])
            .flatten()
            .map(u64::from)
            .collect();
        events.sort_unstable();
        events.dedup();
        events
    }
}
