//! `poll-skip`: from one poll of a process to its next, something that stands in the log was left out. The
//! position is kept over assignments that still contain the key. Allowed to subscribers, whom a rebalance moves.

use super::anomaly::{Found, Name, Proof};
use super::steps::between_polls;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    between_polls(index, |step| {
        if step.skips() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::PollSkip, Some(step.key), &Proof::ops(&ops), || {
                step.skipped(index)
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::model::tale::{Tale, X, Y, none};

    /// Process 0 sees offsets 1, 2, then 4, then 7; 3 and 6 exist, 5 may be a gap.
    fn tale(between: impl Fn(Tale) -> Tale) -> Tale {
        let all =
            [(X, none(), 11), (X, none(), 12), (X, none(), 13), (X, none(), 14), (X, none(), 17)];
        let tale = Tale::new().poll(0, Ok, &[(X, 1, 11), (X, 2, 12)]).poll(1, Ok, &[(X, 3, 13)]);
        let tale = between(tale).poll(0, Ok, &[(X, 4, 14)]);
        between(tale).send(2, Ok, &[(X, 6, 16)]).poll(0, Ok, &[(X, 7, 17)]).send(3, Info, &all)
    }

    #[test]
    fn a_poll_that_leaves_something_out_skips() {
        assert_eq!(
            tale(|tale| tale).found(check),
            [
                "poll-skip 0: value 14 follows value 12; between them stand 13 at offset 3",
                "poll-skip 0: value 17 follows value 14; between them stand 16 at offset 6",
            ]
        );
    }

    #[test]
    fn an_assignment_without_the_key_forgets_the_position() {
        assert!(tale(|tale| tale.assign(0, &[Y])).found(check).is_empty());
        assert!(tale(|tale| tale.subscribe(0, &[Y])).found(check).is_empty());
        assert_eq!(tale(|tale| tale.assign(0, &[X, Y])).found(check).len(), 2);
        assert_eq!(tale(|tale| tale.subscribe(0, &[X, Y])).found(check).len(), 2);
    }

    fn sent() -> Tale {
        let all: Vec<_> = (0..6).map(|value| (X, value, value)).collect();
        Tale::new().send(0, Ok, &all).poll(1, Ok, &[(X, 0, 0)]).poll(
            1,
            Fail,
            &[(X, 1, 1), (X, 2, 2)],
        )
    }

    #[test]
    fn a_poll_that_did_not_end_ok_is_polled_again() {
        let tale =
            sent().poll(1, Info, &[(X, 1, 1), (X, 2, 2)]).poll(1, Ok, &[(X, 1, 1), (X, 2, 2)]);
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn one_that_goes_on_behind_an_aborted_one_skips() {
        let tale = sent().poll(1, Fail, &[(X, 3, 3), (X, 4, 4)]).poll(1, Ok, &[(X, 5, 5)]);
        assert_eq!(
            tale.found(check),
            [
                "poll-skip 0: value 3 follows value 0; between them stand 1 at offset 1, 2 at offset 2",
                "poll-skip 0: value 5 follows value 0; between them stand 1 at offset 1, 2 at offset 2, 3 at offset 3, 4 at offset 4",
            ]
        );
        assert_eq!(sent().poll(1, Info, &[(X, 3, 3), (X, 4, 4)]).found(check).len(), 1);
    }
}
