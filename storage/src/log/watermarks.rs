//! How far a log is written, durable and flushed.
//!
//! ```text
//!   durable <= written <= next        (each is the index after the last such entry)
//!   flushed <= written
//! ```
//!
//! A truncation acts in memory at once and on disk later, in the order of the queue. Between the two
//! the commit thread still reports progress of entries that are gone: a pending cut caps it.

use crate::Index;
use std::collections::VecDeque;

/// The chain of watermarks of one log; all exclusive.
#[derive(Debug, Clone)]
pub(crate) struct Watermarks {
    durable: Index,
    written: Index,
    flushed: Index,
    /// Truncation points that the disk has not seen yet, in order.
    cuts: VecDeque<Index>,
}

impl Watermarks {
    /// Everything below `next` is on disk.
    pub(crate) fn at(next: Index) -> Self {
        Self { durable: next, written: next, flushed: next, cuts: VecDeque::new() }
    }

    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    pub(crate) fn written(&self) -> Index {
        self.written
    }

    pub(crate) fn flushed(&self) -> Index {
        self.flushed
    }

    /// Entries below `next` are in the engine.
    pub(crate) fn write(&mut self, next: Index) {
        self.written = self.written.max(self.capped(next));
    }

    /// Entries below `next` survive a power cut.
    pub(crate) fn sync(&mut self, next: Index) {
        self.durable = self.durable.max(next.min(self.written));
    }

    /// Entries below `next` are reported as flushed.
    pub(crate) fn flush(&mut self, next: Index) {
        self.flushed = self.flushed.max(next.min(self.written));
    }

    /// Entries from `next` on are gone; the disk will learn it later.
    pub(crate) fn truncate(&mut self, next: Index) {
        self.durable = self.durable.min(next);
        self.written = self.written.min(next);
        self.flushed = self.flushed.min(next);
        self.cuts.push_back(next);
    }

    /// The disk has seen the oldest pending truncation.
    pub(crate) fn cut(&mut self) {
        self.cuts.pop_front();
    }

    /// The log is empty and begins at `next`. (A purge inside the log moves nothing: that an entry
    /// was purged does not make it durable, and what is durable is claimed in the frames that follow.)
    pub(crate) fn restart(&mut self, next: Index) {
        self.durable = self.durable.max(next);
        self.written = self.written.max(next);
        self.flushed = self.flushed.max(next);
    }

    fn capped(&self, next: Index) -> Index {
        self.cuts.iter().copied().fold(next, Index::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(value: u64) -> Index {
        Index::new(value)
    }

    #[test]
    fn a_write_of_truncated_entries_does_not_count() {
        let mut marks = Watermarks::at(index(10));
        marks.truncate(index(12));
        marks.write(index(20));
        assert_eq!(marks.written(), index(12), "12..20 were truncated before they were written");
        marks.cut();
        marks.write(index(15));
        assert_eq!(marks.written(), index(15), "and this is the new 12..15");
    }

    #[test]
    fn of_two_pending_cuts_the_lower_caps() {
        let mut marks = Watermarks::at(index(10));
        marks.truncate(index(9));
        marks.truncate(index(5));
        marks.cut();
        marks.write(index(11));
        assert_eq!(marks.written(), index(5));
    }

    #[test]
    fn a_completion_after_a_cut_does_not_pass_what_is_written() {
        let mut marks = Watermarks::at(index(10));
        marks.write(index(20));
        marks.truncate(index(12));
        marks.cut();
        marks.sync(index(20));
        marks.flush(index(20));
        assert_eq!((marks.durable(), marks.flushed()), (index(12), index(12)));
    }
}
