//! How far a group has come, in record offsets: a chain that checks itself.

use storage::{Index, Offset, Term};

/// `log_start <= high_watermark <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The first offset consumers can read.
    pub log_start: Offset,
    /// The offset after the last committed and applied record; consumers read below it.
    pub high_watermark: Offset,
    /// The last applied entry.
    pub applied: Option<Index>,
    /// The term in which this was seen.
    pub term: Term,
}
