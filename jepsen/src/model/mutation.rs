//! One thing that goes wrong: each mutation takes a clean history, spoils it, and says under which name that must
//! be found.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each looks for the one operation that it spoils"
)]

mod groups;

use std::collections::BTreeMap;

use groups::{
    commit_back, commit_too_far, forget_delivery, generation_back, mismatch, redeliver, two_owners,
    unfence, unowned,
};

use crate::check::Name;
use crate::history::{Event, Key, Kind, Micro, Operation, Polled, Seen};

/// A mutation: what it is called, how it must be found, and how it is made. It is false if the history has no
/// place for it.
pub struct Mutation {
    /// What goes wrong.
    pub what: &'static str,
    /// Under which name that must be found.
    pub name: Name,
    spoil: fn(&mut [Event]) -> bool,
}

impl Mutation {
    /// Spoils a history; false if there is no place for it.
    pub fn apply(&self, events: &mut [Event]) -> bool {
        (self.spoil)(events)
    }
}

macro_rules! mutations {
    ($($spoil:ident $name:ident $what:literal,)*) => {
        /// All of them.
        pub const MUTATIONS: &[Mutation] =
            &[$(Mutation { what: $what, name: Name::$name, spoil: $spoil },)*];
    };
}

mutations! {
    drop_everywhere MissingAcked "an acknowledged record is dropped from every replica",
    drop_everywhere UnstableRead "a record that was read is dropped from every replica",
    drop_tail MissingAcked "the last records are dropped from every replica",
    ack_early Unseen "a record is acknowledged and never written",
    ack_early LostWrite "a record is acknowledged and never written, and later ones are",
    drop_in_poll IntPollSkip "a record is dropped from a poll",
    swap_in_poll IntNonmonotonicPoll "two records of a poll change places",
    empty_poll PollSkip "all records of a poll are dropped",
    repeat_poll NonmonotonicPoll "a poll is answered like the last one",
    replace_in_poll InconsistentOffsets "a poll shows another record",
    invent InventedRecord "a record becomes one that nobody sent",
    dirty_read UnstableRead "a poll shows a record that is never committed",
    aborted_read G1a "a poll shows a record whose send had failed",
    foresee G1cProcess "a poll shows a record before it is sent",
    swap_in_replica ReplicaDivergence "two records of one replica change places",
    shift_offset Duplicate "an acknowledgement tells the next offset",
    reuse_offset NonlinearAppend "an acknowledgement tells offset 0",
    stale_watermark StaleFetch "a high watermark is told that is old",
    stale_watermark HighWatermarkBack "a high watermark is told that is older than one told before",
    tear_batch TornBatch "half a batch is dropped everywhere",
    retry_elsewhere IdempotenceBroken "a retry is told another offset",
    outlive ZombieWrite "a batch is one of a newer epoch, and the old one goes on",
    start_back LogStartBack "a log start goes back",
    refuse_inside RefusedInside "an offset inside the log is refused",
    commit_back CommitBack "a committed offset goes back",
    commit_back NonlinearCommit "a committed offset goes back, which no order of commits explains",
    commit_too_far CommitTooFar "more is committed than was polled",
    forget_delivery Undelivered "what is committed was never given to a member",
    two_owners TwoOwners "a partition has two owners",
    unowned UnownedPartition "a stable group forgets a partition",
    mismatch AssignmentMismatch "a member holds what is meant for another",
    generation_back GenerationBack "a generation goes back",
    unfence Unfenced "a commit of an old owner is taken",
    redeliver Redelivered "a member is given a record again",
    forget_setting NonlinearRegister "a setting reads as it never was",
}

fn polled(event: &Event) -> Option<&Polled> {
    match (&event.operation, event.kind) {
        (Operation::Poll(micros), Kind::Ok) => micros.iter().find_map(|micro| match micro {
            Micro::Poll(polled) => polled.as_ref(),
            Micro::Send(..) => None,
        }),
        _ => None,
    }
}

fn polled_mut(event: &mut Event) -> Option<&mut Polled> {
    match (&mut event.operation, event.kind) {
        (Operation::Poll(micros), Kind::Ok) => micros.iter_mut().find_map(|micro| match micro {
            Micro::Poll(polled) => polled.as_mut(),
            Micro::Send(..) => None,
        }),
        _ => None,
    }
}

