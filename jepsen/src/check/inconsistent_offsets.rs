//! `inconsistent-offsets`: one offset of one key shows two or more values, in two sends, a send and a poll, or
//! two polls. Sends count only if they must have committed; polls always.

use super::anomaly::{Found, Name, Proof};
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (key, log) in index.logs() {
        for (offset, values) in log.conflicts() {
            let writers: Vec<_> =
                values.iter().filter_map(|value| log.note(*value)?.writer).collect();
            let readers: Vec<_> = values.iter().map(|value| log.seen(offset, *value)).collect();
            let proof = Proof { ops: &writers, events: &readers };
            found.add(index, Name::InconsistentOffsets, Some(key), &proof, || {
                format!("offset {offset} shows the values {values:?}")
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, Y, none};

    #[test]
    fn two_acknowledged_sends_at_one_offset_are_inconsistent() {
        let tale = Tale::new().send(0, Ok, &[(X, 537, 641)]).send(1, Ok, &[(X, 537, 645)]);
        assert_eq!(
            tale.found(check),
            ["inconsistent-offsets 0: offset 537 shows the values [641, 645]"]
        );
    }

    #[test]
    fn an_info_send_that_nobody_read_proves_nothing() {
        let tale =
            Tale::new().send(0, Info, &[(X, 0, 1), (Y, none(), 1)]).send(1, Ok, &[(X, 0, 2)]);
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn an_info_send_counts_once_anything_it_sent_was_read() {
        let tale = Tale::new()
            .send(0, Info, &[(X, 0, 1), (Y, none(), 1)])
            .send(1, Ok, &[(X, 0, 2)])
            .poll(2, Ok, &[(Y, 5, 1)]);
        assert_eq!(tale.found(check), ["inconsistent-offsets 0: offset 0 shows the values [2, 1]"]);
    }

    #[test]
    fn an_info_poll_counts_as_well() {
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 1)]).poll(1, Info, &[(X, 0, 2)]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn gaps_are_consistent() {
        let tale =
            Tale::new().send(0, Ok, &[(X, 0, 1), (X, 7, 2)]).poll(1, Ok, &[(X, 0, 1), (X, 7, 2)]);
        assert!(tale.found(check).is_empty());
    }
}
