//! What of a partition is kept: a pure decision, made by its leader and carried out as a replicated trim.
//!
//! Whole segments go, the oldest first, and nothing at or above the high watermark. From the log start
//! on, by the first row that fits, until one is kept:
//!
//! | segment | goes |
//! |---|---|
//! | ends at or below the log start, or is without records | it is passed over |
//! | ends above the high watermark | no |
//! | its newest record is older than `retention.ms` | yes |
//! | sealed, and without it `retention.bytes` are left | yes |
//! | any other | no |
//!
//! These are Kafka's rules (`UnifiedLog.deleteOldSegments`): `retention.bytes` is what is left at least,
//! and age takes the active segment too, so that an idle topic does not keep its last records for ever.
//! A trim of everything begins a segment (see [`storage::EntryKind::Trim`]), which frees the last one.
//! Only records without a timestamp never age.

use storage::{Offset, SealedEnd, planted};

/// The limits of a topic; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// How old records become, in milliseconds.
    pub ms: Option<u64>,
    /// How many bytes of each partition stay at least.
    pub bytes: Option<u64>,
}

/// A partition's log as its leader sees it.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// The ends of sealed segments, ascending.
    pub sealed: &'a [SealedEnd],
    /// The end of the active segment, if it has entries.
    pub active: Option<SealedEnd>,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// The offset after the last committed record.
    pub high_watermark: Offset,
}

impl Retention {
    /// Where the log should start, if that is beyond its start now.
    pub fn trim_to(&self, log: Extent<'_>, now_ms: i64) -> Option<Offset> {
        // What ends below the log start is on its way out already.
        let left = |end: &&SealedEnd| end.marker.next_offset > log.log_start;
        let sealed = log.sealed.iter().filter(left);
        let active = log.active.as_ref().filter(left);
        let mut bytes: u64 = sealed.clone().chain(active).map(|end| end.bytes).sum();
        let mut start = log.log_start;
        let segments = sealed.map(|end| (end, true)).chain(active.map(|end| (end, false)));
        for (end, is_sealed) in segments {
            let without = bytes.saturating_sub(end.bytes);
            let has_records = end.marker.next_offset > start;
            let is_over = self.is_expired(end, now_ms)
                || (is_sealed && self.is_enough(without))
                || (is_sealed && planted!(RetentionTooFar));
            if end.marker.next_offset > log.high_watermark || (has_records && !is_over) {
                break;
            }
            start = end.marker.next_offset;
            bytes = without;
        }
        (start > log.log_start).then_some(start)
    }

    fn is_expired(&self, end: &SealedEnd, now_ms: i64) -> bool {
        let age = now_ms.checked_sub(end.max_timestamp).and_then(|age| u64::try_from(age).ok());
        let (Some(limit), Some(age)) = (self.ms, age) else { return false };
        end.max_timestamp >= 0 && age > limit
    }

