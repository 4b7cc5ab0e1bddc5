//! `int-nonmonotonic-poll`: of two neighbouring records of one operation the later stands at or before the
//! earlier.

use super::anomaly::{Found, Name, Proof};
use super::steps::inside_polls;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    inside_polls(index, |step| {
        if step.goes_back() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::IntNonmonotonicPoll, Some(step.key), &Proof::ops(&ops), || {
                step.back()
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, none, polled};

    #[test]
    fn one_operation_may_not_go_back_or_repeat() {
        let tale = Tale::new()
            .send(1, Info, &[(X, none(), 11), (X, none(), 12), (X, none(), 13)])
            .poll(0, Ok, &[(X, 3, 13), (X, 1, 11)])
            .txn(0, Ok, vec![polled(&[(X, 2, 12), (X, 3, 13)]), polled(&[(X, 3, 13)])]);
        assert_eq!(
            tale.found(check),
            [
                "int-nonmonotonic-poll 0: value 11 follows value 13, and stands 2 records before it",
                "int-nonmonotonic-poll 0: value 13 follows value 13, and stands 0 records before it",
            ]
        );
    }

    #[test]
    fn ascending_offsets_are_well() {
        let tale = Tale::new().poll(0, Ok, &[(X, 1, 11), (X, 2, 12), (X, 3, 13)]);
        assert!(tale.found(check).is_empty());
    }
}
