//! Compaction: of each key the last record is kept. What is compacted is decided once, by the partition's
//! leader, and replicated; every replica then works on its own files.
//!
//! ```text
//!   Cleaning ── what the topic asks for ──┐
//!   the log's segments ───────────────────┼─ due ─▶ Compact ──(command in the partition's log)──▶ Compactions
//!   Compactions ── what was decided ──────┘                                                          │ goal
//!                                      pass ── on each replica: its sealed segments up to the goal ◀──┘
//! ```
//!
//! A pass towards a goal removes a record below `upto` if a later one below `upto` has its key, and a
//! tombstone (a key without a value) below `tombstones_below` whatever its key. So what is left depends
//! on the log and the goal alone, not on when, how often or in how many steps a replica worked: all come
//! to hold the same records. Records without a key are kept; a compacted topic takes no new ones.
//!
//! | sealed segments up to the high watermark | tombstones of earlier compactions | decision |
//! |---|---|---|
//! | at least `min.cleanable.dirty.ratio` of their bytes came after the last goal | any | a goal up to their end |
//! | fewer did | some were kept for `delete.retention.ms` | the last goal's end, without those |
//! | fewer did | none were | nothing |
//!
//! Offsets never change: a batch keeps its span, one without records is a header. The last segment is never
//! compacted (`segment.ms` and `segment.bytes` end it).

mod keys;
mod pass;

pub use keys::{KEYS_MAX, LatestKeys};
pub use pass::{Pass, Swept};

use crate::retention::Extent;
use raft::Offset;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Compactions whose tombstones wait: one more takes the place of the latest, so that none waits for ever.
const WAITING_MAX: usize = 16;

/// What a topic asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cleaning {
    /// The part of a log's bytes that is new before it is worth the work.
    pub dirty_ratio_min: f64,
    /// How long a tombstone is kept at least after a compaction has seen it.
    pub tombstones_kept: Duration,
}

/// How far a log is to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Goal {
    /// Below it each key has one record.
    pub upto: Offset,
    /// Below it there are no tombstones; at most `upto`.
    pub tombstones_below: Offset,
}

/// A decision of the leader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact {
    /// What is to be reached.
    pub goal: Goal,
    /// When it was decided, ms since the Unix epoch, by the leader's clock.
    pub at_ms: i64,
}

/// What was decided so far: a partition's replicated state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compactions {
    goal: Goal,
    /// Up to where compactions went, and when, of those whose tombstones are still kept; ascending.
    waiting: Vec<(Offset, i64)>,
}

impl Compactions {
    /// What replicas are to reach.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// Takes in a decision. A goal never goes back, whatever a former leader decided late.
    pub fn apply(&mut self, compact: Compact) {
        let Goal { upto, tombstones_below } = compact.goal;
        let grows = upto > self.goal.upto;
        self.goal.upto = self.goal.upto.max(upto);
        self.goal.tombstones_below = self.goal.tombstones_below.max(tombstones_below.min(upto));
        let below = self.goal.tombstones_below;
        self.waiting.retain(|(upto, _)| *upto > below);
        if grows && upto > below {
            self.waiting.truncate(WAITING_MAX - 1);
            self.waiting.push((upto, compact.at_ms));
        }
    }

    /// Below where tombstones were kept long enough.
    fn expired(&self, kept: Duration, now_ms: i64) -> Offset {
        let is_over =
            |at: i64| now_ms.checked_sub(at).is_some_and(|age| i128::from(age) >= ms(kept));
        let over = self.waiting.iter().filter(|(_, at)| is_over(*at)).map(|(upto, _)| *upto);
        over.max().unwrap_or_default().max(self.goal.tombstones_below)
    }
}

impl Cleaning {
    /// What is to be decided of a log now, if anything.
    pub fn due(&self, log: Extent<'_>, decided: &Compactions, now_ms: i64) -> Option<Compact> {
        let done = decided.goal();
        let sealed = log.sealed.iter().filter(|end| {
            let next = end.marker.next_offset;
            log.log_start < next && next <= log.high_watermark
        });
        let (mut total, mut dirty, mut limit) = (0_u64, 0_u64, done.upto);
        for end in sealed {
            total = total.saturating_add(end.bytes);
            if end.marker.next_offset > done.upto {
                dirty = dirty.saturating_add(end.bytes);
                limit = end.marker.next_offset;
            }
        }
        let is_dirty = limit > done.upto && kib(dirty) >= self.dirty_ratio_min * kib(total);
        let upto = if is_dirty { limit } else { done.upto };
        let tombstones_below = decided.expired(self.tombstones_kept, now_ms).min(upto);
        let goal = Goal { upto, tombstones_below };
        (goal != done).then_some(Compact { goal, at_ms: now_ms })
    }
}

/// Bytes as a number that can be multiplied with a ratio; exact up to 4 TiB.
fn kib(bytes: u64) -> f64 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).into()
}

