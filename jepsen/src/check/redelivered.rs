//! `redelivered` (L14): a member is given a record again only if something made its position move: a poll whose
//! answer may have been lost, a rebalance of that partition, a reset. Records that two members were given are no
//! matter: there was a rebalance.

use std::collections::HashMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index, OpId};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut next: HashMap<(u32, u32, Key), (OpId, u64)> = HashMap::new();
    let mut resets = resets(index).into_iter().peekable();
    for (id, group, member) in index.group_polls() {
        let op = index.op(*id);
        while resets.peek().is_some_and(|(reset, _)| reset < id) {
            if let Some((_, of)) = resets.next() {
                next.retain(|(group, _, _), _| *group != of);
            }
        }
        if op.outcome != Outcome::Ok {
            next.retain(|(of, who, _), _| (*of, *who) != (*group, *member));
            continue;
        }
        for key in index.keys_of(*id) {
            next.remove(&(*group, *member, *key));
        }
        for reading in index.readings(op) {
            let which = (*group, *member, reading.key());
            let before = next.insert(which, (*id, reading.last() + 1));
            if let Some((by, floor)) = before.filter(|(_, floor)| reading.first() < *floor) {
                let ops = [by, *id];
                found.add(index, Name::Redelivered, Some(reading.key()), &Proof::ops(&ops), || {
                    let (member, first) = (index.names.name(*member), reading.first());
                    format!(
                        "{member} was given offset {first} after it had been given {}",
                        floor - 1
                    )
                });
            }
        }
    }
    found
}

/// Operations that may have moved a group's positions: resets, and what its members said about themselves.
fn resets(index: &Index) -> Vec<(OpId, u32)> {
    let moves = index.groups.iter().filter(|act| match &act.body {
        GroupBody::Commit { reset, .. } => *reset,
        // A join begins at the committed offset.
        GroupBody::Hold { .. } => act.said.is_none(),
        GroupBody::Leave => true,
        GroupBody::View { .. } | GroupBody::Committed { .. } => false,
    });
    moves.map(|act| (act.op, act.group)).collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, poll};

    fn base() -> Tale {
        Tale::new().group_poll(0, Ok, "a", &[(X, 0, 10), (X, 1, 11)])
    }

    #[test]
    fn a_member_is_not_given_a_record_twice_for_nothing() {
        assert_eq!(
            base().group_poll(0, Ok, "a", &[(X, 1, 11)]).found(check),
            ["redelivered 0: a was given offset 1 after it had been given 1"]
        );
        assert!(base().group_poll(0, Ok, "a", &[(X, 2, 12)]).found(check).is_empty());
    }

    #[test]
    fn after_a_lost_answer_or_a_rebalance_it_is() {
        let lost = base().group_poll(0, Info, "a", &[]);
        assert!(lost.group_poll(0, Ok, "a", &[(X, 0, 10)]).found(check).is_empty());
        let moved = base().op_with(0, poll(&[(X, 0, 10)]), |detail| {
            detail.group = Some("g".into());
            detail.member = Some("a".into());
            detail.rebalanced = vec![X];
        });
        assert!(moved.found(check).is_empty());
    }

    #[test]
    fn another_member_may_be_given_it() {
        assert!(base().group_poll(1, Ok, "b", &[(X, 1, 11)]).found(check).is_empty());
    }
}
