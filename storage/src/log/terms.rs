//! Which entries were written in which term: the last index of each.

use crate::{Index, Position, Term};
use serde::{Deserialize, Serialize};

/// The last index of each term, ascending in both. (Kafka's leader-epoch cache; openraft's key log
/// ids.)
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Terms(Vec<(Term, Index)>);

impl Terms {
    /// Adds an entry after all others.
    pub(crate) fn push(&mut self, entry: Position) {
        match self.0.last_mut() {
            Some((term, last)) if *term == entry.term => *last = entry.index,
            _ => self.0.push((entry.term, entry.index)),
        }
    }

    /// Adds the entries of a later stretch of the log.
    pub(crate) fn extend(&mut self, later: &Self) {
        for (term, last) in &later.0 {
            self.push(Position::new(*term, *last));
        }
    }

    /// Forgets entries from `next` on; the one before it is in this stretch.
    pub(crate) fn truncate(&mut self, next: Index) {
        let Some(last) = next.previous() else {
            self.0.clear();
            return;
        };
        let kept = self.0.partition_point(|(_, end)| *end <= last);
        let covers_last = kept == 0 || self.0.get(kept - 1).is_some_and(|(_, end)| *end < last);
        if let Some(cut) = self.0.get_mut(kept).filter(|_| covers_last) {
            cut.1 = last;
            self.0.truncate(kept + 1);
        } else {
            self.0.truncate(kept);
        }
    }

    /// Forgets entries below `first`.
    pub(crate) fn purge(&mut self, first: Index) {
        self.0.retain(|(_, last)| *last >= first);
    }

    /// The last entry that is surely among those that were committed when `committed` was: one of the same term,
    /// at or before it. A term has one leader and that has one log, so whoever has an entry of it has all
    /// before. An entry of an older term may be a tail that nobody else has.
    ///
    /// | the log has of the term of `committed` | |
    /// |---|---|
    /// | an entry there or beyond | `committed` |
    /// | entries before it only | the last of them |
    /// | none | unknown |
    pub(crate) fn surely_committed(&self, committed: Position) -> Option<Position> {
        let (term, last) = self.0.iter().find(|(term, _)| *term == committed.term)?;
        Some(Position::new(*term, committed.index.min(*last)))
    }

    /// The last index of each term.
    pub(crate) fn as_slice(&self) -> &[(Term, Index)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(entries: &[(u64, u64)]) -> Terms {
        let mut terms = Terms::default();
        for (term, index) in entries {
            terms.push(Position::new(Term::new(*term), Index::new(*index)));
        }
        terms
    }

    #[test]
    fn only_entries_of_the_term_that_committed_are_surely_committed() {
        let log = terms(&[(1, 0), (1, 1), (3, 2), (3, 3)]);
        let surely = |term, index| {
            let found = log.surely_committed(Position::new(Term::new(term), Index::new(index)));
            found.map(|found| (found.term.get(), found.index.get()))
        };
        assert_eq!(surely(3, 2), Some((3, 2)));
        assert_eq!(surely(3, 9), Some((3, 3)));
        assert_eq!(surely(4, 3), None);
        assert_eq!(surely(4, 9), None);
    }

    #[test]
    fn each_term_ends_at_its_last_entry() {
        assert_eq!(terms(&[(1, 0), (1, 1), (3, 2), (3, 3)]), terms(&[(1, 1), (3, 3)]));
    }

    #[test]
    fn a_truncation_moves_the_end_of_the_term_it_cuts() {
        for (next, left) in [
            (0, &[][..]),
            (1, &[(1, 0)]),
            (2, &[(1, 1)]),
            (3, &[(1, 1), (3, 2)]),
            (5, &[(1, 1), (3, 4)]),
            (9, &[(1, 1), (3, 4)]),
        ] {
            let mut cut = terms(&[(1, 1), (3, 4)]);
            cut.truncate(Index::new(next));
            if next == 9 {
                assert_eq!(cut, terms(&[(1, 1), (3, 4)]));
            } else {
                assert_eq!(cut, terms(left), "truncated before {next}");
            }
        }
    }

    #[test]
    fn a_purge_forgets_terms_that_ended_before() {
        let mut kept = terms(&[(1, 1), (3, 4)]);
        kept.purge(Index::new(2));
        assert_eq!(kept, terms(&[(3, 4)]));
    }
}
