//! How far a group has come, in record offsets: a chain that checks itself.

use storage::{Index, Offset, Position, Term};

/// `log_start <= high_watermark <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The first offset consumers can read.
    pub log_start: Offset,
    /// The offset after the last committed and applied record; consumers read below it.
    pub high_watermark: Offset,
    /// The last applied entry.
    pub applied: Option<Index>,
    /// The term of the last applied entry.
    pub term: Term,
}

impl Watermark {
    /// After `applied`, with records `log_start..high_watermark` to read.
    ///
    /// # Panics
    /// If the log would start beyond its end: a reader would miss records or see uncommitted ones.
    pub fn new(log_start: Offset, high_watermark: Offset, applied: Option<Position>) -> Self {
        assert!(
            log_start <= high_watermark,
            "log start {log_start} lies beyond high watermark {high_watermark}"
        );
        Self {
            log_start,
            high_watermark,
            applied: applied.map(|applied| applied.index),
            term: applied.map_or(Term::ZERO, |applied| applied.term),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "log start 3 lies beyond high watermark 2")]
    fn a_log_start_beyond_the_high_watermark_panics() {
        Watermark::new(Offset::new(3), Offset::new(2), None);
    }

    #[test]
    fn an_empty_log_may_start_anywhere() {
        let empty = Watermark::new(Offset::new(7), Offset::new(7), None);
        assert_eq!((empty.applied, empty.term), (None, Term::ZERO));
    }
}
