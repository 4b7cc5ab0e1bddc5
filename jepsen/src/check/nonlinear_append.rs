//! `nonlinear-append` (L1): if one send was over before another began, its record stands before the other's.
//!
//! An acknowledged send takes effect between its two ends. One that ended `info`, and whose value was read, does
//! so between its beginning and the end of the first read: later than its own end, if need be.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{Index, Op, OpId, SentAt};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut floors = Floors::<Key>::new();
    let mut appends = Vec::new();
    for (id, op) in index.numbered() {
        for sent in index.sends(op) {
            if let Some((offset, over)) = append(index, op, sent) {
                floors.tell(sent.key, over, offset, id);
                appends.push((id, sent, offset));
            }
        }
    }
    let floors = floors.settle();
    for (id, sent, offset) in appends {
        let before = floors.before(&sent.key, index.op(id).invoked);
        if let Some((floor, earlier)) = before.filter(|(floor, _)| *floor >= offset) {
            let ops: [OpId; 2] = [earlier, id];
            found.add(index, Name::NonlinearAppend, Some(sent.key), &Proof::ops(&ops), || {
                let value = sent.value;
                format!("value {value} went to offset {offset} when {floor} was already given")
            });
        }
    }
    found
}

/// Where a send went, and the event by which it certainly was there.
fn append(index: &Index, op: &Op, sent: &SentAt) -> Option<(u64, u32)> {
    let log = index.log(sent.key)?;
    let at = || log.note(sent.value)?.at.filter(|_| log.duplicate(sent.value).is_none());
    match op.outcome {
        Outcome::Ok => Some((sent.offset.or_else(at)?, op.completed?)),
        Outcome::Info => {
            let at = at()?;
            Some((at, log.seen(at, sent.value)?))
        }
        Outcome::Fail => None,
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::model::tale::{Tale, X, none, send};

    #[test]
    fn an_offset_below_one_that_was_given_before_is_none() {
        let tale = Tale::new().send(0, Ok, &[(X, 5, 1)]).send(1, Ok, &[(X, 3, 2)]);
        assert_eq!(
            tale.found(check),
            ["nonlinear-append 0: value 2 went to offset 3 when 5 was already given"]
        );
    }

    #[test]
    fn sends_at_one_time_may_stand_in_any_order() {
        let tale = Tale::new()
            .begin(0, send(&[(X, none(), 1)]))
            .begin(1, send(&[(X, none(), 2)]))
            .end(0, Ok, send(&[(X, 5, 1)]))
            .end(1, Ok, send(&[(X, 3, 2)]));
        assert!(tale.found(check).is_empty());
    }

    #[test]
    fn one_of_unknown_outcome_may_come_late_but_not_after_it_was_read() {
        let late = Tale::new().send(0, Info, &[(X, none(), 1)]).send(1, Ok, &[(X, 3, 2)]);
        assert!(late.clone().poll(2, Ok, &[(X, 4, 1)]).found(check).is_empty());
        let read = Tale::new().send(0, Info, &[(X, none(), 1)]).poll(2, Ok, &[(X, 4, 1)]).send(
            1,
            Ok,
            &[(X, 3, 2)],
        );
        assert_eq!(read.found(check).len(), 1);
    }

    #[test]
    fn a_spurious_zero_offset_is_caught() {
        let tale = Tale::new().send(0, Ok, &[(X, 5, 1)]).send(1, Ok, &[(X, 0, 2)]);
        assert_eq!(tale.found(check).len(), 1);
    }
}
