//! `unstable-read` (L4): every record that any read ever showed, whatever its outcome, is in the final log at
//! that offset, with the same bytes, unless the log begins above it.

use super::anomaly::{Found, Name, Proof};
use crate::history::Key;
use crate::index::{Copy, Index, Log};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (key, log) in index.logs() {
        if let Some(last) = index.final_copy(key) {
            unstable(index, key, log, last, &mut found);
        }
    }
    for (op, key, offset) in &index.clashes {
        found.add(index, Name::UnstableRead, Some(*key), &Proof::ops(&[*op]), || {
            format!("the bytes at offset {offset} are not those that others saw")
        });
    }
    found
}

fn unstable(index: &Index, key: Key, log: &Log, last: &Copy, found: &mut Found) {
    let shown = log.slots().filter(|slot| slot.polled).map(|slot| (slot.offset, slot.value));
    for (offset, value) in shown.chain(log.odd_reads()) {
        let kept = last.value_at(log, offset);
        let may_be_gone = index.may_be_gone(key, (offset, value), last.log_start);
        if kept == Some(value) || (may_be_gone && (kept.is_none() || offset < last.log_start)) {
            continue;
        }
        let proof = Proof { ops: &[], events: &[log.seen(offset, value), Some(last.event)] };
        found.add(index, Name::UnstableRead, Some(key), &proof, || match kept {
            Some(kept) => format!("offset {offset} was read as {value}; the final log has {kept}"),
            None => format!("offset {offset} was read as {value}; the final log has nothing there"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::Operation;
    use crate::model::tale::{Tale, X, final_read, poll};

    #[test]
    fn a_record_that_was_read_and_is_gone_was_never_committed() {
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 1), (X, 1, 2)]);
        let tale = tale.op(9, Ok, Operation::FinalRead(final_read("n1", X, &[(0, 1)])));
        assert_eq!(
            tale.found(check),
            ["unstable-read 0: offset 1 was read as 2; the final log has nothing there"]
        );
    }

    #[test]
    fn so_was_one_that_another_has_replaced_even_if_only_an_info_poll_saw_it() {
        let tale = Tale::new().poll(0, Info, &[(X, 0, 1)]);
        let tale = tale.op(9, Ok, Operation::FinalRead(final_read("n1", X, &[(0, 7)])));
        assert_eq!(
            tale.found(check),
            ["unstable-read 0: offset 0 was read as 1; the final log has 7"]
        );
    }

    #[test]
    fn what_was_trimmed_may_be_gone() {
        let mut last = final_read("n1", X, &[(1, 2)]);
        last.log_start = 1;
        let tale = Tale::new().poll(0, Ok, &[(X, 0, 1), (X, 1, 2)]);
        assert!(tale.op(9, Ok, Operation::FinalRead(last)).found(check).is_empty());
    }

    #[test]
    fn other_bytes_are_another_record() {
        let with_crc = |crc: u32| {
            let mut operation = poll(&[(X, 0, 1)]);
            if let Operation::Poll(micros) = &mut operation
                && let Some(crate::history::Micro::Poll(Some(polled))) = micros.first_mut()
            {
                polled.get_mut(&X).unwrap()[0].crc = Some(crc);
            }
            operation
        };
        let tale = Tale::new().op(0, Ok, with_crc(5)).op(1, Ok, with_crc(5));
        assert!(tale.found(check).is_empty());
        let tale = tale.op(1, Ok, with_crc(6));
        assert_eq!(
            tale.found(check),
            ["unstable-read 0: the bytes at offset 0 are not those that others saw"]
        );
    }
}
