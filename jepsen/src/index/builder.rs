//! Builds an index, one event at a time.

use std::collections::{BTreeMap, HashMap};

use super::log::Evidence;
use super::reading::push;
use super::{
    Act, Copy, GroupAct, GroupBody, Index, Mark, MarkKind, MetadataAct, MetadataBody, Op, OpId,
    Reading, SendNote, SentAt, Source,
};
use crate::history::{
    Detail, Event, Header, Key, Membership, Micro, Operation, Outcome, Process, ReadMode, Replica,
    Tail,
};

/// Copies that are read at the end are polls of processes that count from here.
pub const FINAL_PROCESS_FIRST: u32 = 1_000_000_000;

/// An operation that has begun.
struct Open {
    event: u32,
    time: u64,
    operation: Operation,
    detail: Detail,
}

/// Both ends of an operation, before it has a place.
struct Ends<'a> {
    begin: Option<&'a Open>,
    outcome: Outcome,
    completed: Option<u32>,
    time: u64,
    operation: &'a Operation,
    detail: &'a Detail,
    process: u32,
}

/// Builds an index.
#[derive(Default)]
pub struct Builder {
    index: Index,
    open: HashMap<u32, Open>,
    /// Copies whose last part has not come, and those that have: node, key, round, source.
    copies: BTreeMap<(u32, Key, u32, Source), usize>,
}

fn position(index: u64) -> u32 {
    u32::try_from(index).expect("a history has fewer than 4,294,967,296 events")
}

impl Builder {
    /// Begins with a header.
    pub fn new(header: Header) -> Builder {
        Builder { index: Index { header, ..Index::default() }, ..Builder::default() }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        self.index.events += 1;
        self.index.ended = event.time;
        match (event.process, &event.operation) {
            (_, Operation::Fault(fault)) => {
                self.index.faults.push((position(event.index), event.time, fault.clone()));
            }
            (_, Operation::State(state)) => self.index.states.push((event.time, state.clone())),
            (Process::Client(process), _) => self.client(process, event),
            (Process::Nemesis | Process::Observer, _) => {}
        }
    }

    fn client(&mut self, process: u32, event: &Event) {
        let Some(outcome) = event.kind.outcome() else {
            let open = Open {
                event: position(event.index),
                time: event.time,
                operation: event.operation.clone(),
                detail: event.detail.clone(),
            };
            if let Some(earlier) = self.open.insert(process, open) {
                // A process that begins anew has given its last operation up.
                self.abandon(process, &earlier);
            }
            return;
        };
        let begin = self.open.remove(&process);
        self.close(&Ends {
            begin: begin.as_ref(),
            outcome,
            completed: Some(position(event.index)),
            time: event.time,
            operation: &event.operation,
            detail: &event.detail,
            process,
        });
    }

