//! When what happens: the warm-up, the window that counts, and when each request is due.

use super::options::{Load, SpanArgs};
use crate::cli::size::rounded;
use std::time::Duration;
use tokio::time::Instant;

/// Of one run. `began <= from < until`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) began: Instant,
    /// The warm-up's end.
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// When the requests of one producer are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// Each once the one before it is answered.
    Closed,
    /// At fixed times, whatever the answers do: what is late because of others counts as late.
    Open {
        /// From the beginning to the first.
        first: Duration,
        /// From each to the next.
        every: Duration,
    },
}

impl Course {
    /// Beginning now.
    pub(super) fn begin(span: &SpanArgs) -> Self {
        let began = Instant::now();
        let from = began + span.warm_up;
        Self { began, from, until: from + span.duration }
    }

    /// Over already: for what has no time to keep.
    pub(super) fn now() -> Self {
        let now = Instant::now();
        Self { began: now, from: now, until: now }
    }

    /// How long is measured.
    pub(super) fn window(&self) -> Duration {
        self.until - self.from
    }

    /// µs from the beginning.
    pub(super) fn us(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Pace {
    /// Producers take turns, evenly over time.
    pub(super) fn new(load: &Load, producer: u32) -> Self {
        let Some(rate) = load.records_per_second else { return Self::Closed };
        let records = u64::try_from(load.records_per_request).unwrap_or(u64::MAX);
        let between = rounded(records) / rounded(rate);
        let every = Duration::from_secs_f64(between * f64::from(load.producers));
        Self::Open { first: Duration::from_secs_f64(between * f64::from(producer)), every }
    }

    /// From the beginning to when a request is due; `None`: once it can be sent.
    pub(super) fn due(self, request: u64) -> Option<Duration> {
        match self {
            Self::Closed => None,
            Self::Open { first, every } => {
                let nanos = every.as_nanos().saturating_mul(u128::from(request));
                let nanos = nanos.saturating_add(first.as_nanos());
                Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
            }
        }
    }

    /// How many requests are due within this time.
    pub(super) fn due_within(self, time: Duration) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open { first, every } => {
                let after = time.saturating_sub(first).as_nanos();
                u64::try_from(after.div_ceil(every.as_nanos().max(1))).unwrap_or(u64::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_requests_are_due_at_fixed_times() {
        let (first, every) = (Duration::from_millis(5), Duration::from_millis(20));
        let pace = Pace::Open { first, every };
        let due = |n| pace.due(n).unwrap().as_millis();
        assert_eq!((due(0), due(1), due(50)), (5, 25, 1005));
        assert_eq!(pace.due_within(Duration::from_millis(5)), 0);
        assert_eq!(pace.due_within(Duration::from_millis(6)), 1);
        assert_eq!(pace.due_within(Duration::from_secs(1)), 50);
        assert_eq!((Pace::Closed.due(7), Pace::Closed.due_within(first)), (None, 0));
    }
}
