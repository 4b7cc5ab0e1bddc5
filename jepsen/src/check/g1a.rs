//! `G1a`, aborted read: an `ok` poll returned a value whose send certainly failed.

use super::anomaly::{Found, Name, Proof};
use crate::history::Outcome;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (id, op) in index.numbered().filter(|(_, op)| op.outcome == Outcome::Fail) {
        for sent in index.sends(op) {
            let Some(log) = index.log(sent.key) else { continue };
            let Some(note) = log.note(sent.value).filter(|note| note.aborted() && note.read_ok)
            else {
                continue;
            };
            let seen = note.at.and_then(|at| log.seen(at, sent.value));
            let proof = Proof { ops: &[id], events: &[seen] };
            found.add(index, Name::G1a, Some(sent.key), &proof, || {
                format!("value {} was read, and its send had failed", sent.value)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::model::tale::{Tale, X, Y, none};

    #[test]
    fn a_failed_value_may_not_be_read() {
        let tale =
            Tale::new().send(0, Fail, &[(X, none(), 2), (Y, none(), 3)]).poll(1, Ok, &[(X, 0, 2)]);
        assert_eq!(tale.found(check), ["G1a 0: value 2 was read, and its send had failed"]);
    }

    #[test]
    fn a_value_of_unknown_outcome_may_be_read() {
        let tale = Tale::new().send(0, Info, &[(X, none(), 2)]).poll(1, Ok, &[(X, 0, 2)]);
        assert!(tale.found(check).is_empty());
    }
}
