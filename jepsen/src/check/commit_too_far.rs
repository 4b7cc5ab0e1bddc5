//! `commit-too-far` (L13): a group never has more committed than one past the last record that any of its members
//! was given before the answer. Judged only where members' polls are in the history.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index, OpId};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut polled = Floors::<(u32, Key)>::new();
    for (id, group, _) in index.group_polls() {
        let op = index.op(*id);
        for reading in index.readings(op) {
            // An answer that never came back may still have been given: it counts from its beginning.
            polled.tell((*group, reading.key()), op.invoked, reading.last() + 1, *id);
        }
    }
    let polled = polled.settle();
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        let GroupBody::Committed { offsets } = &act.body else { continue };
        let end = index.op(act.op).completed.unwrap_or(u32::MAX);
        for (key, told) in offsets {
            let Some(told) = told.filter(|_| !was_reset(index, act.group, *key)) else { continue };
            let given = polled.before(&(act.group, *key), end);
            let ever = polled.before(&(act.group, *key), u32::MAX);
            let next = given.map_or(0, |(next, _)| next);
            if ever.is_some() && told > next {
                let ops: Vec<OpId> = given.map(|(_, by)| by).into_iter().chain([act.op]).collect();
                found.add(index, Name::CommitTooFar, Some(*key), &Proof::ops(&ops), || {
                    let group = index.names.name(act.group);
                    format!("{group} has {told} committed, and was given records below {next}")
                });
            }
        }
    }
    found
}

/// Whether somebody moved the offset on purpose.
fn was_reset(index: &Index, group: u32, key: Key) -> bool {
    index.groups.iter().filter(|act| act.group == group).any(|act| {
        matches!(&act.body, GroupBody::Commit { offsets, reset: true }
            if offsets.iter().any(|(of, _)| *of == key))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X};

    #[test]
    fn no_more_is_committed_than_was_given() {
        let tale = Tale::new().group_poll(0, Ok, "a", &[(X, 0, 1), (X, 1, 2)]);
        assert!(tale.clone().committed(1, &[(X, Some(2))]).found(check).is_empty());
        assert_eq!(
            tale.committed(1, &[(X, Some(3))]).found(check),
            ["commit-too-far 0: g has 3 committed, and was given records below 2"]
        );
    }

    #[test]
    fn what_was_given_and_lost_on_the_way_counts() {
        let tale = Tale::new().group_poll(0, Info, "a", &[(X, 0, 1)]);
        assert!(tale.committed(1, &[(X, Some(1))]).found(check).is_empty());
    }
}
