//! `missing-acked` (L6): the final log has every acknowledged record at the offset that was told, to the last
//! one; only what was trimmed may be gone. Stricter than `lost-write`, which sees nothing above the last read.

use super::anomaly::{Found, Name, Proof};
use crate::history::Outcome;
use crate::index::{Index, SentAt};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    for (id, op) in index.numbered().filter(|(_, op)| op.outcome == Outcome::Ok) {
        for sent in index.sends(op) {
            if let Some(what) = missing(index, sent) {
                let event = index.final_copy(sent.key).map(|last| last.event);
                let proof = Proof { ops: &[id], events: &[event] };
                found.add(index, Name::MissingAcked, Some(sent.key), &proof, || what);
            }
        }
    }
    found
}

/// What is missing, in words.
fn missing(index: &Index, sent: &SentAt) -> Option<String> {
    let last = index.final_copy(sent.key)?;
    let log = index.log(sent.key)?;
    let value = sent.value;
    let Some(offset) = sent.offset.or_else(|| log.note(value)?.at) else {
        // Nobody was told where it is, and nobody saw it: it may have been trimmed only if anything was.
        return (last.log_start == 0)
            .then(|| format!("value {value} was acknowledged and is nowhere"));
    };
    let kept = last.value_at(log, offset);
    let may_be_gone = index.may_be_gone(sent.key, (offset, value), last.log_start);
    if kept == Some(value) || (may_be_gone && (kept.is_none() || offset < last.log_start)) {
        return None;
    }
    Some(match kept {
        Some(kept) => format!("value {value} was acknowledged at offset {offset}, where {kept} is"),
        None => format!(
            "value {value} was acknowledged at offset {offset}; the final log is {}..{}",
            last.log_start,
            last.next()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Operation, Replica};
    use crate::model::tale::{Tale, X, final_read, none};

    fn ending(tale: Tale, last: Replica) -> Tale {
        tale.op(9, Ok, Operation::FinalRead(last))
    }

    #[test]
    fn a_lost_suffix_is_missing() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 1)]).send(0, Ok, &[(X, 1, 2)]);
        assert_eq!(
            ending(tale, final_read("n1", X, &[(0, 1)])).found(check),
            ["missing-acked 0: value 2 was acknowledged at offset 1; the final log is 0..1"]
        );
    }

    #[test]
    fn an_offset_that_was_given_twice_misses_one() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 1)]).send(0, Ok, &[(X, 0, 2)]);
        assert_eq!(
            ending(tale, final_read("n1", X, &[(0, 2)])).found(check),
            ["missing-acked 0: value 1 was acknowledged at offset 0, where 2 is"]
        );
    }

    #[test]
    fn an_acknowledged_record_without_offset_must_be_somewhere() {
        let tale = Tale::new().send(0, Ok, &[(X, none(), 1)]);
        assert!(ending(tale.clone(), final_read("n1", X, &[(7, 1)])).found(check).is_empty());
        assert_eq!(
            ending(tale, final_read("n1", X, &[])).found(check),
            ["missing-acked 0: value 1 was acknowledged and is nowhere"]
        );
    }

    #[test]
    fn what_was_trimmed_or_never_acknowledged_may_be_gone() {
        let tale = Tale::new().send(0, Ok, &[(X, 0, 1)]).send(1, Info, &[(X, 1, 2)]);
        let mut last = final_read("n1", X, &[]);
        last.log_start = 1;
        last.high_watermark = 1;
        assert!(ending(tale, last).found(check).is_empty());
    }
}
