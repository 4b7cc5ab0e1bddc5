//! `idempotence-broken` (L7): per key, producer, epoch and sequence number there is exactly one offset, however
//! often the client tried; a retry is told the offset of the original.

use std::collections::BTreeMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Kind, Outcome, ProducerStamp};
use crate::index::{Index, OpId, SendNote};

/// One record's place among all that its producer sent to a key, and an offset that was told or seen for it.
struct Told {
    key: Key,
    id: u64,
    epoch: u32,
    seq: u64,
    offset: u64,
    op: OpId,
}

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut told = Vec::new();
    for (id, note) in index.send_notes() {
        if let Some(stamp) = note.stamp {
            offsets(index, *id, note, stamp, &mut told);
        }
    }
    let number = |told: &Told| (told.key, told.id, told.epoch, told.seq);
    told.sort_unstable_by_key(|told| (number(told), told.offset, told.op));
    for same in told.chunk_by(|one, other| number(one) == number(other)) {
        let (Some(first), Some(last)) = (same.first(), same.last()) else { continue };
        if first.offset == last.offset {
            continue;
        }
        let mut offsets: Vec<u64> = same.iter().map(|told| told.offset).collect();
        offsets.dedup();
        let ops = [first.op, last.op];
        found.add(index, Name::IdempotenceBroken, Some(first.key), &Proof::ops(&ops), || {
            let Told { id, epoch, seq, .. } = first;
            format!("sequence {seq} of producer {id} in epoch {epoch} has the offsets {offsets:?}")
        });
    }
    found
}

fn offsets(index: &Index, id: OpId, note: &SendNote, stamp: ProducerStamp, told: &mut Vec<Told>) {
    let op = index.op(id);
    let mut nth: BTreeMap<Key, u64> = BTreeMap::new();
    for sent in index.sends(op) {
        let place = nth.entry(sent.key).or_default();
        let seq = stamp.seq + *place;
        let mut tell = |offset: u64| {
            told.push(Told {
                key: sent.key,
                id: stamp.id,
                epoch: stamp.epoch,
                seq,
                offset,
                op: id,
            });
        };
        sent.offset.filter(|_| op.outcome == Outcome::Ok).into_iter().for_each(&mut tell);
        for attempt in note.attempts.iter().filter(|attempt| attempt.kind == Kind::Ok) {
            attempt.bases.get(&sent.key).into_iter().for_each(|base| tell(base + *place));
        }
        if let Some(log) = index.log(sent.key) {
            let one = log.note(sent.value).and_then(|note| note.at).map(|at| vec![at]);
            let several = log.duplicate(sent.value).map(|duplicate| duplicate.offsets.clone());
            several.or(one).unwrap_or_default().into_iter().for_each(&mut tell);
        }
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::{Attempt, ProducerStamp};
    use crate::model::tale::{Row, Tale, X, none, send};

    fn stamped(tale: Tale, process: u32, seq: u64, rows: &[Row], attempts: &[u64]) -> Tale {
        tale.op_with(process, send(rows), |detail| {
            detail.producer = Some(ProducerStamp { id: 4, epoch: 1, seq });
            detail.attempts = attempts
                .iter()
                .map(|base| Attempt { node: "n1".into(), kind: Ok, bases: [(X, *base)].into() })
                .collect();
        })
    }

    #[test]
    fn a_retry_that_is_appended_again_breaks_it() {
        let tale = stamped(Tale::new(), 0, 7, &[(X, 3, 1)], &[]);
        let tale = stamped(tale, 1, 7, &[(X, 5, 1)], &[]);
        assert_eq!(
            tale.found(check),
            ["idempotence-broken 0: sequence 7 of producer 4 in epoch 1 has the offsets [3, 5]"]
        );
    }

    #[test]
    fn so_does_an_attempt_that_is_told_another_offset() {
        let tale = stamped(Tale::new(), 0, 7, &[(X, 3, 1)], &[3, 4]);
        assert_eq!(tale.found(check).len(), 1);
    }

    #[test]
    fn so_does_an_unknown_send_that_is_seen_twice() {
        let tale = Tale::new().begin(0, send(&[(X, none(), 1)]));
        let tale = tale.end_with(0, Info, send(&[(X, none(), 1)]), |detail| {
            detail.producer = Some(ProducerStamp { id: 4, epoch: 1, seq: 7 });
        });
        assert_eq!(tale.poll(1, Ok, &[(X, 0, 1), (X, 1, 1)]).found(check).len(), 1);
    }

    #[test]
    fn a_retry_that_is_told_the_original_is_well() {
        let tale = stamped(Tale::new(), 0, 7, &[(X, 3, 1), (X, 4, 2)], &[3, 3]);
        let tale = stamped(tale, 0, 9, &[(X, 5, 3)], &[]);
        assert!(tale.poll(1, Ok, &[(X, 3, 1), (X, 4, 2), (X, 5, 3)]).found(check).is_empty());
    }
}
