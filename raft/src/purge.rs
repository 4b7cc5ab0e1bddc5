//! Up to where a replica may forget its log: a pure decision.

use crate::Watermark;
use std::collections::BTreeSet;
use storage::{Index, Marker, Offset, SealedEnd};

/// The largest sealed end that may be purged.
///
/// | the group has | purged up to |
/// |---|---|
/// | records | the last checkpointed end with every record below the log start: only a trim moves it |
/// | commands only | the last checkpointed end before the last sealed segment |
///
/// Commands live on in the machine's checkpoint; the last sealed segment is kept so that a follower
/// that was away for a moment catches up by log.
pub(crate) fn purge_point(
    ends: &[SealedEnd],
    checkpoints: &BTreeSet<Index>,
    watermark: Watermark,
) -> Option<Marker> {
    let commands_only = watermark.high_watermark == Offset::ZERO;
    let candidates = match ends.split_last() {
        Some((_, earlier)) if commands_only => earlier,
        _ => ends,
    };
    candidates
        .iter()
        .map(|end| end.marker)
        .filter(|marker| checkpoints.contains(&marker.position.index))
        .filter(|marker| Some(marker.position.index) <= watermark.applied)
        .rfind(|marker| commands_only || marker.next_offset <= watermark.log_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Position, Term};

    /// Sealed ends at (index, next offset).
    fn ends(of: &[(u64, u64)]) -> Vec<SealedEnd> {
        of.iter()
            .map(|(index, next)| SealedEnd {
                marker: Marker {
                    position: Position::new(Term::new(1), Index::new(*index)),
                    next_offset: Offset::new(*next),
                },
                max_timestamp: -1,
                bytes: 100,
            })
            .collect()
    }

    fn checkpoints(of: &[u64]) -> BTreeSet<Index> {
        of.iter().copied().map(Index::new).collect()
    }

    fn watermark(log_start: u64, high: u64) -> Watermark {
        let applied = Position::new(Term::new(1), Index::new(100));
        Watermark::new(Offset::new(log_start), Offset::new(high), Some(applied))
    }

    fn index(marker: Option<Marker>) -> Option<u64> {
        marker.map(|marker| marker.position.index.get())
    }

    #[test]
    fn records_are_purged_up_to_the_last_end_below_the_log_start() {
        let ends = ends(&[(9, 10), (19, 20), (29, 30)]);
        let all = checkpoints(&[9, 19, 29]);
        assert_eq!(index(purge_point(&ends, &all, watermark(9, 40))), None);
        assert_eq!(index(purge_point(&ends, &all, watermark(20, 40))), Some(19));
        assert_eq!(index(purge_point(&ends, &all, watermark(29, 40))), Some(19));
        assert_eq!(index(purge_point(&ends, &all, watermark(40, 40))), Some(29));
    }

    #[test]
    fn an_end_without_a_checkpoint_is_passed_over() {
        let ends = ends(&[(9, 10), (19, 20)]);
        assert_eq!(index(purge_point(&ends, &checkpoints(&[9]), watermark(40, 40))), Some(9));
    }

    #[test]
    fn commands_are_purged_without_a_trim_and_the_last_segment_is_kept() {
        let ends = ends(&[(9, 0), (19, 0), (29, 0)]);
        let all = checkpoints(&[9, 19, 29]);
        assert_eq!(index(purge_point(&ends, &all, watermark(0, 0))), Some(19));
        assert_eq!(index(purge_point(&ends[..1], &all, watermark(0, 0))), None);
    }

    #[test]
    fn what_is_not_applied_is_not_purged() {
        let ends = ends(&[(99, 0), (101, 0), (102, 0)]);
        let all = checkpoints(&[99, 101, 102]);
        assert_eq!(index(purge_point(&ends, &all, watermark(0, 0))), Some(99));
    }
}
