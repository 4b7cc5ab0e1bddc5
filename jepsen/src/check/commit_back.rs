//! `commit-back` (L13): after an acknowledged commit nobody is told less, unless a reset came in between. Cheaper
//! than the register, never undecided, and it names the commit that was lost.

use std::collections::BTreeMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index, Op, OpId};

/// What was done to one committed offset.
#[derive(Default)]
struct Offset {
    commits: Vec<(OpId, u64)>,
    /// Commits that may go back and may have happened.
    resets: Vec<OpId>,
    answers: Vec<(OpId, u64)>,
}

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for ((group, key), offset) in offsets(index) {
        // Commits in the order in which they were over, each with the greatest so far and who made it.
        let mut commits = offset.commits;
        commits.sort_unstable_by_key(|(op, _)| index.op(*op).completed);
        let mut floor: Vec<(OpId, u64)> = Vec::with_capacity(commits.len());
        for commit in &commits {
            let greatest = floor.last().filter(|last| last.1 > commit.1);
            floor.push(greatest.copied().unwrap_or(*commit));
        }
        for (asked, told) in offset.answers {
            let question = index.op(asked);
            let over = commits.partition_point(|(op, _)| index.op(*op).precedes(question));
            let lost = if offset.resets.is_empty() {
                over.checked_sub(1).and_then(|last| floor.get(last)).copied()
            } else {
                let before = commits.get(..over).unwrap_or_default().iter();
                let valid =
                    before.filter(|(op, _)| !was_reset(index, &offset.resets, *op, question));
                valid.max_by_key(|(_, to)| *to).copied()
            };
            if let Some((by, committed)) = lost.filter(|(_, committed)| *committed > told) {
                let ops = [by, asked];
                found.add(index, Name::CommitBack, Some(key), &Proof::ops(&ops), || {
                    let group = index.names.name(group);
                    format!("{group} had committed {committed}, and was told {told}")
                });
            }
        }
    }
    found
}

/// Whether a reset may have come after a commit and before the answer.
fn was_reset(index: &Index, resets: &[OpId], commit: OpId, question: &Op) -> bool {
    resets.iter().map(|reset| index.op(*reset)).any(|reset| {
        let over_before = reset.outcome == Outcome::Ok && reset.precedes(index.op(commit));
        !over_before && !question.precedes(reset)
    })
}

fn offsets(index: &Index) -> BTreeMap<(u32, Key), Offset> {
    let mut offsets: BTreeMap<(u32, Key), Offset> = BTreeMap::new();
    for act in &index.groups {
        let outcome = index.op(act.op).outcome;
        match &act.body {
            GroupBody::Commit { offsets: to, reset } => {
                for (key, to) in to {
                    let offset = offsets.entry((act.group, *key)).or_default();
                    if *reset && outcome != Outcome::Fail {
                        offset.resets.push(act.op);
                    } else if outcome == Outcome::Ok {
                        offset.commits.push((act.op, *to));
                    }
                }
            }
            GroupBody::Committed { offsets: told } if outcome == Outcome::Ok => {
                for (key, told) in told {
                    let offset = offsets.entry((act.group, *key)).or_default();
                    offset.answers.push((act.op, told.unwrap_or_default()));
                }
            }
            GroupBody::Committed { .. }
            | GroupBody::Hold { .. }
            | GroupBody::Leave
            | GroupBody::View { .. } => {}
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Commit, Operation};
    use crate::model::tale::{Tale, X};

    fn base() -> Tale {
        Tale::new().commit(0, Ok, ("a", 1), &[(X, 5)]).commit(0, Ok, ("a", 1), &[(X, 9)])
    }

    #[test]
    fn nobody_is_told_less_than_was_committed() {
        assert_eq!(
            base().committed(1, &[(X, Some(5))]).found(check),
            ["commit-back 0: g had committed 9, and was told 5"]
        );
        assert_eq!(base().committed(1, &[(X, None)]).found(check).len(), 1);
        assert!(base().committed(1, &[(X, Some(9))]).found(check).is_empty());
    }

    #[test]
    fn a_reset_may_go_back_but_not_forget_what_comes_after_it() {
        let reset = |kind| {
            let commit = Commit {
                group: "g".into(),
                offsets: [(X, 2)].into(),
                reset: true,
                ..Commit::default()
            };
            base().op(0, kind, Operation::Commit(commit))
        };
        assert!(reset(Ok).committed(1, &[(X, Some(2))]).found(check).is_empty());
        assert!(reset(Info).committed(1, &[(X, Some(2))]).found(check).is_empty());
        let after = reset(Ok).commit(0, Ok, ("a", 1), &[(X, 4)]);
        assert_eq!(after.committed(1, &[(X, Some(2))]).found(check).len(), 1);
    }
}
