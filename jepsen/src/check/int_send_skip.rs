//! `int-send-skip`: something stands between two neighbouring records of one send. Always allowed: sends
//! interleave. A batch, which may not be interleaved, is judged by `torn-batch`.

use super::anomaly::{Found, Name, Proof};
use super::steps::inside_sends;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    inside_sends(index, |step| {
        if step.skips() {
            let ops = [step.last_op, step.op];
            found.add(index, Name::IntSendSkip, Some(step.key), &Proof::ops(&ops), || {
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
    use crate::model::tale::{Tale, X, none};

    #[test]
    fn what_stands_between_two_sends_is_told() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 1, 11), (X, none(), 13)])
            .send(1, Info, &[(X, none(), 12)])
            .poll(2, Ok, &[(X, 2, 12), (X, 3, 13)]);
        assert_eq!(
            tale.found(check),
            ["int-send-skip 0: value 13 follows value 11; between them stand 12 at offset 2"]
        );
    }

    #[test]
    fn neighbours_are_none() {
        assert!(Tale::new().send(0, Ok, &[(X, 1, 11), (X, 2, 12)]).found(check).is_empty());
    }
}
