//! How soon after a fault the partition that it hit acknowledged again.
//!
//! A strike that aims at a leader names the partition that it led. Its failover lasts from the moment of the
//! strike to the first acknowledgement of something that was sent after it: what clients waited, with
//! detection, election, and the way to the new leader in it. A partition that nobody wrote to until the end has
//! none.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::availability::{acks, spans};
use super::chart::seconds;
use crate::history::Key;
use crate::index::Index;

/// How soon a partition acknowledged again what was sent after a fault had hit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The fault.
    pub fault: String,
    /// The partition.
    pub key: Key,
    /// When the fault came.
    pub at: u64,
    /// How long it took.
    pub nanos: u64,
}

/// All failovers, in the order of the faults.
pub fn failovers(index: &Index) -> Vec<Failover> {
    let acks = acks(index);
    let mut failovers = Vec::new();
    for span in spans(index) {
        for key in span.keys {
            let after = acks.get(key).map(Vec::as_slice).unwrap_or_default();
            let first =
                after.iter().filter(|(sent, _)| *sent >= span.from).map(|(_, acked)| *acked).min();
            if let Some(acked) = first {
                failovers.push(Failover {
                    fault: span.name.to_owned(),
                    key: *key,
                    at: span.from,
                    nanos: acked - span.from,
                });
            }
        }
    }
    failovers
}

/// How long failovers took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waits {
    /// How many there were.
    pub count: usize,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// Of a hundred, ninety-nine took no longer.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
}

impl Waits {
    fn of(mut nanos: Vec<u64>) -> Waits {
        nanos.sort_unstable();
        Waits {
            count: nanos.len(),
            p50_ms: percentile(&nanos, 50),
            p99_ms: percentile(&nanos, 99),
            max_ms: percentile(&nanos, 100),
        }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waits { count, p50_ms, p99_ms, max_ms } = self;
        write!(
            f,
            "{count}, median {p50_ms:.0} ms, 99 % within {p99_ms:.0} ms, at most {max_ms:.0} ms"
        )
    }
}

/// How long the failovers of a run took, all together and apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Failovers {
    /// All of them.
    pub all: Waits,
    /// Those of each fault.
    pub by_fault: BTreeMap<String, Waits>,
}

impl Failovers {
    /// Those of a history.
    pub fn of(index: &Index) -> Failovers {
        let failovers = failovers(index);
        let mut by_fault: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for failover in &failovers {
            by_fault.entry(failover.fault.clone()).or_default().push(failover.nanos);
        }
        Failovers {
            all: Waits::of(failovers.iter().map(|failover| failover.nanos).collect()),
            by_fault: by_fault.into_iter().map(|(name, nanos)| (name, Waits::of(nanos))).collect(),
        }
    }
}

/// The time that a share of all, in hundredths, did not exceed, in milliseconds.
fn percentile(sorted: &[u64], hundredths: usize) -> f64 {
    let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().map_or(0.0, seconds) * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::availability::tests::tale;

    #[test]
    fn a_failover_lasts_from_the_fault_to_the_first_new_acknowledgement() {
        let failovers = failovers(&tale().index());
        assert_eq!(failovers.len(), 1);
        assert_eq!(failovers[0].nanos, 302_000_000);
    }

    #[test]
    fn failovers_are_told_apart_by_their_fault() {
        let failovers = Failovers::of(&tale().index());
        let waits = Waits { count: 1, p50_ms: 302.0, p99_ms: 302.0, max_ms: 302.0 };
        assert_eq!(failovers.all, waits);
        assert_eq!(failovers.by_fault, [("kill-leader".to_owned(), waits)].into());
    }

    #[test]
    fn of_a_hundred_waits_the_ninety_ninth_is_what_99_percent_do_not_exceed() {
        let waits = Waits::of((1..=100).rev().map(|millis| millis * 1_000_000).collect());
        assert_eq!(waits, Waits { count: 100, p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Waits::of(Vec::new()), Waits::default());
    }
}