    fn is_enough(&self, bytes: u64) -> bool {
        self.bytes.is_some_and(|limit| bytes >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Index, Marker, Position, Term};

    const NOW: i64 = 10_000;
    const NONE: Retention = Retention { ms: None, bytes: None };

    /// A segment up to an offset, with its newest timestamp; each has 100 bytes.
    fn segment((next_offset, max_timestamp): (u64, i64)) -> SealedEnd {
        let position = Position::new(Term::new(1), Index::new(next_offset));
        let marker = Marker { position, next_offset: Offset::new(next_offset) };
        SealedEnd { marker, max_timestamp, bytes: 100 }
    }

    /// The decision on a log whose last segment is active; offsets from `start` to `high`.
    fn trim(
        retention: Retention,
        segments: &[(u64, i64)],
        (start, high): (u64, u64),
    ) -> Option<u64> {
        let mut sealed: Vec<SealedEnd> = segments.iter().copied().map(segment).collect();
        let active = sealed.pop();
        let (log_start, high_watermark) = (Offset::new(start), Offset::new(high));
        let log = Extent { sealed: &sealed, active, log_start, high_watermark };
        retention.trim_to(log, NOW).map(Offset::get)
    }

    fn aged(ms: u64) -> Retention {
        Retention { ms: Some(ms), ..NONE }
    }

    fn sized(bytes: u64) -> Retention {
        Retention { bytes: Some(bytes), ..NONE }
    }

    const FOUR: [(u64, i64); 4] = [(10, 1_000), (20, 2_000), (30, 3_000), (40, 4_000)];

    #[test]
    fn without_limits_everything_is_kept() {
        assert_eq!(trim(NONE, &FOUR, (0, 40)), None);
    }

    #[test]
    fn a_segment_goes_when_its_newest_record_is_too_old() {
        assert_eq!(trim(aged(9_000), &FOUR, (0, 40)), None, "exactly as old is not older");
        assert_eq!(trim(aged(8_999), &FOUR, (0, 40)), Some(10));
        assert_eq!(trim(aged(7_500), &FOUR, (0, 40)), Some(20));
    }

    #[test]
    fn age_takes_the_active_segment_too() {
        assert_eq!(trim(aged(5_000), &FOUR, (0, 40)), Some(40));
        assert_eq!(trim(aged(5_000), &FOUR[..1], (0, 10)), Some(10));
    }

    #[test]
    fn a_younger_segment_keeps_those_after_it() {
        let mixed = [(10, 1_000), (20, 9_999), (30, 1_000), (40, 1_000)];
        assert_eq!(trim(aged(5_000), &mixed, (0, 40)), Some(10));
    }

    #[test]
    fn a_timestamp_in_the_future_is_not_old() {
        assert_eq!(trim(aged(0), &[(10, NOW + 1), (20, i64::MAX)], (0, 20)), None);
    }

    #[test]
    fn a_segment_goes_while_enough_is_left_without_it() {
        assert_eq!(trim(sized(400), &FOUR, (0, 40)), None);
        assert_eq!(trim(sized(301), &FOUR, (0, 40)), None);
        assert_eq!(trim(sized(300), &FOUR, (0, 40)), Some(10));
        assert_eq!(trim(sized(150), &FOUR, (0, 40)), Some(20));
    }

    #[test]
    fn size_never_takes_the_active_segment() {
        assert_eq!(trim(sized(0), &FOUR, (0, 40)), Some(30));
    }

    #[test]
    fn nothing_beyond_the_high_watermark_goes() {
        assert_eq!(trim(aged(0), &FOUR, (0, 29)), Some(20));
        assert_eq!(trim(sized(0), &FOUR, (0, 9)), None);
        assert_eq!(trim(aged(0), &FOUR, (0, 39)), Some(30), "nor an active one that reaches it");
    }

    #[test]
    fn what_lies_below_the_log_start_counts_no_more() {
        assert_eq!(trim(sized(200), &FOUR, (20, 40)), None);
        assert_eq!(trim(sized(100), &FOUR, (20, 40)), Some(30));
        assert_eq!(trim(aged(0), &FOUR, (40, 40)), None);
        assert_eq!(trim(sized(200), &FOUR, (15, 40)), Some(20), "one trimmed in part counts whole");
    }

    #[test]
    fn a_segment_without_records_is_passed_over() {
        let blank = [(10, 1_000), (10, -1), (20, 1_000), (30, 9_999)];
        assert_eq!(trim(aged(5_000), &blank, (0, 30)), Some(20));
    }

    #[test]
    fn records_without_a_timestamp_never_age() {
        assert_eq!(trim(aged(0), &[(10, -1), (20, 1_000)], (0, 20)), None);
        assert_eq!(trim(sized(100), &[(10, -1), (20, 1_000)], (0, 20)), Some(10));
    }

    #[test]
    fn the_stricter_of_both_limits_holds() {
        let both = |ms, bytes| Retention { ms: Some(ms), bytes: Some(bytes) };
        assert_eq!(trim(both(7_500, 400), &FOUR, (0, 40)), Some(20));
        assert_eq!(trim(both(9_000, 200), &FOUR, (0, 40)), Some(20));
    }
}
