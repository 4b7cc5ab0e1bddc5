//! `duplicate`: one value stands at two or more offsets of a key. If its send ended `info`, or took several
//! attempts, without an idempotent producer, that is legal: `duplicate-after-info`.

use super::anomaly::{Found, Name, Proof};
use crate::index::{Index, Note};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (key, log) in index.logs() {
        for duplicate in log.duplicates() {
            let note = log.note(duplicate.value);
            let name = name_of(index, note);
            let writer: Vec<_> = note.and_then(|note| note.writer).into_iter().collect();
            let seen: Vec<_> =
                duplicate.offsets.iter().map(|at| log.seen(*at, duplicate.value)).collect();
            let proof = Proof { ops: &writer, events: &seen };
            found.add(index, name, Some(key), &proof, || {
                format!("value {} stands at the offsets {:?}", duplicate.value, duplicate.offsets)
            });
        }
    }
    found
}

fn name_of(index: &Index, note: Option<&Note>) -> Name {
    let Some((note, writer)) = note.and_then(|note| Some((note, note.writer?))) else {
        return Name::Duplicate;
    };
    let send = index.send_note(writer);
    if send.is_some_and(|send| send.stamp.is_some()) {
        return Name::Duplicate;
    }
    let retried = send.is_some_and(|send| send.attempts.len() > 1);
    if note.acked() && !retried { Name::Duplicate } else { Name::DuplicateAfterInfo }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::history::ProducerStamp;
    use crate::model::tale::{Tale, X, none, send};

    #[test]
    fn an_acknowledged_value_at_two_offsets_is_a_duplicate() {
        let tale = Tale::new().send(0, Ok, &[(X, 1, 7)]).send(1, Info, &[(X, none(), 8)]).poll(
            2,
            Ok,
            &[(X, 2, 8), (X, 3, 7)],
        );
        assert_eq!(tale.found(check), ["duplicate 0: value 7 stands at the offsets [1, 3]"]);
    }

    #[test]
    fn whichever_values_conflict_all_duplicates_are_found() {
        let tale = (0..10).fold(Tale::new(), |tale, value| {
            tale.send(0, Ok, &[(X, 0, value)]).poll(1, Ok, &[(X, 1, value)])
        });
        assert_eq!(tale.found(check).len(), 10);
    }

    #[test]
    fn aborted_polls_show_duplicates_but_failed_sends_do_not() {
        let tale = Tale::new().send(0, Ok, &[(X, 1, 0)]).send(0, Fail, &[(X, 2, 1)]).poll(
            1,
            Fail,
            &[(X, 11, 0), (X, 12, 1)],
        );
        assert_eq!(tale.found(check), ["duplicate 0: value 0 stands at the offsets [1, 11]"]);
    }

    #[test]
    fn a_send_that_nobody_knows_the_end_of_may_stand_twice() {
        let tale =
            Tale::new().send(0, Info, &[(X, none(), 7)]).poll(1, Ok, &[(X, 0, 7), (X, 1, 7)]);
        assert_eq!(
            tale.found(check),
            ["duplicate-after-info 0: value 7 stands at the offsets [0, 1]"]
        );
    }

    #[test]
    fn an_idempotent_send_may_not_even_then() {
        let stamp = ProducerStamp { id: 1, epoch: 0, seq: 0 };
        let tale = Tale::new()
            .begin(0, send(&[(X, none(), 7)]))
            .end_with(0, Info, send(&[(X, none(), 7)]), |detail| detail.producer = Some(stamp))
            .poll(1, Ok, &[(X, 0, 7), (X, 1, 7)]);
        assert_eq!(tale.found(check), ["duplicate 0: value 7 stands at the offsets [0, 1]"]);
    }

    #[test]
    fn reading_one_offset_twice_is_no_duplicate() {
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 7)]).poll(1, Ok, &[(X, 0, 7)]);
        assert!(tale.found(check).is_empty());
    }
}
