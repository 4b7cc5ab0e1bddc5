//! How long to wait before the next dial.

use std::time::Duration;

/// A connection that lived this long was a good one: what failed before it is forgotten.
pub(super) const GOOD_AFTER: Duration = Duration::from_secs(1);

/// Capped exponential back-off. The first dial waits for nothing, the n-th for between half and all
/// of `2 × min × 2^(n-2)`, at most `max`, so that many nodes do not dial one in step.
#[derive(Debug)]
pub(super) struct Backoff {
    dials: u32,
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// No dial yet; `min` and `max` bound the waits.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { dials: 0, min, max }
    }

    /// Counts a dial and tells the wait before it; `jitter` lies in `0..1`.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let doublings = self.dials;
        self.dials = self.dials.saturating_add(1);
        match doublings {
            0 => Duration::ZERO,
            n => {
                let longest = self.min.saturating_mul(1 << n.min(16)).min(self.max);
                longest / 2 + (longest / 2).mul_f64(jitter)
            }
        }
    }

    /// The next dial waits for nothing.
    pub(super) fn reset(&mut self) {
        self.dials = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(1))
    }

    #[test]
    fn waits_double_up_to_a_second() {
        let mut backoff = backoff();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn jitter_takes_off_at_most_half() {
        let mut backoff = backoff();
        let waits: Vec<u128> = (0..6).map(|_| backoff.next(0.0).as_millis()).collect();
        assert_eq!(waits, [0, 50, 100, 200, 400, 500]);
    }

    #[test]
    fn after_a_reset_the_dial_is_immediate() {
        let mut backoff = backoff();
        backoff.next(0.5);
        backoff.next(0.5);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::ZERO);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff { dials: u32::MAX - 1, ..backoff() };
        backoff.next(1.0);
        assert_eq!(backoff.next(1.0), Duration::from_secs(1));
    }
}
