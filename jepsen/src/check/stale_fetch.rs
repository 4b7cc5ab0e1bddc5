//! `stale-fetch` (L2): a linearizable read tells a high watermark above every offset that was acknowledged, or
//! shown to anyone, before it began.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{Index, MarkKind};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let floors = ends(index);
    for mark in index.marks.iter().filter(|mark| mark.kind == MarkKind::HighWatermark) {
        let op = index.op(mark.op);
        if op.local || op.outcome != Outcome::Ok {
            continue;
        }
        let before = floors.before(&mark.key, op.invoked);
        if let Some((next, by)) = before.filter(|(next, _)| *next > mark.offset) {
            let ops = [by, mark.op];
            found.add(index, Name::StaleFetch, Some(mark.key), &Proof::ops(&ops), || {
                let (told, known) = (mark.offset, next - 1);
                format!("the high watermark was told to be {told} when offset {known} was known")
            });
        }
    }
    found
}

/// One past every offset that was acknowledged or shown.
pub(super) fn ends(index: &Index) -> Floors<Key> {
    let mut floors = Floors::new();
    for (id, op) in index.numbered().filter(|(_, op)| op.outcome == Outcome::Ok) {
        let Some(event) = op.completed else { continue };
        for sent in index.sends(op) {
            if let Some(offset) = sent.offset {
                floors.tell(sent.key, event, offset.saturating_add(1), id);
            }
        }
        for reading in index.readings(op) {
            floors.tell(reading.key(), event, reading.last().saturating_add(1), id);
        }
    }
    floors.settle()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::Ok;
    use crate::history::ReadMode;
    use crate::model::tale::{Tale, X, poll};

    fn read(tale: Tale, high_watermark: u64, mode: ReadMode) -> Tale {
        tale.op_with(1, poll(&[]), |detail| {
            detail.mode = mode;
            detail.high_watermarks.insert(X, high_watermark);
        })
    }

    #[test]
    fn a_read_that_does_not_know_an_acknowledged_offset_is_stale() {
        let tale = read(Tale::new().send(0, Ok, &[(X, 4, 1)]), 4, ReadMode::Linearizable);
        assert_eq!(
            tale.found(check),
            ["stale-fetch 0: the high watermark was told to be 4 when offset 4 was known"]
        );
    }

    #[test]
    fn so_is_one_that_does_not_know_what_another_was_shown() {
        let tale = read(Tale::new().poll(0, Ok, &[(X, 4, 1)]), 3, ReadMode::Linearizable);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn a_fresh_one_and_a_local_one_are_well() {
        let tale = Tale::new().send(0, Ok, &[(X, 4, 1)]);
        assert!(read(tale.clone(), 5, ReadMode::Linearizable).found(check).is_empty());
        assert!(read(tale, 0, ReadMode::Local).found(check).is_empty());
    }

    #[test]
    fn what_was_acknowledged_while_it_ran_it_need_not_know() {
        let tale = Tale::new().begin(1, poll(&[])).send(0, Ok, &[(X, 4, 1)]);
        let tale = tale.end_with(1, Ok, poll(&[]), |detail| {
            detail.high_watermarks.insert(X, 0);
        });
        assert!(tale.found(check).is_empty());
    }
}
