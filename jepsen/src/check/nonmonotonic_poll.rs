//! `nonmonotonic-poll`: from one poll of a process to its next, the position went back or stayed. Allowed to
//! subscribers, whom a rebalance moves.

use super::anomaly::{Found, Name, Proof};
use super::steps::between_polls;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    between_polls(index, |step| {
        if step.goes_back() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::NonmonotonicPoll, Some(step.key), &Proof::ops(&ops), || {
                step.back()
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::Ok;
    use crate::model::tale::{Tale, X, Y, none};

    fn tale(between: impl Fn(Tale) -> Tale) -> Tale {
        let all = [(X, none(), 11), (X, none(), 12), (X, none(), 13), (X, none(), 14)];
        let tale = Tale::new().send(0, Ok, &all).poll(0, Ok, &[(X, 1, 11), (X, 2, 12), (X, 3, 13)]);
        between(tale).poll(0, Ok, &[(X, 2, 12), (X, 3, 13), (X, 4, 14)])
    }

    #[test]
    fn a_poll_that_begins_before_the_end_of_the_last_goes_back() {
        assert_eq!(
            tale(|tale| tale).found(check),
            ["nonmonotonic-poll 0: value 12 follows value 13, and stands 1 records before it"]
        );
    }

    #[test]
    fn an_assignment_without_the_key_allows_it() {
        assert!(tale(|tale| tale.subscribe(0, &[Y])).found(check).is_empty());
        assert!(tale(|tale| tale.assign(0, &[Y])).found(check).is_empty());
        assert_eq!(tale(|tale| tale.subscribe(0, &[X, Y])).found(check).len(), 1);
        assert_eq!(tale(|tale| tale.assign(0, &[X, Y])).found(check).len(), 1);
    }
}