    /// An operation without an end may have happened.
    fn abandon(&mut self, process: u32, open: &Open) {
        self.close(&Ends {
            begin: Some(open),
            outcome: Outcome::Info,
            completed: None,
            time: open.time,
            operation: &open.operation,
            detail: &open.detail,
            process,
        });
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what it leaves, `said` takes")]
    fn close(&mut self, ends: &Ends<'_>) {
        let id = OpId::at(self.index.ops.len());
        let end = ends.completed.unwrap_or_default();
        let mut op = Op {
            process: ends.process,
            act: act_of(ends.operation),
            outcome: ends.outcome,
            invoked: ends.begin.map_or(end, |open| open.event),
            completed: ends.completed,
            began: ends.begin.map_or(ends.time, |open| open.time),
            ended: ends.time,
            local: ends.detail.mode == ReadMode::Local,
            sends: self.index.sends.len()..self.index.sends.len(),
            readings: self.index.readings.len()..self.index.readings.len(),
        };
        match ends.operation {
            Operation::Send(micros) | Operation::Poll(micros) | Operation::Txn(micros) => {
                self.micros(&op, ends, micros);
                self.notes(id, ends);
            }
            Operation::Assign(keys) | Operation::Subscribe(keys) => {
                self.index.keys_of.push((id, keys.clone()));
            }
            Operation::FinalRead(replica) if ends.outcome == Outcome::Ok => {
                op.act = Act::Poll;
                op.process = self.copy(replica, Source::Served, end);
            }
            Operation::ReplicaDump(replica) if ends.outcome == Outcome::Ok => {
                self.copy(replica, Source::OnDisk, end);
            }
            Operation::Latest(ends_of_logs) if ends.outcome == Outcome::Ok => {
                self.marks(id, ends_of_logs, MarkKind::HighWatermark, ends.detail);
            }
            other => self.said(id, ends, other),
        }
        self.marks(id, &ends.detail.high_watermarks, MarkKind::HighWatermark, ends.detail);
        self.marks(id, &ends.detail.log_starts, MarkKind::LogStart, ends.detail);
        let aliens = ends.detail.aliens.iter().map(|alien| (id, alien.clone()));
        self.index.aliens.extend(aliens);
        let refused = ends.detail.out_of_range.iter().map(|(key, offset)| (id, *key, *offset));
        self.index.out_of_range.extend(refused);
        op.sends.end = self.index.sends.len();
        op.readings.end = self.index.readings.len();
        self.index.ops.push(op);
    }

    fn micros(&mut self, op: &Op, ends: &Ends<'_>, micros: &[Micro]) {
        let floor = op.readings.start;
        for micro in micros {
            match micro {
                Micro::Send(key, sent) => {
                    if let (Outcome::Ok, Some(offset)) = (ends.outcome, sent.offset) {
                        let log = self.index.logs.entry(*key).or_default();
                        log.sight(offset, sent.value, None, Evidence::Acked);
                    }
                    self.index.sends.push(SentAt {
                        key: *key,
                        crc: sent.crc,
                        value: sent.value,
                        offset: sent.offset,
                    });
                }
                Micro::Poll(polled) => {
                    let evidence = match (ends.outcome, ends.completed) {
                        (Outcome::Ok, Some(event)) => Evidence::Read(event),
                        _ => Evidence::Polled,
                    };
                    for (key, records) in polled.iter().flatten() {
                        let log = self.index.logs.entry(*key).or_default();
                        for seen in records {
                            let sighting = log.sight(seen.offset, seen.value, seen.crc, evidence);
                            if sighting.is_other_bytes() {
                                let op = OpId::at(self.index.ops.len());
                                self.index.clashes.push((op, *key, seen.offset));
                            }
                            let record = (seen.offset, seen.value);
                            let readings = &mut self.index.readings;
                            push(readings, floor, *key, record, sighting.is_as_the_log());
                        }
                    }
                }
            }
        }
    }

    /// The sends of an `info` may be told by its beginning only.
    fn notes(&mut self, id: OpId, ends: &Ends<'_>) {
        let detail = ends.detail;
        let begun = ends.begin.map(|open| &open.detail);
        let stamp = detail.producer.or_else(|| begun.and_then(|begun| begun.producer));
        let batch = detail.batch || begun.is_some_and(|begun| begun.batch);
        if stamp.is_some() || batch || !detail.attempts.is_empty() {
            let attempts = detail.attempts.clone();
            self.index.send_notes.push((id, SendNote { stamp, batch, attempts }));
        }
        if !detail.rebalanced.is_empty() {
            self.index.keys_of.push((id, detail.rebalanced.clone()));
        }
        if let Some(group) = &detail.group {
            let group = self.index.names.number(group);
            let member = detail.member.as_deref().unwrap_or_default();
            let member = self.index.names.number(member);
            self.index.members_of.push((id, group, member));
        }
    }

    fn marks(&mut self, op: OpId, marks: &BTreeMap<Key, u64>, kind: MarkKind, detail: &Detail) {
        if marks.is_empty() {
            return;
        }
        let node = detail.node.as_deref().map(|node| self.index.names.number(node));
        let marks =
            marks.iter().map(|(key, offset)| Mark { op, key: *key, kind, offset: *offset, node });
        self.index.marks.extend(marks);
    }

    /// Takes one part of a copy; returns the process that is to have read it.
    fn copy(&mut self, replica: &Replica, source: Source, event: u32) -> u32 {
        let node = self.index.names.number(&replica.node);
        let which = (node, replica.key, replica.round, source);
        let place = *self.copies.entry(which).or_insert_with(|| {
            self.index.copies.push(Copy {
                node,
                key: replica.key,
                round: replica.round,
                source,
                log_start: replica.log_start,
                high_watermark: replica.high_watermark,
                readings: Vec::new(),
                terms: Vec::new(),
                complete: false,
                event,
                broken: Vec::new(),
            });
            self.index.copies.len() - 1
        });
        let copy = self.index.copies.get_mut(place).expect("its place was just given");
        copy.high_watermark = copy.high_watermark.max(replica.high_watermark);
        copy.complete |= replica.complete;
        copy.event = event;
        copy.terms.extend(&replica.terms);
        let log = self.index.logs.entry(replica.key).or_default();
        let evidence = match source {
            Source::Served => Evidence::Read(event),
            Source::OnDisk => Evidence::OnDisk,
        };
        let floor = self.index.readings.len();
        for seen in &replica.records {
            let sighting = log.sight(seen.offset, seen.value, seen.crc, evidence);
            if sighting.is_other_bytes() {
                copy.broken.push(seen.offset);
            }
            let record = (seen.offset, seen.value);
            push(&mut copy.readings, 0, replica.key, record, sighting.is_as_the_log());
            if source == Source::Served {
                push(
                    &mut self.index.readings,
                    floor,
                    replica.key,
                    record,
                    sighting.is_as_the_log(),
                );
            }
        }
        FINAL_PROCESS_FIRST.saturating_add(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// What was said to groups, topics and settings.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what it leaves, `metadata` takes")]
    fn said(&mut self, op: OpId, ends: &Ends<'_>, operation: &Operation) {
        let begun = ends.begin.map(|open| &open.operation);
        match operation {
            Operation::Join(granted) | Operation::Heartbeat(granted) => {
                let body = GroupBody::Hold {
                    generation: granted.generation.filter(|_| ends.outcome == Outcome::Ok),
                    assigned: granted.assigned.clone(),
                };
                self.member_said(op, granted, begun, body);
            }
            Operation::Leave(left) => self.member_said(op, left, begun, GroupBody::Leave),
            Operation::DescribeGroup(view) => {
                let group = self.index.names.number(&view.group);
                let members = view.members.iter();
                let members = members
                    .map(|(member, keys)| (self.index.names.number(member), keys.clone()))
                    .collect();
                let body = GroupBody::View {
                    generation: view.generation,
                    stable: view.stable,
                    members,
                    subscribed: view.subscribed.clone(),
                };
                self.index.groups.push(GroupAct { op, group, member: None, said: None, body });
            }
            Operation::Commit(commit) => {
                let group = self.index.names.number(&commit.group);
                let member = Some(&commit.member).filter(|member| !member.is_empty());
                let member = member.map(|member| self.index.names.number(member));
                let offsets = commit.offsets.iter().map(|(key, offset)| (*key, *offset)).collect();
                let body = GroupBody::Commit { offsets, reset: commit.reset };
                let said = commit.generation;
                self.index.groups.push(GroupAct { op, group, member, said, body });
            }
            Operation::Committed(committed) => {
                let group = self.index.names.number(&committed.group);
                let offsets =
                    committed.offsets.iter().map(|(key, offset)| (*key, *offset)).collect();
                let body = GroupBody::Committed { offsets };
                self.index.groups.push(GroupAct { op, group, member: None, said: None, body });
            }
            other => self.metadata(op, other),
        }
    }

    fn member_said(
        &mut self,
        op: OpId,
        told: &Membership,
        begun: Option<&Operation>,
        body: GroupBody,
    ) {
        let said = match begun {
            Some(Operation::Join(said) | Operation::Heartbeat(said) | Operation::Leave(said)) => {
                said.generation
            }
            _ => None,
        };
        let group = self.index.names.number(&told.group);
        let member = Some(self.index.names.number(&told.member));
        self.index.groups.push(GroupAct { op, group, member, said, body });
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others say nothing of metadata")]
    fn metadata(&mut self, op: OpId, operation: &Operation) {
        let mut number = |name: &str| self.index.names.number(name);
        let bodies: Vec<MetadataBody> = match operation {
            Operation::CreateTopic(topic) => {
                vec![MetadataBody::Exists { topic: number(&topic.topic), exists: true }]
            }
            Operation::DeleteTopic(topic) => {
                vec![MetadataBody::Exists { topic: number(&topic.topic), exists: false }]
            }
            Operation::DescribeTopic(topic) => {
                vec![MetadataBody::Described { topic: number(&topic.topic), exists: topic.exists }]
            }
            Operation::SetConfig(setting) => vec![MetadataBody::Set {
                setting: number(&format!("{}:{}", setting.topic, setting.name)),
                value: setting.value,
            }],
            Operation::GetConfig(setting) => vec![MetadataBody::Got {
                setting: number(&format!("{}:{}", setting.topic, setting.name)),
                value: setting.value,
            }],
            Operation::Trim(offsets) => offsets
                .iter()
                .map(|(key, offset)| MetadataBody::Trimmed { key: *key, offset: *offset })
                .collect(),
            _ => Vec::new(),
        };
        self.index.metadata.extend(bodies.into_iter().map(|body| MetadataAct { op, body }));
    }

    /// Ends it: what never ended may have happened, and every log is put in order.
    pub fn finish(mut self, tail: Tail) -> Index {
        let mut open: Vec<(u32, Open)> = self.open.drain().collect();
        open.sort_by_key(|(_, open)| open.event);
        for (process, open) in open {
            self.abandon(process, &open);
        }
        let mut index = self.index;
        index.tail = tail;
        for (place, op) in index.ops.iter().enumerate().filter(|(_, op)| op.act.is_micro()) {
            for sent in index.sends.get(op.sends.clone()).unwrap_or_default() {
                let log = index.logs.entry(sent.key).or_default();
                log.written(sent.value, OpId::at(place), op.outcome);
            }
        }
        index.logs.values_mut().for_each(super::Log::settle_reads);
        for sent in proved(&index) {
            if let Some(offset) = sent.offset {
                let log = index.logs.entry(sent.key).or_default();
                log.sight(offset, sent.value, None, Evidence::Proved);
            }
        }
        index.logs.values_mut().for_each(super::Log::settle);
        index.find_trims();
        index.find_latest();
        index
    }
}

/// What was sent by operations that ended `info`, and that must have committed.
fn proved(index: &Index) -> Vec<SentAt> {
    let infos = index.ops.iter().filter(|op| op.outcome == Outcome::Info && !op.sends.is_empty());
    infos
        .filter(|op| index.must_have_committed(op))
        .flat_map(|op| index.sends(op))
        .copied()
        .collect()
}

fn act_of(operation: &Operation) -> Act {
    match operation {
        Operation::Send(_) => Act::Send,
        Operation::Poll(_) => Act::Poll,
        Operation::Txn(_) => Act::Txn,
        Operation::Assign(_) => Act::Assign,
        Operation::Subscribe(_) => Act::Subscribe,
        Operation::Latest(_) => Act::Latest,
        Operation::Join(_)
        | Operation::Heartbeat(_)
        | Operation::Leave(_)
        | Operation::DescribeGroup(_)
        | Operation::Commit(_)
        | Operation::Committed(_) => Act::Group,
        Operation::CreateTopic(_)
        | Operation::DeleteTopic(_)
        | Operation::DescribeTopic(_)
        | Operation::SetConfig(_)
        | Operation::GetConfig(_)
        | Operation::Trim(_) => Act::Metadata,
        Operation::Crash
        | Operation::DebugTopicPartitions(_)
        | Operation::FinalRead(_)
        | Operation::ReplicaDump(_)
        | Operation::Fault(_)
        | Operation::State(_) => Act::Other,
    }
}

// What memory is made of: a history of millions of polls has as many.
const _: () = assert!(size_of::<Reading>() <= 24, "a reading grew");
