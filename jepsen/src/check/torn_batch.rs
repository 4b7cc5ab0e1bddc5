//! `torn-batch` (L8): the records of a batch stand at consecutive offsets, all of them or none, and no read is
//! told a high watermark inside it.

use std::collections::BTreeMap;

use super::anomaly::{Found, Name, Proof};
use crate::history::{Key, Outcome};
use crate::index::{Index, MarkKind, OpId, SentAt};

/// The records of one batch: those with a place, and how many there are.
struct Batch {
    op: OpId,
    key: Key,
    places: Vec<(u64, u64)>,
    records: usize,
}

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut whole: BTreeMap<Key, Vec<(u64, u64, OpId)>> = BTreeMap::new();
    for batch in batches(index) {
        if let Some(what) = torn(index, &batch) {
            found.add(index, Name::TornBatch, Some(batch.key), &Proof::ops(&[batch.op]), || what);
        } else if let (Some((base, _)), Some((last, _))) =
            (batch.places.first(), batch.places.last())
        {
            whole.entry(batch.key).or_default().push((*base, *last, batch.op));
        }
    }
    for batches in whole.values_mut() {
        batches.sort_unstable();
    }
    for mark in index.marks.iter().filter(|mark| mark.kind == MarkKind::HighWatermark) {
        let batches = whole.get(&mark.key).map(Vec::as_slice).unwrap_or_default();
        let after = batches.partition_point(|(base, _, _)| *base < mark.offset);
        let inside = after.checked_sub(1).and_then(|place| batches.get(place));
        if let Some((base, last, op)) = inside.filter(|(_, last, _)| *last >= mark.offset) {
            let ops = [*op, mark.op];
            found.add(index, Name::TornBatch, Some(mark.key), &Proof::ops(&ops), || {
                let told = mark.offset;
                format!(
                    "the high watermark was told to be {told}, inside the batch {base}..={last}"
                )
            });
        }
    }
    found
}

fn batches(index: &Index) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (id, _) in index.send_notes().iter().filter(|(_, note)| note.batch) {
        let op = index.op(*id);
        let mut by_key: BTreeMap<Key, Batch> = BTreeMap::new();
        for sent in index.sends(op) {
            let batch = by_key.entry(sent.key).or_insert(Batch {
                op: *id,
                key: sent.key,
                places: Vec::new(),
                records: 0,
            });
            batch.records += 1;
            let told = sent.offset.filter(|_| op.outcome == Outcome::Ok);
            batch.places.extend(told.or_else(|| place(index, sent)).map(|at| (at, sent.value)));
        }
        // A batch that stands twice is a duplicate, and its places are no places.
        batches.extend(by_key.into_values().filter(|batch| !is_duplicate(index, batch)));
    }
    batches
}

fn place(index: &Index, sent: &SentAt) -> Option<u64> {
    index.log(sent.key)?.note(sent.value)?.at
}

fn is_duplicate(index: &Index, batch: &Batch) -> bool {
    let log = index.log(batch.key);
    let mut values = batch.places.iter().map(|(_, value)| *value);
    log.is_some_and(|log| values.any(|value| log.duplicate(value).is_some()))
}

/// What is torn about a batch, in words.
fn torn(index: &Index, batch: &Batch) -> Option<String> {
    let offsets: Vec<u64> = batch.places.iter().map(|(at, _)| *at).collect();
    let neighbours =
        |pair: &[u64]| matches!(pair, [one, next] if next.checked_sub(1) == Some(*one));
    if batch.places.len() == batch.records && !offsets.windows(2).all(neighbours) {
        return Some(format!("a batch stands at the offsets {offsets:?}"));
    }
    let last = index.final_copy(batch.key)?;
    let log = index.log(batch.key)?;
    if offsets.iter().any(|at| *at < last.log_start) {
        return None;
    }
    let kept = batch.places.iter().filter(|(at, value)| last.value_at(log, *at) == Some(*value));
    let (kept, records) = (kept.count(), batch.records);
    let gone = batch.places.iter().filter(|(at, value)| {
        last.value_at(log, *at).is_none() && index.is_superseded(batch.key, *at, *value)
    });
    (kept > 0 && kept + gone.count() < records)
        .then(|| format!("of a batch of {records} records the final log has {kept}"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Info, Ok};
    use crate::history::Operation;
    use crate::model::tale::{Row, Tale, X, final_read, none, poll, send};

    fn batch(tale: Tale, kind: crate::history::Kind, rows: &[Row]) -> Tale {
        tale.begin(0, send(rows)).end_with(0, kind, send(rows), |detail| detail.batch = true)
    }

    #[test]
    fn a_batch_may_not_be_interleaved() {
        let tale = batch(Tale::new(), Ok, &[(X, 0, 1), (X, 2, 2)]);
        assert_eq!(tale.found(check), ["torn-batch 0: a batch stands at the offsets [0, 2]"]);
    }

    #[test]
    fn half_a_batch_may_not_remain() {
        let tale = batch(Tale::new(), Info, &[(X, none(), 1), (X, none(), 2)]);
        let half = tale.clone().op(9, Ok, Operation::FinalRead(final_read("n1", X, &[(0, 1)])));
        assert_eq!(
            half.found(check),
            ["torn-batch 0: of a batch of 2 records the final log has 1"]
        );
        let none = tale.clone().op(9, Ok, Operation::FinalRead(final_read("n1", X, &[])));
        assert!(none.found(check).is_empty());
        let all = tale.op(9, Ok, Operation::FinalRead(final_read("n1", X, &[(0, 1), (1, 2)])));
        assert!(all.found(check).is_empty());
    }

    #[test]
    fn a_high_watermark_may_not_stand_inside() {
        let told = |tale: Tale, high_watermark| {
            tale.op_with(1, poll(&[]), |detail| {
                detail.high_watermarks.insert(X, high_watermark);
            })
        };
        let tale = batch(Tale::new(), Ok, &[(X, 4, 1), (X, 5, 2), (X, 6, 3)]);
        assert!(told(told(tale.clone(), 4), 7).found(check).is_empty());
        assert_eq!(
            told(tale, 6).found(check),
            ["torn-batch 0: the high watermark was told to be 6, inside the batch 4..=6"]
        );
    }
}
