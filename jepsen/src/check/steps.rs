//! From one read, or send, of a key to the next: what the four checks of skips and steps back share.
//!
//! A step's `delta` is the difference of two ranks: 1 is the next record, more skips, less goes back. A step
//! whose ranks are not both known is taken for 1.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Key, Outcome};
use crate::index::{Act, Index, Log, OpId, Reading};

/// One step that is not to the very next record.
pub(super) struct Step {
    pub(super) key: Key,
    /// The operation before; the same as `op` inside one operation.
    pub(super) last_op: OpId,
    pub(super) op: OpId,
    /// The value before and the value after.
    pub(super) values: (u64, u64),
    /// The ranks of both.
    pub(super) ranks: (u64, u64),
}

impl Step {
    pub(super) fn skips(&self) -> bool {
        self.ranks.1 > self.ranks.0 + 1
    }

    /// Whether all that it left out may have been compacted away.
    fn is_compacted(&self, index: &Index, log: &Log) -> bool {
        index.header.compacted.is_some()
            && (self.ranks.0 + 1..self.ranks.1)
                .filter_map(|rank| log.nth(rank))
                .all(|slot| index.is_superseded(self.key, slot.offset, slot.value))
    }

    pub(super) fn goes_back(&self) -> bool {
        self.ranks.1 <= self.ranks.0
    }

