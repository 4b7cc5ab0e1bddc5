//! How long to wait before the next dial.

use std::time::Duration;

/// The shortest wait after a failed dial.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest: a node that returns silently is found within a second.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Capped exponential back-off. The first dial waits for nothing, the n-th for between half and all
/// of `100 ms × 2^(n-2)`, at most a second, so that a thousand nodes do not dial in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    dials: u32,
}

impl Backoff {
    /// A connection that lived this long was a good one: forget what failed before it.
    pub(super) const GOOD_AFTER: Duration = WAIT_MAX;

    /// Counts a dial and tells the wait before it; `jitter` lies in `0..1`.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let doublings = self.dials;
        self.dials = self.dials.saturating_add(1);
        match doublings {
            0 => Duration::ZERO,
            n => {
                let longest = WAIT_MIN.saturating_mul(1 << n.min(16)).min(WAIT_MAX);
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

    #[test]
    fn waits_double_up_to_a_second() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn jitter_takes_off_at_most_half() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..6).map(|_| backoff.next(0.0).as_millis()).collect();
        assert_eq!(waits, [0, 50, 100, 200, 400, 500]);
    }

    #[test]
    fn after_a_reset_the_dial_is_immediate() {
        let mut backoff = Backoff::default();
        backoff.next(0.5);
        backoff.next(0.5);
        backoff.reset();
        assert_eq!(backoff.next(0.5), Duration::ZERO);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff { dials: u32::MAX - 1 };
        backoff.next(1.0);
        assert_eq!(backoff.next(1.0), WAIT_MAX);
    }
}
