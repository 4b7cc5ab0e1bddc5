//! `refused-inside` (L10): only offsets below the log start or above the high watermark are out of range. A log
//! start may grow at any time, so an offset counts as inside if the log never began above it.

use super::anomaly::{Found, Name, Proof};
use super::stale_fetch::ends;
use crate::index::Index;

/// Looks for them.
pub(super) fn check(index: &Index) -> Found {
    let mut found = Found::default();
    if index.out_of_range.is_empty() {
        return found;
    }
    let ends = ends(index);
    for (id, key, offset) in &index.out_of_range {
        let op = index.op(*id);
        let known = ends.before(key, op.invoked).filter(|(next, _)| *offset < *next);
        let above_start = *offset >= index.trimmed_below(*key);
        if let (Some((next, by)), true, false) = (known, above_start, op.local) {
            let ops = [by, *id];
            found.add(index, Name::RefusedInside, Some(*key), &Proof::ops(&ops), || {
                format!("offset {offset} was refused when {} was known", next - 1)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::Kind::{Fail, Info, Ok};
    use crate::history::Operation;
    use crate::model::tale::{Tale, X, poll};

    fn refused(tale: Tale, offset: u64) -> Tale {
        tale.begin(1, poll(&[])).end_with(1, Fail, poll(&[]), |detail| {
            detail.out_of_range.insert(X, offset);
        })
    }

    #[test]
    fn an_offset_inside_may_not_be_refused() {
        let tale = Tale::new().send(0, Ok, &[(X, 4, 1)]);
        assert_eq!(
            refused(tale.clone(), 3).found(check),
            ["refused-inside 0: offset 3 was refused when 4 was known"]
        );
        assert!(refused(tale, 5).found(check).is_empty());
    }

    #[test]
    fn one_that_may_have_been_trimmed_may() {
        let tale =
            Tale::new().send(0, Ok, &[(X, 4, 1)]).op(0, Info, Operation::Trim([(X, 4)].into()));
        assert!(refused(tale, 3).found(check).is_empty());
    }
}
