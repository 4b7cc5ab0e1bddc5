//! A table for people: aligned columns, no frame, so that `awk` reads it too.

use comfy_table::{CellAlignment, presets};

/// A table that grows row by row.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// With a title for each column.
    pub(super) fn new<const N: usize>(titles: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.force_no_tty();
        table.set_header(titles);
        Self(table)
    }

    /// With columns of numbers, which stand to the right.
    #[must_use]
    pub(super) fn numbers<const N: usize>(mut self, columns: [usize; N]) -> Self {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells);
    }

    /// The lines, without blanks at their ends.
    pub(super) fn lines(&self) -> String {
        // Each cell is padded by one blank; the first column needs none.
        let lines = self.0.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned());
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(["TOPIC", "PARTITIONS"]).numbers([1]);
        table.row(["commits".to_owned(), "6".to_owned()]);
        assert_eq!(table.lines(), "TOPIC    PARTITIONS\ncommits           6");
    }
}
