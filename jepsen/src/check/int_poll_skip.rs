//! `int-poll-skip`: between two neighbouring records of one operation something was left out.

use super::anomaly::{Found, Name, Proof};
use super::steps::inside_polls;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    inside_polls(index, |step| {
        if step.skips() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::IntPollSkip, Some(step.key), &Proof::ops(&ops), || {
                step.skipped(index)
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, none, poll, polled};

    fn base() -> Tale {
        Tale::new().send(1, Info, &[(X, none(), 11), (X, none(), 12), (X, none(), 14)]).poll(
            2,
            Ok,
            &[(X, 2, 12)],
        )
    }

    #[test]
    fn one_poll_may_not_leave_something_out() {
        let tale = base().poll(0, Ok, &[(X, 1, 11), (X, 4, 14)]);
        assert_eq!(
            tale.found(check),
            ["int-poll-skip 0: value 14 follows value 11; between them stand 12 at offset 2"]
        );
    }

    #[test]
    fn nor_may_two_polls_of_one_operation() {
        let tale = base().txn(0, Ok, vec![polled(&[(X, 1, 11)]), polled(&[(X, 4, 14)])]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn a_rebalanced_key_may_jump() {
        let jump = poll(&[(X, 1, 11), (X, 4, 14)]);
        let tale = base().end_with(0, Ok, jump, |detail| detail.rebalanced.push(X));
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn gaps_that_nothing_stands_in_are_no_skips() {
        let tale = Tale::new().poll(0, Ok, &[(X, 1, 11), (X, 400, 14)]);
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn what_may_have_been_compacted_away_is_not_left_out() {
        let mut tale = Tale::new().send(0, Ok, &[(X, 0, 2), (X, 1, 4), (X, 2, 3), (X, 3, 6)]);
        tale.header.compacted = Some(2);
        assert!(
            tale.clone().poll(1, Ok, &[(X, 0, 2), (X, 2, 3), (X, 3, 6)]).found(check).is_empty()
        );
        assert_eq!(tale.poll(1, Ok, &[(X, 0, 2), (X, 3, 6)]).found(check).len(), 1);
    }
}