fn ms(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Index, Marker, Position, SealedEnd, Term};

    const NOW: i64 = 1_000_000;
    const CLEANING: Cleaning =
        Cleaning { dirty_ratio_min: 0.5, tombstones_kept: Duration::from_secs(100) };

    fn goal(upto: u64, tombstones_below: u64) -> Goal {
        Goal { upto: Offset::new(upto), tombstones_below: Offset::new(tombstones_below) }
    }

    /// Decisions (upto, tombstones below, at), in order.
    fn decided(decisions: &[(u64, u64, i64)]) -> Compactions {
        let mut compactions = Compactions::default();
        for (upto, tombstones_below, at_ms) in decisions {
            let goal = goal(*upto, *tombstones_below);
            compactions.apply(Compact { goal, at_ms: *at_ms });
        }
        compactions
    }

    /// The decision on sealed segments (next offset, KiB), of a log that is committed up to `high`.
    fn due(
        cleaning: Cleaning,
        sealed: &[(u64, u64)],
        (log_start, high): (u64, u64),
        decided: &Compactions,
    ) -> Option<Goal> {
        let sealed: Vec<SealedEnd> = sealed
            .iter()
            .map(|(next, kib)| SealedEnd {
                marker: Marker {
                    position: Position::new(Term::new(1), Index::new(*next)),
                    next_offset: Offset::new(*next),
                },
                max_timestamp: 0,
                bytes: kib << 10,
            })
            .collect();
        let log = Extent {
            sealed: &sealed,
            active: None,
            log_start: Offset::new(log_start),
            high_watermark: Offset::new(high),
        };
        let due = cleaning.due(log, decided, NOW)?;
        assert_eq!(due.at_ms, NOW);
        Some(due.goal)
    }

    #[test]
    fn a_log_without_sealed_segments_is_left_alone() {
        assert_eq!(due(CLEANING, &[], (0, 10), &decided(&[])), None);
    }

    #[test]
    fn what_was_never_compacted_is_dirty() {
        assert_eq!(due(CLEANING, &[(10, 64)], (0, 15), &decided(&[])), Some(goal(10, 0)));
        let always = Cleaning { dirty_ratio_min: 0.0, ..CLEANING };
        assert_eq!(due(always, &[(10, 64)], (0, 15), &decided(&[])), Some(goal(10, 0)));
    }

    #[test]
    fn it_is_worth_the_work_once_enough_is_new() {
        let before = decided(&[(20, 0, NOW)]);
        let sealed = [(10, 60), (20, 60), (30, 60), (40, 60)];
        assert_eq!(due(CLEANING, &sealed[..3], (0, 50), &before), None, "a third is new");
        assert_eq!(due(CLEANING, &sealed, (0, 50), &before), Some(goal(40, 0)), "half is");
        let rarely = Cleaning { dirty_ratio_min: 0.6, ..CLEANING };
        assert_eq!(due(rarely, &sealed, (0, 50), &before), None);
        let always = Cleaning { dirty_ratio_min: 0.0, ..CLEANING };
        assert_eq!(due(always, &sealed[..3], (0, 50), &before), Some(goal(30, 0)));
        assert_eq!(due(always, &sealed[..2], (0, 50), &before), None, "nothing is new");
    }

    #[test]
    fn nothing_beyond_the_high_watermark_is_compacted() {
        let sealed = [(10, 60), (20, 60)];
        assert_eq!(due(CLEANING, &sealed, (0, 19), &decided(&[])), Some(goal(10, 0)));
        assert_eq!(due(CLEANING, &sealed, (0, 9), &decided(&[])), None);
    }

    #[test]
    fn what_lies_below_the_log_start_counts_no_more() {
        let before = decided(&[(20, 0, NOW)]);
        let sealed = [(10, 600), (20, 60), (30, 60)];
        assert_eq!(due(CLEANING, &sealed, (0, 30), &before), None);
        assert_eq!(due(CLEANING, &sealed, (10, 30), &before), Some(goal(30, 0)));
    }

    #[test]
    fn tombstones_go_once_they_were_kept_long_enough() {
        let sealed = [(10, 60), (20, 60)];
        let kept = 100_000;
        let young = decided(&[(10, 0, NOW - kept - 1), (20, 0, NOW - kept + 1)]);
        assert_eq!(due(CLEANING, &sealed, (0, 20), &young), Some(goal(20, 10)));
        let old = decided(&[(10, 0, NOW - kept - 1), (20, 0, NOW - kept)]);
        assert_eq!(due(CLEANING, &sealed, (0, 20), &old), Some(goal(20, 20)));
        let gone = decided(&[(10, 0, 0), (20, 0, 0), (20, 20, 1)]);
        assert_eq!(due(CLEANING, &sealed, (0, 20), &gone), None, "once");
        let for_ever = Cleaning { tombstones_kept: Duration::MAX, ..CLEANING };
        assert_eq!(due(for_ever, &sealed, (0, 20), &old), None);
    }

    #[test]
    fn a_goal_never_goes_back() {
        let late = decided(&[(40, 20, 5), (30, 10, 4), (30, 30, 4)]);
        assert_eq!(late.goal(), goal(40, 30));
        assert_eq!(decided(&[(10, 99, 0)]).goal(), goal(10, 10), "nor are later tombstones taken");
    }

    #[test]
    fn compactions_whose_tombstones_wait_are_bounded_and_none_waits_for_ever() {
        let often: Vec<(u64, u64, i64)> =
            (1..=1000).map(|number| (number * 10, 0, i64::try_from(number).unwrap())).collect();
        let compactions = decided(&often);
        assert_eq!(compactions.waiting.len(), WAITING_MAX);
        assert_eq!(compactions.waiting.first(), Some(&(Offset::new(10), 1)));
        assert_eq!(compactions.waiting.last(), Some(&(Offset::new(10_000), 1000)));
        let hour = Duration::from_hours(1);
        assert_eq!(compactions.expired(hour, 3_600_001), Offset::new(10));
        assert_eq!(compactions.expired(hour, 3_601_000), Offset::new(10_000));
    }
}
