//! `trimmed-too-far`: where only trims take records away ([`Kept::UntilTrimmed`](crate::history::Kept)), a log starts
//! no further on than somebody had asked to trim it to. Without it a retention that takes too much would
//! excuse every loss: what lies below the log start counts as trimmed.

use super::anomaly::{Found, Name, Proof};
use super::floors::Floors;
use crate::history::{Kept, Key};
use crate::index::{Index, MarkKind, MetadataBody};

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    if index.header.kept == Kept::Limited {
        return found;
    }
    let mut asked = Floors::<Key>::new();
    for act in &index.metadata {
        // Whatever came of it: also what failed for its caller may have been done.
        if let MetadataBody::Trimmed { key, offset } = &act.body {
            asked.tell(*key, index.op(act.op).invoked, *offset, act.op);
        }
    }
    let asked = asked.settle();
    for mark in index.marks.iter().filter(|mark| mark.kind == MarkKind::LogStart) {
        let Some(told) = index.op(mark.op).completed else { continue };
        let furthest = asked.before(&mark.key, told).map_or(0, |(offset, _)| offset);
        if mark.offset > furthest {
            found.add(index, Name::TrimmedTooFar, Some(mark.key), &Proof::ops(&[mark.op]), || {
                format!("the log starts at {}; it was to be trimmed to {furthest}", mark.offset)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Ok};
    use crate::history::{Kept, Operation};
    use crate::model::tale::{Tale, X};

    fn keeping_all() -> Tale {
        let mut tale = Tale::new();
        tale.header.kept = Kept::UntilTrimmed;
        tale
    }

    #[test]
    fn nothing_goes_that_nobody_trimmed() {
        assert_eq!(
            keeping_all().starts_at(4).found(check),
            ["trimmed-too-far 0: the log starts at 4; it was to be trimmed to 0"]
        );
        assert!(keeping_all().starts_at(0).found(check).is_empty());
    }

    #[test]
    fn nor_more_than_somebody_asked_for_whatever_came_of_it() {
        for kind in [Ok, Fail] {
            let tale = keeping_all().op(0, kind, Operation::Trim([(X, 9)].into()));
            assert!(tale.clone().starts_at(9).found(check).is_empty());
            assert_eq!(tale.starts_at(10).found(check).len(), 1);
        }
    }

    #[test]
    fn where_retention_is_at_work_nobody_knows() {
        assert!(Tale::new().starts_at(4).found(check).is_empty());
    }
}
