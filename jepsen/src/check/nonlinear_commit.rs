//! `nonlinear-commit` (L13): per group and partition the committed offset is a linearizable register: commits
//! write it, questions read it.

use std::collections::BTreeMap;

use super::anomaly::{Found, Name, Proof};
use super::register::{Access, Operated, Order, order};
use crate::history::Key;
use crate::index::{GroupBody, Index};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut registers: BTreeMap<(u32, Key), Vec<Operated>> = BTreeMap::new();
    for act in &index.groups {
        let mut access = |key: Key, access| {
            registers.entry((act.group, key)).or_default().push(Operated { op: act.op, access });
        };
        match &act.body {
            GroupBody::Commit { offsets, .. } => {
                for (key, to) in offsets {
                    access(*key, Access::Write(Some(*to)));
                }
            }
            GroupBody::Committed { offsets } => {
                for (key, read) in offsets {
                    access(*key, Access::Read(*read));
                }
            }
            GroupBody::Hold { .. } | GroupBody::Leave | GroupBody::View { .. } => {}
        }
    }
    for ((group, key), operated) in registers {
        if let Order::None { op, states } = order(index, &[None], operated) {
            found.add(index, Name::NonlinearCommit, Some(key), &Proof::ops(&[op]), || {
                let group = index.names.name(group);
                format!(
                    "no order of {group}'s commits fits this answer; possible were {}",
                    super::words(&states)
                )
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Committed, Operation};
    use crate::model::tale::{Tale, X};

    fn question(offset: Option<u64>) -> Operation {
        Operation::Committed(Committed { group: "g".into(), offsets: [(X, offset)].into() })
    }

    #[test]
    fn a_commit_that_nobody_sees_afterwards_is_lost() {
        let tale = Tale::new().commit(0, Ok, ("a", 1), &[(X, 5)]).committed(1, &[(X, None)]);
        assert_eq!(
            tale.found(check),
            ["nonlinear-commit 0: no order of g's commits fits this answer; possible were 5"]
        );
    }

    #[test]
    fn a_value_that_nobody_committed_is_invented() {
        let tale = Tale::new().commit(0, Ok, ("a", 1), &[(X, 5)]).committed(1, &[(X, Some(6))]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn an_unknown_commit_may_come_at_any_time_but_only_once() {
        let tale = Tale::new()
            .commit(0, Ok, ("a", 1), &[(X, 5)])
            .commit(1, Info, ("a", 1), &[(X, 7)])
            .committed(2, &[(X, Some(5))])
            .committed(2, &[(X, Some(7))]);
        assert!(tale.clone().found(check).is_empty());
        assert_eq!(tale.committed(2, &[(X, Some(5))]).found(check).len(), 1);
    }

    #[test]
    fn questions_at_one_time_agree_on_an_order() {
        let tale = Tale::new()
            .commit(0, Ok, ("a", 1), &[(X, 5)])
            .begin(
                0,
                Operation::Commit(crate::history::Commit {
                    group: "g".into(),
                    offsets: [(X, 6)].into(),
                    ..Default::default()
                }),
            )
            .committed(1, &[(X, Some(6))]);
        assert!(tale.clone().found(check).is_empty());
        assert_eq!(tale.committed(2, &[(X, Some(5))]).found(check).len(), 1);
    }

    #[test]
    fn a_question_during_a_commit_may_see_either() {
        let tale = Tale::new().begin(1, question(None)).commit(0, Ok, ("a", 1), &[(X, 5)]).end(
            1,
            Ok,
            question(None),
        );
        assert!(tale.committed(1, &[(X, Some(5))]).found(check).is_empty());
    }
}
