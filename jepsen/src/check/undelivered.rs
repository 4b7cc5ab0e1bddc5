//! `undelivered` (L14): every record of the final log below a group's last committed offset was given to a member
//! of it, `ok`. Not judged where a reset moved the offset.

use std::collections::BTreeMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{GroupBody, Index, OpId};

/// A group's last committed offset of a partition, and who was told.
type Ends = BTreeMap<(u32, Key), (OpId, u64)>;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut given: BTreeMap<(u32, Key), Vec<(u64, u64)>> = BTreeMap::new();
    for (id, group, _) in index.group_polls() {
        let op = index.op(*id);
        for reading in index.readings(op).iter().filter(|_| op.outcome == Outcome::Ok) {
            let spans = given.entry((*group, reading.key())).or_default();
            spans.push((reading.first(), reading.last() + 1));
        }
    }
    for ((group, key), (by, end)) in ends(index) {
        let (Some(last), Some(log)) = (index.final_copy(key), index.log(key)) else { continue };
        let spans = given.remove(&(group, key)).unwrap_or_default();
        for (from, to) in gaps(spans, last.log_start, end) {
            let missed = (from..to).find(|offset| last.value_at(log, *offset).is_some());
            if let Some(offset) = missed {
                found.add(index, Name::Undelivered, Some(key), &Proof::ops(&[by]), || {
                    let group = index.names.name(group);
                    format!("{group} has {end} committed, and offsets {offset}..{to} were given to nobody")
                });
            }
        }
    }
    found
}

fn ends(index: &Index) -> Ends {
    let mut ends = Ends::new();
    for act in index.groups.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        if let GroupBody::Committed { offsets } = &act.body {
            for (key, told) in offsets {
                if let Some(told) = told {
                    ends.insert((act.group, *key), (act.op, *told));
                }
            }
        }
    }
    for act in &index.groups {
        if let GroupBody::Commit { offsets, reset: true } = &act.body {
            for (key, _) in offsets {
                ends.remove(&(act.group, *key));
            }
        }
    }
    ends
}

/// What `spans` leave out of `from..to`.
fn gaps(mut spans: Vec<(u64, u64)>, mut from: u64, to: u64) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut gaps = Vec::new();
    for (first, next) in spans {
        if first > from && from < to {
            gaps.push((from, first.min(to)));
        }
        from = from.max(next);
    }
    if from < to {
        gaps.push((from, to));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::{check, gaps};
    use crate::history::Kind::{Info, Ok};
    use crate::history::Operation;
    use crate::model::tale::{Tale, X, final_read};

    fn ending(tale: Tale, committed: u64) -> Tale {
        let rows: Vec<(u64, u64)> = (0..6).map(|offset| (offset, offset + 10)).collect();
        tale.committed(1, &[(X, Some(committed))]).op(
            9,
            Ok,
            Operation::FinalRead(final_read("n1", X, &rows)),
        )
    }

    #[test]
    fn what_lies_below_the_committed_offset_was_given_to_somebody() {
        let tale = Tale::new().group_poll(0, Ok, "a", &[(X, 0, 10), (X, 1, 11)]).group_poll(
            1,
            Ok,
            "b",
            &[(X, 2, 12)],
        );
        assert!(ending(tale.clone(), 3).found(check).is_empty());
        assert_eq!(
            ending(tale, 5).found(check),
            ["undelivered 0: g has 5 committed, and offsets 3..5 were given to nobody"]
        );
    }

    #[test]
    fn an_answer_that_was_lost_gave_nothing() {
        let tale = Tale::new().group_poll(0, Info, "a", &[(X, 0, 10)]);
        assert_eq!(ending(tale, 1).found(check).len(), 1);
    }

    #[test]
    fn gaps_are_what_spans_leave_out() {
        assert_eq!(gaps(vec![(4, 6), (0, 2), (1, 3)], 0, 8), [(3, 4), (6, 8)]);
        assert_eq!(gaps(vec![(0, 9)], 2, 8), []);
        assert_eq!(gaps(vec![(5, 9)], 0, 3), [(0, 3)]);
    }
}
