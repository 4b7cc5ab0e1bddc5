//! What is counted while it happens: records, bytes, and how long each request (or record) took.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Latencies are kept in µs up to this, with three digits: about 200 KiB.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// Counted by all producers, or all consumers, and taken by whoever reports.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Interval>);

/// What was counted since it was taken last.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
    /// Requests that were certainly not done, and sent again.
    pub(super) refused: u64,
    /// What producers waited for the comparison, all together.
    pub(super) held_back: Duration,
    latency_us: Histogram<u64>,
}

/// A distribution, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Recorder {
    /// A request was answered after this time, with so many records and bytes.
    pub(super) fn request(&self, latency: Duration, records: u64, bytes: u64) {
        self.with(|interval| {
            interval.requests += 1;
            interval.records += records;
            interval.bytes += bytes;
            interval.latency_us.saturating_record(micros(latency));
        });
    }

    /// A page of records came, each of which took its own time.
    pub(super) fn page(&self, bytes: u64, latencies: impl IntoIterator<Item = Duration>) {
        self.with(|interval| {
            interval.requests += 1;
            interval.bytes += bytes;
            for latency in latencies {
                interval.records += 1;
                interval.latency_us.saturating_record(micros(latency));
            }
        });
    }

    /// A request is to be sent again.
    pub(super) fn refusal(&self) {
        self.with(|interval| interval.refused += 1);
    }

    /// A producer waits for the comparison.
    pub(super) fn held_back(&self, time: Duration) {
        self.with(|interval| interval.held_back += time);
    }

    /// What was counted since the last time.
    pub(super) fn take(&self) -> Interval {
        self.with(std::mem::take)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Interval) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Interval {
    /// Both together.
    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.refused += other.refused;
        self.held_back += other.held_back;
        self.latency_us.add(&other.latency_us).expect("both have the same bounds");
    }

    /// The distribution; `None` of nothing.
    pub(super) fn latency(&self) -> Option<Latency> {
        let us = &self.latency_us;
        if us.is_empty() {
            return None;
        }
        let at = |part| ms(us.value_at_quantile(part));
        Some(Latency {
            mean: us.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(us.max()),
        })
    }

    /// Which part of all took how many ms at most: points of a plot, denser towards the end.
    pub(super) fn percentiles(&self) -> Vec<(f64, f64)> {
        let quantiles = self.latency_us.iter_quantiles(5);
        quantiles
            .map(|at| (at.quantile_iterated_to() * 100.0, ms(at.value_iterated_to())))
            .collect()
    }
}

impl Default for Interval {
    fn default() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
        let latency_us = latency_us.expect("these bounds are fixed and valid");
        let held_back = Duration::ZERO;
        Self { records: 0, bytes: 0, requests: 0, refused: 0, held_back, latency_us }
    }
}

impl Latency {
    /// `p50 1.2  p99 3.4  p99.9 5.6 ms`, for people.
    pub(super) fn shown(&self) -> String {
        let Self { p50, p99, p999, .. } = self;
        format!("p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2} ms")
    }
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX)
}

fn ms(us: u64) -> f64 {
    crate::cli::size::rounded(us) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_counted_once() {
        let recorder = Recorder::default();
        recorder.request(Duration::from_millis(2), 10, 1000);
        recorder.page(500, [Duration::from_millis(4), Duration::from_hours(2)]);
        let mut all = recorder.take();
        assert_eq!((all.requests, all.records, all.bytes), (2, 12, 1500));
        assert_eq!(recorder.take().records, 0);
        recorder.refusal();
        all.add(&recorder.take());
        assert_eq!((all.records, all.refused), (12, 1));
        let latency = all.latency().unwrap();
        assert!((3.9..4.1).contains(&latency.p50), "{latency:?}");
        assert!(latency.max >= 3.5e6, "what is too long is the longest: {latency:?}");
        assert_eq!(recorder.take().latency(), None);
    }
}
