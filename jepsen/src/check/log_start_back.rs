//! `log-start-back` (L10): a log start is never told lower than it was told, or trimmed to, before the question.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Key, Outcome};
use crate::index::{Index, MarkKind, MetadataBody};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    let mut floors = Floors::<Key>::new();
    let marks = || {
        index.marks.iter().filter(|mark| {
            let op = index.op(mark.op);
            mark.kind == MarkKind::LogStart && op.outcome == Outcome::Ok && !op.local
        })
    };
    for mark in marks() {
        if let Some(event) = index.op(mark.op).completed {
            floors.tell(mark.key, event, mark.offset, mark.op);
        }
    }
    for act in index.metadata.iter().filter(|act| index.op(act.op).outcome == Outcome::Ok) {
        if let (MetadataBody::Trimmed { key, offset }, Some(event)) =
            (&act.body, index.op(act.op).completed)
        {
            floors.tell(*key, event, *offset, act.op);
        }
    }
    let floors = floors.settle();
    for mark in marks() {
        let before = floors.before(&mark.key, index.op(mark.op).invoked);
        if let Some((floor, by)) = before.filter(|(floor, _)| *floor > mark.offset) {
            let ops = [by, mark.op];
            found.add(index, Name::LogStartBack, Some(mark.key), &Proof::ops(&ops), || {
                format!("the log start was {floor}, then {}", mark.offset)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::Ok;
    use crate::history::Operation;
    use crate::model::tale::{Tale, X};

    #[test]
    fn it_may_not_go_back() {
        assert_eq!(
            Tale::new().starts_at(4).starts_at(3).found(check),
            ["log-start-back 0: the log start was 4, then 3"]
        );
        assert!(Tale::new().starts_at(4).starts_at(4).found(check).is_empty());
    }

    #[test]
    fn nor_stay_below_an_acknowledged_trim() {
        let tale = Tale::new().op(0, Ok, Operation::Trim([(X, 9)].into()));
        assert_eq!(tale.clone().starts_at(3).found(check).len(), 1);
        assert!(tale.starts_at(9).found(check).is_empty());
    }
}
