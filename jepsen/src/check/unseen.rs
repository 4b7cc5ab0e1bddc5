//! `unseen`: an acknowledged value that no `ok` poll ever returned, up to the end of the
//! history, and that was not trimmed. A partition whose planned final read is missing is not judged: nobody had
//! the time to see it, and the verdict is at best unknown.

use super::anomaly::{Found, Name, Proof};
use crate::history::Outcome;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let cut_short = |key| index.header.final_replicas > 0 && index.final_copy(key).is_none();
    for (id, op) in index.numbered().filter(|(_, op)| op.outcome == Outcome::Ok) {
        for sent in index.sends(op) {
            let note = index.log(sent.key).and_then(|log| log.note(sent.value));
            let at = sent.offset.or_else(|| note?.at);
            let trimmed = at.is_some_and(|at| {
                index.may_be_gone(sent.key, (at, sent.value), index.trimmed_below(sent.key))
            });
            let judged = !trimmed && !cut_short(sent.key);
            if judged && !note.is_some_and(|note| note.read_ok) {
                found.add(index, Name::Unseen, Some(sent.key), &Proof::ops(&[id]), || {
                    format!("value {} was acknowledged and never read", sent.value)
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, none};

    #[test]
    fn an_acknowledged_value_that_nobody_polls_is_unseen() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 10), (X, 1, 11)]).poll(1, Ok, &[(X, 0, 10)]);
        assert_eq!(tale.found(check), ["unseen 0: value 11 was acknowledged and never read"]);
    }

    #[test]
    fn an_info_poll_has_shown_it_to_nobody() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 10)]).poll(1, Info, &[(X, 0, 10)]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn a_run_that_was_cut_short_has_seen_too_little_to_tell() {
        let mut tale = Tale::new().send(0, Ok, &[(X, 0, 10)]);
        tale.header.final_replicas = 3;
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn a_value_that_is_polled_in_the_end_is_seen() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 0, 10), (X, none(), 11)])
            .poll(1, Ok, &[(X, 0, 10)])
            .poll(1, Ok, &[(X, 1, 11)]);
        assert!(tale.found(check).is_empty());
    }
}
