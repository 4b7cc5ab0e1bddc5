//! What goes wrong in consumer groups: who owns what, and what was committed.

use std::collections::BTreeMap;

use super::polled_mut;
use crate::history::{Event, Key, Kind, Operation, Process, Seen};

fn answers(events: &mut [Event]) -> impl Iterator<Item = &mut u64> {
    let answers = events.iter_mut().filter(|event| event.kind == Kind::Ok).rev();
    answers.flat_map(|event| match &mut event.operation {
        Operation::Committed(committed) => {
            committed.offsets.values_mut().flatten().collect::<Vec<_>>()
        }
        _ => Vec::new(),
    })
}

pub(super) fn commit_back(events: &mut [Event]) -> bool {
    answers(events).find(|told| **told > 1).map(|told| *told = 1).is_some()
}

pub(super) fn commit_too_far(events: &mut [Event]) -> bool {
    answers(events).next().map(|told| *told += 100_000).is_some()
}

pub(super) fn forget_delivery(events: &mut [Event]) -> bool {
    let mut done = false;
    for event in events.iter_mut().filter(|event| event.detail.group.is_some()).take(200) {
        if let Some(polled) = polled_mut(event) {
            done |= !polled.is_empty();
            polled.clear();
        }
    }
    done
}

/// Heartbeats that granted something: event, member, generation, what.
fn holds(events: &[Event]) -> Vec<(usize, String, u64, Vec<Key>)> {
    let acts = events.iter().enumerate().filter(|(_, event)| event.kind == Kind::Ok);
    acts.filter_map(|(place, event)| match &event.operation {
        Operation::Heartbeat(held) if !held.assigned.is_empty() => {
            Some((place, held.member.clone(), held.generation?, held.assigned.clone()))
        }
        _ => None,
    })
    .collect()
}

pub(super) fn two_owners(events: &mut [Event]) -> bool {
    let holds = holds(events);
    let pair = holds.iter().find_map(|(_, one, generation, keys)| {
        let other = holds.iter().find(|(_, other, in_, _)| other != one && in_ == generation)?;
        Some((other.0, *keys.first()?))
    });
    let Some((place, key)) = pair else { return false };
    if let Some(Operation::Heartbeat(held)) =
        events.get_mut(place).map(|event| &mut event.operation)
    {
        held.assigned.push(key);
    }
    true
}

pub(super) fn unowned(events: &mut [Event]) -> bool {
    let views = events.iter_mut().filter(|event| event.kind == Kind::Ok);
    let mut views = views.filter_map(|event| match &mut event.operation {
        Operation::DescribeGroup(view) if view.stable => Some(view),
        _ => None,
    });
    views.any(|view| view.members.values_mut().any(|keys| keys.pop().is_some()))
}

pub(super) fn mismatch(events: &mut [Event]) -> bool {
    let holds = holds(events);
    for event in events.iter_mut().filter(|event| event.kind == Kind::Ok) {
        if let Operation::DescribeGroup(view) = &mut event.operation
            && let Some((_, member, ..)) = holds.iter().find(|hold| Some(hold.2) == view.generation)
            && let Some(keys) = view.members.get_mut(member)
            && !keys.is_empty()
        {
            keys.clear();
            return true;
        }
    }
    false
}

pub(super) fn generation_back(events: &mut [Event]) -> bool {
    let holds = holds(events);
    let again = holds.iter().enumerate().find_map(|(nth, (_, member, generation, _))| {
        let later = holds.iter().skip(nth + 1).find(|later| later.1 == *member)?;
        (*generation > 1).then_some((later.0, generation - 1))
    });
    let Some((place, lower)) = again else { return false };
    if let Some(Operation::Heartbeat(held)) =
        events.get_mut(place).map(|event| &mut event.operation)
    {
        held.generation = Some(lower);
    }
    true
}

/// A commit becomes one of the member that held the partition before, in the generation of that time.
pub(super) fn unfence(events: &mut [Event]) -> bool {
    let holds = holds(events);
    let mut begun: BTreeMap<Process, usize> = BTreeMap::new();
    let mut fenced = None;
    for (place, event) in events.iter().enumerate() {
        let Operation::Commit(commit) = &event.operation else { continue };
        if event.kind == Kind::Invoke {
            begun.insert(event.process, place);
        }
        let start = begun.get(&event.process).copied().unwrap_or_default();
        let keys = |hold: &[Key]| hold.iter().any(|key| commit.offsets.contains_key(key));
        let newest = holds
            .iter()
            .rev()
            .find(|(at, member, _, held)| *at < start && *member == commit.member && keys(held));
        let older = newest.and_then(|(_, member, newest, held)| {
            let taken = |one: &Key| commit.offsets.contains_key(one) && held.contains(one);
            holds.iter().find(|(at, other, generation, had)| {
                at < &start && other != member && generation < newest && had.iter().any(taken)
            })
        });
        if let (Kind::Ok, Some((_, member, generation, _))) = (event.kind, older) {
            fenced = Some((place, member.clone(), *generation));
        }
    }
    let Some((place, member, generation)) = fenced else { return false };
    if let Some(Operation::Commit(commit)) = events.get_mut(place).map(|event| &mut event.operation)
    {
        commit.member = member;
        commit.generation = Some(generation);
    }
    true
}

pub(super) fn redeliver(events: &mut [Event]) -> bool {
    let mut last: BTreeMap<(Process, Key), Vec<Seen>> = BTreeMap::new();
    for event in events.iter_mut().filter(|event| event.detail.group.is_some()) {
        let process = event.process;
        if event.kind == Kind::Fail || event.kind == Kind::Info {
            last.clear();
        }
        let moved = event.detail.rebalanced.clone();
        for (key, records) in
            polled_mut(event).into_iter().flatten().filter(|of| !moved.contains(of.0))
        {
            if let Some(before) = last.insert((process, *key), records.clone()) {
                *records = before;
                return true;
            }
        }
        last.retain(|(_, key), _| !moved.contains(key));
    }
    false
}
