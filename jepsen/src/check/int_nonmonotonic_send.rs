//! `int-nonmonotonic-send`: of two neighbouring records of one send the later stands at or before the earlier.

use super::anomaly::{Found, Name, Proof};
use super::steps::inside_sends;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    inside_sends(index, |step| {
        if step.goes_back() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::IntNonmonotonicSend, Some(step.key), &Proof::ops(&ops), || {
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
    use crate::model::tale::{Tale, X, Y, none};

    #[test]
    fn records_of_one_send_may_not_change_places() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 3, 13), (X, 1, 11)])
            .send(0, Info, &[(Y, none(), 14), (Y, none(), 12)])
            .send(1, Info, &[(Y, none(), 13)])
            .poll(0, Ok, &[(Y, 2, 12), (Y, 3, 13), (Y, 4, 14)]);
        assert_eq!(
            tale.found(check),
            [
                "int-nonmonotonic-send 0: value 11 follows value 13, and stands 1 records before it",
                "int-nonmonotonic-send 1: value 12 follows value 14, and stands 2 records before it",
            ]
        );
    }

    #[test]
    fn ascending_ones_are_well() {
        assert!(Tale::new().send(0, Ok, &[(X, 1, 11), (X, 3, 13)]).found(check).is_empty());
    }
}
