//! Where a segment's entries are: its end, and a sparse index of it.

use super::header::HEADER_BYTES;
use crate::Index;

/// A row every so many bytes of the file.
const ROW_BYTES: u64 = 32 << 10;

/// One row of the sparse index: a frame and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) index: Index,
    pub(super) at: u64,
}

/// The whole frames of a segment. `rows` ascend; the first frame always has one; every row's `at` is
/// below `end`, every row's `index` below `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    rows: Vec<Row>,
    /// The index after the last entry.
    pub(super) next: Index,
    /// The byte after the last frame.
    pub(super) end: u64,
}

impl Extent {
    pub(super) fn empty(first: Index) -> Self {
        Self { rows: Vec::new(), next: first, end: HEADER_BYTES }
    }

    /// Takes in the next frame.
    pub(super) fn push(&mut self, frame_bytes: u64) {
        if self.rows.last().is_none_or(|row| self.end - row.at >= ROW_BYTES) {
            self.rows.push(Row { index: self.next, at: self.end });
        }
        self.end += frame_bytes;
        self.next = self.next.next();
    }

    /// The last row at or before an entry of the segment.
    pub(super) fn row(&self, index: Index) -> Option<Row> {
        if index >= self.next {
            return None;
        }
        let after = self.rows.partition_point(|row| row.index <= index);
        self.rows.get(after.checked_sub(1)?).copied()
    }

    /// Forgets the entry at `next` and all that follow; it begins at `end`.
    pub(super) fn cut(&mut self, next: Index, end: u64) {
        self.rows.retain(|row| row.index < next);
        (self.next, self.end) = (next, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_row_about_every_32_kib() {
        let mut extent = Extent::empty(Index::new(100));
        for _ in 0..100 {
            extent.push(1000);
        }
        assert_eq!(extent.rows.len(), 4);
        assert_eq!(extent.row(Index::new(100)), extent.rows.first().copied());
        let row = extent.row(Index::new(170)).unwrap();
        assert_eq!((row.index.get(), row.at), (166, HEADER_BYTES + 66_000));
        assert_eq!(extent.row(Index::new(200)), None);
        assert_eq!(extent.row(Index::new(99)), None);
    }

    #[test]
    fn a_cut_forgets_the_rows_after_it() {
        let mut extent = Extent::empty(Index::ZERO);
        for _ in 0..100 {
            extent.push(1000);
        }
        extent.cut(Index::new(33), HEADER_BYTES + 33_000);
        assert_eq!(extent.rows.len(), 1);
        assert_eq!(extent.row(Index::new(33)), None);
        extent.push(8);
        assert_eq!((extent.next.get(), extent.end), (34, HEADER_BYTES + 33_008));
    }
}
