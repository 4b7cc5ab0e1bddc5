//! `lost-write`: a value that must have committed was never read, although something at or after its place was.
//!
//! The bound is the highest rank that was certainly read: of every read value its first place counts. All
//! values whose last place is at or below the bound must have been read. So duplicates and conflicting
//! offsets give no false alarm, and a suffix that nobody reads is not lost, but `unseen`. What was trimmed is not
//! lost either.

use super::anomaly::{Found, Name, Proof};
use crate::history::Key;
use crate::index::{Index, Log};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (key, log) in index.logs() {
        if let Some((bound, read)) = bound(log) {
            lost_below(index, key, log, (bound, read), &mut found);
        }
    }
    found
}

/// The first place and the last place of a value, if it is a duplicate; else both are `offset`.
fn places(log: &Log, value: u64, offset: u64) -> (u64, u64) {
    let duplicate = log.duplicate(value).map(|duplicate| duplicate.offsets.as_slice());
    let first = duplicate.and_then(<[u64]>::first).copied().unwrap_or(offset);
    (first, duplicate.and_then(<[u64]>::last).copied().unwrap_or(offset))
}

/// The offset up to which everything must have been read, and the value read there.
fn bound(log: &Log) -> Option<(u64, u64)> {
    let mut bound = None;
    for slot in log.slots() {
        let several;
        let values: &[u64] = if log.is_suspect(slot.offset, slot.offset) {
            several = log.values(slot.offset);
            &several
        } else {
            &[slot.value]
        };
        for value in values {
            if log.note(*value).is_some_and(|note| note.read_ok) {
                let (first, _) = places(log, *value, slot.offset);
                bound = bound.max(Some((first, *value)));
            }
        }
    }
    bound
}

fn lost_below(index: &Index, key: Key, log: &Log, read: (u64, u64), found: &mut Found) {
    let (bound, bound_value) = read;
    let start = index.trimmed_below(key);
    let must_be = |offset: u64, value: u64| !index.may_be_gone(key, (offset, value), start);
    for slot in log.slots().filter(|slot| slot.offset <= bound) {
        let values = if log.is_suspect(slot.offset, slot.offset) {
            log.values(slot.offset)
        } else if log.seen(slot.offset, slot.value).is_some() {
            continue;
        } else {
            vec![slot.value]
        };
        for value in values {
            let (_, last) = places(log, value, slot.offset);
            let note = log.note(value).copied().unwrap_or_default();
            let writer = note.writer.filter(|writer| index.must_have_committed(index.op(*writer)));
            let is_missed = !note.read_ok && last == slot.offset && must_be(last, value);
            if let (true, Some(writer)) = (is_missed, writer) {
                let proof = Proof { ops: &[writer], events: &[log.seen(bound, bound_value)] };
                found.add(index, Name::LostWrite, Some(key), &proof, || {
                    format!("value {value} at offset {last} was never read, offset {bound} was")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, Y, none};

    #[test]
    fn what_stands_below_a_read_must_have_been_read() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 0, 10)])
            .send(0, Ok, &[(X, 1, 11), (X, 3, 13)])
            .send(1, Info, &[(X, none(), 12)])
            .poll(0, Ok, &[(X, 2, 12)]);
        assert_eq!(
            tale.found(check),
            [
                "lost-write 0: value 10 at offset 0 was never read, offset 2 was",
                "lost-write 0: value 11 at offset 1 was never read, offset 2 was",
            ]
        );
    }

    #[test]
    fn an_overwritten_value_is_lost_too() {
        let tale = Tale::new()
            .send(0, Ok, &[(X, 0, 10)])
            .send(0, Ok, &[(X, 0, 11), (X, 2, 12)])
            .poll(0, Ok, &[(X, 0, 11), (X, 2, 12)]);
        assert_eq!(
            tale.found(check),
            ["lost-write 0: value 10 at offset 0 was never read, offset 2 was"]
        );
    }

    #[test]
    fn an_info_send_is_lost_only_if_it_must_have_committed() {
        let unproved = Tale::new()
            .send(0, Info, &[(X, none(), 10), (Y, 0, 11)])
            .send(1, Info, &[(Y, none(), 12)])
            .poll(3, Ok, &[(Y, 1, 12)]);
        assert!(unproved.clone().found(check).is_empty());
        let proved = unproved.poll(2, Ok, &[(X, 0, 10)]);
        assert_eq!(
            proved.found(check),
            ["lost-write 1: value 11 at offset 0 was never read, offset 1 was"]
        );
    }

    #[test]
    fn an_unread_suffix_is_not_lost() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 10), (X, 1, 11)]).poll(1, Ok, &[(X, 0, 10)]);
        assert!(tale.found(check).is_empty());
    }
}