    /// What a skip left out, in words.
    pub(super) fn skipped(&self, index: &Index) -> String {
        const SHOWN_MAX: u64 = 8;
        let (from, to) = (self.ranks.0 + 1, self.ranks.1);
        let log = index.log(self.key);
        let shown: Vec<String> = (from..to.min(from.saturating_add(SHOWN_MAX)))
            .filter_map(|rank| log?.nth(rank))
            .map(|slot| format!("{} at offset {}", slot.value, slot.offset))
            .collect();
        let more = (to - from).saturating_sub(SHOWN_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (before, after) = self.values;
        format!(
            "value {after} follows value {before}; between them stand {}{more}",
            shown.join(", ")
        )
    }

    /// How far a step goes back, in words.
    pub(super) fn back(&self) -> String {
        let (before, after) = self.values;
        let by = self.ranks.0 - self.ranks.1;
        format!("value {after} follows value {before}, and stands {by} records before it")
    }
}

fn step(index: &Index, log: &Log, key: Key, ops: (OpId, OpId), values: (u64, u64)) -> Option<Step> {
    let after = log.position(values.1)?;
    // What may have been trimmed cannot be left out.
    let kept = log.rank(index.trimmed_below(key)).min(after);
    let before = log.position(values.0)?;
    let ranks = (if before < after { before.max(kept.saturating_sub(1)) } else { before }, after);
    let step = Step { key, last_op: ops.0, op: ops.1, values, ranks };
    let skips = step.skips() && !step.is_compacted(index, log);
    (skips || step.goes_back()).then_some(step)
}

/// The first and the last value that an operation read, or sent, of each key.
type Edges = BTreeMap<Key, (u64, u64)>;

fn read_edges(index: &Index, id: OpId) -> Edges {
    let mut edges = Edges::new();
    for reading in index.readings(index.op(id)) {
        let key = reading.key();
        let (first, last) = match *reading {
            Reading::Odd { value, .. } => (Some(value), Some(value)),
            Reading::Run { .. } => {
                (index.value_at(key, reading.first()), index.value_at(key, reading.last()))
            }
        };
        if let (Some(first), Some(last)) = (first, last) {
            edges.entry(key).and_modify(|edge| edge.1 = last).or_insert((first, last));
        }
    }
    edges
}

fn send_edges(index: &Index, id: OpId) -> Edges {
    let mut edges = Edges::new();
    for sent in index.sends(index.op(id)) {
        edges
            .entry(sent.key)
            .and_modify(|edge| edge.1 = sent.value)
            .or_insert((sent.value, sent.value));
    }
    edges
}

/// The steps between consecutive operations of one process. An assignment or subscription that may have
/// happened forgets the keys that it leaves out.
fn between(
    index: &Index,
    wanted: impl Fn(Outcome) -> bool,
    moves: impl Fn(Outcome) -> bool,
    edges: impl Fn(&Index, OpId) -> Edges,
    mut each: impl FnMut(Step),
) {
    let mut last: HashMap<u32, BTreeMap<Key, (OpId, u64)>> = HashMap::new();
    for (id, op) in index.numbered() {
        match op.act {
            Act::Assign | Act::Subscribe if op.outcome != Outcome::Fail => {
                if let Some(keys) = last.get_mut(&op.process) {
                    keys.retain(|key, _| index.keys_of(id).contains(key));
                }
            }
            act if act.is_micro() && wanted(op.outcome) => {
                let edges = edges(index, id);
                let keys = last.entry(op.process).or_default();
                for (key, (first, latest)) in edges {
                    if let (Some((last_op, before)), Some(log)) = (keys.get(&key), index.log(key)) {
                        step(index, log, key, (*last_op, id), (*before, first)).map(&mut each);
                    }
                    if moves(op.outcome) {
                        keys.insert(key, (id, latest));
                    }
                }
            }
            Act::Assign
            | Act::Subscribe
            | Act::Send
            | Act::Poll
            | Act::Txn
            | Act::Latest
            | Act::Group
            | Act::Metadata
            | Act::Other => {}
        }
    }
}

/// From poll to poll. Only `ok` moves the position; others are compared with where it stands.
pub(super) fn between_polls(index: &Index, each: impl FnMut(Step)) {
    between(index, |_| true, |outcome| outcome == Outcome::Ok, read_edges, each);
}

/// From send to send, of those that may have happened.
pub(super) fn between_sends(index: &Index, each: impl FnMut(Step)) {
    let happened = |outcome| outcome != Outcome::Fail;
    between(index, happened, happened, send_edges, each);
}

/// From record to record inside each poll, whatever its outcome; keys that were rebalanced in it may jump.
pub(super) fn inside_polls(index: &Index, mut each: impl FnMut(Step)) {
    let mut last: BTreeMap<Key, u64> = BTreeMap::new();
    for (id, op) in index.numbered() {
        last.clear();
        let rebalanced = index.keys_of(id);
        for reading in index.readings(op) {
            let key = reading.key();
            let Some(log) = index.log(key) else { continue };
            if rebalanced.contains(&key) {
                continue;
            }
            let mut to = |value: u64| {
                if let Some(before) = last.insert(key, value) {
                    step(index, log, key, (id, id), (before, value)).map(&mut each);
                }
            };
            match *reading {
                Reading::Odd { value, .. } => to(value),
                // Consecutive offsets that all stand, without conflict, have consecutive ranks.
                Reading::Run { .. } if !log.is_suspect(reading.first(), reading.last()) => {
                    log.primary(reading.first()).into_iter().for_each(&mut to);
                    if let Some(latest) = log.primary(reading.last()) {
                        last.insert(key, latest);
                    }
                }
                Reading::Run { .. } => {
                    (reading.first()..=reading.last())
                        .filter_map(|offset| log.primary(offset))
                        .for_each(&mut to);
                }
            }
        }
    }
}

/// From record to record inside each send, whatever its outcome.
pub(super) fn inside_sends(index: &Index, mut each: impl FnMut(Step)) {
    let mut last: BTreeMap<Key, u64> = BTreeMap::new();
    for (id, op) in index.numbered() {
        last.clear();
        for sent in index.sends(op) {
            let before = last.insert(sent.key, sent.value);
            if let (Some(before), Some(log)) = (before, index.log(sent.key)) {
                step(index, log, sent.key, (id, id), (before, sent.value)).map(&mut each);
            }
        }
    }
}