/// All records that an event shows, by key.
fn shown_mut(event: &mut Event) -> Vec<(Key, &mut Vec<Seen>)> {
    match &mut event.operation {
        Operation::FinalRead(replica) | Operation::ReplicaDump(replica) => {
            vec![(replica.key, &mut replica.records)]
        }
        Operation::Poll(micros) => micros
            .iter_mut()
            .filter_map(|micro| match micro {
                Micro::Poll(polled) => polled.as_mut(),
                Micro::Send(..) => None,
            })
            .flat_map(|polled| polled.iter_mut().map(|(key, records)| (*key, records)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Sends of an outcome: event, key, offset, value.
fn sends(events: &[Event], kind: Kind) -> Vec<(usize, Key, Option<u64>, u64)> {
    let mut sends = Vec::new();
    for (place, event) in events.iter().enumerate().filter(|(_, event)| event.kind == kind) {
        if let Operation::Send(micros) = &event.operation {
            for micro in micros {
                if let Micro::Send(key, sent) = micro {
                    sends.push((place, *key, sent.offset, sent.value));
                }
            }
        }
    }
    sends
}

/// Something from the middle of a list: there is much before it and after it.
fn middle<T: Copy>(of: &[T]) -> Option<T> {
    of.get(of.len() / 2).copied()
}

/// An acknowledged send whose value was polled, from the middle.
fn acked(events: &[Event]) -> Option<(usize, Key, u64)> {
    let mut seen = std::collections::BTreeSet::new();
    for (key, records) in events.iter().filter_map(polled).flatten() {
        seen.extend(records.iter().map(|record| (*key, record.value)));
    }
    let trimmed = trimmed(events);
    let acked: Vec<_> = sends(events, Kind::Ok)
        .into_iter()
        .filter(|(_, key, offset, value)| {
            let kept = *offset >= trimmed.get(key).copied();
            kept && seen.contains(&(*key, *value))
        })
        .map(|(place, key, _, value)| (place, key, value))
        .collect();
    middle(&acked)
}

/// Where the final logs begin.
fn trimmed(events: &[Event]) -> BTreeMap<Key, u64> {
    let mut starts = BTreeMap::new();
    for event in events {
        if let Operation::FinalRead(replica) = &event.operation {
            starts.insert(replica.key, replica.log_start);
        }
    }
    starts
}

fn forget(events: &mut [Event], key: Key, value: u64, polls: bool) {
    for event in events.iter_mut() {
        let is_poll = matches!(event.operation, Operation::Poll(_));
        if is_poll && !polls {
            continue;
        }
        for (of, records) in shown_mut(event) {
            if of == key {
                records.retain(|seen| seen.value != value);
            }
        }
    }
}

fn drop_everywhere(events: &mut [Event]) -> bool {
    let Some((_, key, value)) = acked(events) else { return false };
    forget(events, key, value, false);
    true
}

fn drop_tail(events: &mut [Event]) -> bool {
    let Some((_, key, Some(last), _)) =
        sends(events, Kind::Ok).into_iter().max_by_key(|send| send.2)
    else {
        return false;
    };
    for event in events.iter_mut() {
        if let Operation::FinalRead(replica) | Operation::ReplicaDump(replica) =
            &mut event.operation
            && replica.key == key
        {
            replica.records.retain(|seen| seen.offset < last);
            replica.high_watermark = last;
        }
    }
    true
}

fn ack_early(events: &mut [Event]) -> bool {
    let Some((_, key, value)) = acked(events) else { return false };
    forget(events, key, value, true);
    true
}

/// A poll, from the middle, that shows at least `count` records of a key.
fn poll_of(events: &[Event], count: usize) -> Option<(usize, Key)> {
    let trimmed = trimmed(events);
    let polls: Vec<(usize, Key)> = events
        .iter()
        .enumerate()
        .filter_map(|(place, event)| {
            let kept = |key: &Key, records: &[Seen]| {
                records.first().is_some_and(|seen| Some(seen.offset) >= trimmed.get(key).copied())
            };
            let of = polled(event)?.iter().find(|(key, all)| all.len() >= count && kept(key, all));
            Some((place, *of?.0))
        })
        .collect();
    middle(&polls)
}

fn in_poll(events: &mut [Event], count: usize, spoil: impl FnOnce(&mut Vec<Seen>)) -> bool {
    let Some((place, key)) = poll_of(events, count) else { return false };
    let polled = events.get_mut(place).and_then(polled_mut);
    polled.and_then(|polled| polled.get_mut(&key)).map(spoil).is_some()
}

fn drop_in_poll(events: &mut [Event]) -> bool {
    in_poll(events, 3, |records| {
        records.remove(1);
    })
}

fn swap_in_poll(events: &mut [Event]) -> bool {
    in_poll(events, 2, |records| records.swap(0, 1))
}

/// A poll and the next one of its process that shows the same key, with nothing but polls in between.
fn two_polls(events: &[Event]) -> Option<(usize, usize, Key)> {
    let trimmed = trimmed(events);
    let mut last: BTreeMap<(crate::history::Process, Key), usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (place, event) in events.iter().enumerate().filter(|(_, event)| event.kind != Kind::Invoke)
    {
        if matches!(event.operation, Operation::Assign(_)) {
            last.retain(|(process, _), _| *process != event.process);
        }
        for (key, records) in polled(event).into_iter().flatten() {
            let kept = records.first().map(|seen| seen.offset) >= trimmed.get(key).copied();
            if let Some(before) = last.insert((event.process, *key), place)
                && kept
            {
                pairs.push((before, place, *key));
            }
        }
    }
    middle(&pairs)
}

fn empty_poll(events: &mut [Event]) -> bool {
    let Some((_, middle, key)) = two_polls(events) else { return false };
    // The one before it and the one after it remain, if there is one; else its own last record does.
    let polled = events.get_mut(middle).and_then(polled_mut);
    let Some(records) = polled.and_then(|polled| polled.get_mut(&key)) else { return false };
    let last = records.last().copied();
    let several = records.len() > 1;
    records.clear();
    records.extend(last);
    several
}

fn repeat_poll(events: &mut [Event]) -> bool {
    let Some((before, after, key)) = two_polls(events) else { return false };
    let same = events.get(before).and_then(polled).and_then(|polled| polled.get(&key)).cloned();
    let polled = events.get_mut(after).and_then(polled_mut);
    match (polled, same) {
        (Some(polled), Some(same)) => polled.insert(key, same).is_some(),
        _ => false,
    }
}

fn replace_in_poll(events: &mut [Event]) -> bool {
    in_poll(events, 2, |records| {
        if let [first, second, ..] = records.as_mut_slice() {
            first.value = second.value;
            first.crc = None;
        }
    })
}

fn invent(events: &mut [Event]) -> bool {
    let Some((_, key, value)) = acked(events) else { return false };
    for event in events.iter_mut() {
        for (of, records) in shown_mut(event) {
            for seen in records.iter_mut().filter(|seen| of == key && seen.value == value) {
                seen.value = u64::MAX - 1;
                seen.crc = None;
            }
        }
    }
    true
}

/// Puts a value behind the last record of a late poll that reached the end of a log.
fn append_to_poll(events: &mut [Event], key: Key, value: u64) -> bool {
    let last = |event: &Event| Some(polled(event)?.get(&key)?.last()?.offset);
    let Some(end) = events.iter().filter_map(last).max() else { return false };
    let place = events.iter().position(|event| last(event) == Some(end));
    let polled = place.and_then(|place| events.get_mut(place)).and_then(polled_mut);
    let Some(records) = polled.and_then(|polled| polled.get_mut(&key)) else { return false };
    records.push(Seen { offset: end + 1_000, value, crc: None });
    true
}

fn never_written(events: &[Event], kind: Kind) -> Option<(Key, u64)> {
    let mut kept = std::collections::BTreeSet::new();
    let mut copy = events.to_vec();
    for (key, records) in copy.iter_mut().flat_map(shown_mut) {
        kept.extend(records.iter().map(|seen| (key, seen.value)));
    }
    let sends = sends(events, kind).into_iter().map(|(_, key, _, value)| (key, value));
    sends.rev().find(|send| !kept.contains(send))
}

fn dirty_read(events: &mut [Event]) -> bool {
    never_written(events, Kind::Info).is_some_and(|(key, value)| append_to_poll(events, key, value))
}

fn aborted_read(events: &mut [Event]) -> bool {
    never_written(events, Kind::Fail).is_some_and(|(key, value)| append_to_poll(events, key, value))
}

fn foresee(events: &mut [Event]) -> bool {
    let Some((place, key)) = poll_of(events, 1) else { return false };
    let later =
        sends(events, Kind::Ok).into_iter().filter(|send| send.1 == key && send.2.is_some());
    let Some((.., Some(offset), value)) = later.max_by_key(|send| send.2) else { return false };
    let polled = events.get_mut(place).and_then(polled_mut);
    let Some(records) = polled.and_then(|polled| polled.get_mut(&key)) else { return false };
    records.push(Seen { offset, value, crc: None });
    true
}

fn swap_in_replica(events: &mut [Event]) -> bool {
    events.iter_mut().any(|event| match &mut event.operation {
        Operation::FinalRead(replica) if replica.node == "n2" && replica.round == 1 => {
            let [first, second, ..] = replica.records.as_mut_slice() else { return false };
            std::mem::swap(&mut first.value, &mut second.value);
            std::mem::swap(&mut first.crc, &mut second.crc);
            true
        }
        _ => false,
    })
}

fn tell_offset(events: &mut [Event], to: impl Fn(u64) -> u64) -> bool {
    let Some((place, key, value)) = acked(events) else { return false };
    let Some(Operation::Send(micros)) = events.get_mut(place).map(|event| &mut event.operation)
    else {
        return false;
    };
    micros.iter_mut().any(|micro| match micro {
        Micro::Send(of, sent) if *of == key && sent.value == value => {
            sent.offset = sent.offset.map(&to);
            true
        }
        Micro::Send(..) | Micro::Poll(_) => false,
    })
}

fn shift_offset(events: &mut [Event]) -> bool {
    tell_offset(events, |offset| offset + 1)
}

fn reuse_offset(events: &mut [Event]) -> bool {
    tell_offset(events, |_| 0)
}

fn stale_watermark(events: &mut [Event]) -> bool {
    let late = events.len() * 3 / 4;
    let mut late = events.iter_mut().skip(late).filter(|event| {
        event.kind == Kind::Ok && event.detail.mode == crate::history::ReadMode::Linearizable
    });
    late.find_map(|event| event.detail.high_watermarks.values_mut().next())
        .map(|told| *told = 1)
        .is_some()
}

fn tear_batch(events: &mut [Event]) -> bool {
    let trimmed = trimmed(events);
    let batch = events.iter().rev().find_map(|event| match &event.operation {
        Operation::Send(micros)
            if event.kind == Kind::Ok && event.detail.batch && micros.len() > 1 =>
        {
            match micros.last() {
                Some(Micro::Send(key, sent)) if sent.offset > trimmed.get(key).map(|at| at + 5) => {
                    Some((*key, sent.value))
                }
                _ => None,
            }
        }
        _ => None,
    });
    let Some((key, value)) = batch else { return false };
    forget(events, key, value, true);
    true
}

fn retry_elsewhere(events: &mut [Event]) -> bool {
    let bases = events.iter_mut().filter_map(|event| event.detail.attempts.last_mut());
    bases.flat_map(|attempt| attempt.bases.values_mut()).next().map(|base| *base += 1).is_some()
}

fn outlive(events: &mut [Event]) -> bool {
    let mut last: BTreeMap<(u64, Key), usize> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (place, key, ..) in sends(events, Kind::Ok) {
        let stamp = events.get(place).and_then(|event| event.detail.producer);
        let Some(stamp) = stamp else { continue };
        if let Some(before) = last.insert((stamp.id, key), place).filter(|at| *at != place) {
            pairs.push(before);
        }
    }
    let stamp = middle(&pairs).and_then(|place| events.get_mut(place)?.detail.producer.as_mut());
    stamp.map(|stamp| stamp.epoch += 1_000).is_some()
}

fn start_back(events: &mut [Event]) -> bool {
    let late = events.iter_mut().filter(|event| event.kind == Kind::Ok).rev();
    let mut starts = late.flat_map(|event| event.detail.log_starts.values_mut());
    starts.find(|start| **start > 0).map(|start| *start = 0).is_some()
}

fn refuse_inside(events: &mut [Event]) -> bool {
    let trimmed = trimmed(events);
    let Some((_, key, Some(offset), _)) =
        middle(&sends(events, Kind::Ok)).filter(|send| send.2 >= trimmed.get(&send.1).copied())
    else {
        return false;
    };
    let last = events
        .iter_mut()
        .rev()
        .find(|event| event.kind == Kind::Fail && matches!(event.operation, Operation::Poll(_)));
    last.map(|event| {
        event.detail.mode = crate::history::ReadMode::Linearizable;
        event.detail.out_of_range.insert(key, offset);
    })
    .is_some()
}

fn forget_setting(events: &mut [Event]) -> bool {
    let mut answers = events.iter_mut().filter(|event| event.kind == Kind::Ok).rev();
    answers
        .find_map(|event| match &mut event.operation {
            Operation::GetConfig(setting) => setting.value.as_mut(),
            _ => None,
        })
        .map(|value| *value += 2_000_000)
        .is_some()
}
