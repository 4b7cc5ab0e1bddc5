//! When a log begins its next segment.

use serde::{Deserialize, Serialize};

/// When the segment that takes entries is ended, per log: what is smaller holds. Both are functions of the
/// log alone, so that replicas that have it from its beginning have the same segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roll {
    /// When the next entry would take it beyond so many bytes; `None`: the store's.
    pub bytes: Option<u64>,
    /// When the next batch is newer than the first of the segment by more than so many milliseconds, by
    /// their largest timestamps; `None`: never.
    pub ms: Option<u64>,
}
