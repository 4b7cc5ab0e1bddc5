//! What was acknowledged, and of what the outcome is not known: it is compared with what is there.
//!
//! However long a run is, this takes the same memory: one sum, one number for each producer, and at most
//! 100,000 requests without an outcome.

use super::record::{self, Tally};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::size::Count;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests without an outcome that are remembered; a run with more proves nothing.
const UNKNOWN_MAX: usize = 100_000;

/// Kept by all producers of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    acknowledged: Tally,
    /// Numbers of records, the first of a request to the one after its last.
    unknown: Arc<BTreeMap<u64, u64>>,
    /// By producer: the number after its last request that has an outcome, or never will.
    settled: Vec<u64>,
    /// Bytes of values that were compared already.
    compared_bytes: u64,
}

/// Records of which nobody knows whether they are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Unknown(Arc<BTreeMap<u64, u64>>);

/// What is known at one time, while requests are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct SoFar {
    unknown: Unknown,
    settled: Vec<u64>,
}

/// What was read, apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Consumed {
    /// What should be exactly what was acknowledged.
    pub(super) expected: Tally,
    /// What came though nobody knew that it would.
    pub(super) unknown: Tally,
}

/// What was acknowledged beside what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    pub(super) acknowledged: Tally,
    pub(super) consumed: Tally,
    /// Records of requests without an outcome: sent, and of these there.
    pub(super) unknown_sent: u64,
    pub(super) unknown_consumed: u64,
    /// Count and hash are the same.
    pub(super) equal: bool,
}

impl Ledger {
    /// These are there.
    pub(super) fn acknowledged(&self, tally: Tally, numbers: &Range<u64>) {
        let mut pages = self.pages();
        pages.acknowledged += tally;
        pages.settle(numbers);
    }

    /// These may be there.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn unknown(&self, numbers: &Range<u64>) -> Result<(), Failure> {
        let mut pages = self.pages();
        Arc::make_mut(&mut pages.unknown).insert(numbers.start, numbers.end);
        pages.settle(numbers);
        if pages.unknown.len() <= UNKNOWN_MAX {
            return Ok(());
        }
        let why = format!("more than {UNKNOWN_MAX} requests have an unknown outcome");
        Err(Failure::new(Exit::Unavailable, why))
    }

    /// The sum.
    pub(super) fn close(&self) -> (Tally, Unknown) {
        let pages = self.pages();
        (pages.acknowledged, Unknown(Arc::clone(&pages.unknown)))
    }

    /// What is known now.
    pub(super) fn so_far(&self) -> SoFar {
        let pages = self.pages();
        SoFar { unknown: Unknown(Arc::clone(&pages.unknown)), settled: pages.settled.clone() }
    }

    /// So many bytes of values more were compared.
    pub(super) fn compared(&self, bytes: u64) {
        self.pages().compared_bytes += bytes;
    }

    /// Bytes of values that were acknowledged and not compared yet.
    pub(super) fn ahead_bytes(&self) -> u64 {
        let pages = self.pages();
        pages.acknowledged.bytes.saturating_sub(pages.compared_bytes)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn settle(&mut self, numbers: &Range<u64>) {
        let producer = record::producer(numbers.start);
        if self.settled.len() <= producer {
            self.settled.resize(producer + 1, 0);
        }
        if let Some(settled) = self.settled.get_mut(producer) {
            *settled = numbers.end;
        }
    }
}

impl SoFar {
    /// Whether the request that this record came with is over.
    pub(super) fn is_settled(&self, number: u64) -> bool {
        self.settled.get(record::producer(number)).is_some_and(|&settled| number < settled)
    }

    /// Without an outcome.
    pub(super) fn unknown(&self) -> &Unknown {
        &self.unknown
    }
}

impl Unknown {
    fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    fn records(&self) -> u64 {
        self.0.iter().map(|(first, end)| end - first).sum()
    }

    /// How many requests.
    pub(super) fn requests(&self) -> usize {
        self.0.len()
    }
}

impl Consumed {
    /// One more record.
    pub(super) fn take(&mut self, value: &[u8], unknown: &Unknown) {
        self.count(record::number(value), Tally::of(value), unknown);
    }

    /// One more record, of this number if it says one.
    pub(super) fn count(&mut self, number: Option<u64>, tally: Tally, unknown: &Unknown) {
        let is_unknown = number.is_some_and(|number| unknown.contains(number));
        let column = if is_unknown { &mut self.unknown } else { &mut self.expected };
        *column += tally;
    }

    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.unknown += other.unknown;
    }
}

impl Comparison {
    /// Of what was acknowledged with what was read.
    pub(super) fn new(acknowledged: Tally, unknown: &Unknown, consumed: &Consumed) -> Self {
        Self {
            acknowledged,
            consumed: consumed.expected,
            unknown_sent: unknown.records(),
            unknown_consumed: consumed.unknown.records,
            // No record of unknown outcome was sent twice, so more of them than were sent are copies.
            equal: acknowledged == consumed.expected
                && consumed.unknown.records <= unknown.records(),
        }
    }

    /// A difference is a failure.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.equal {
            return Ok(());
        }
        let why = format!("not consumed as acknowledged: {}", self.shown());
        Err(Failure::new(Exit::Failed, why))
    }

    /// One sentence.
    pub(super) fn shown(&self) -> String {
        let Self { acknowledged, consumed, .. } = self;
        let unknown = match self.unknown_sent {
            0 => String::new(),
            sent => format!(
                "; of {sent} records of unknown outcome {} are there",
                self.unknown_consumed
            ),
        };
        if self.equal {
            let Tally { records, hash, .. } = acknowledged;
            let records = Count(*records);
            return format!(
                "consumed what was acknowledged: {records} records, hash {hash:016x}{unknown}"
            );
        }
        let (a, c) = (acknowledged, consumed);
        format!(
            "acknowledged {} records, hash {:016x}; consumed {}, hash {:016x}{unknown}",
            Count(a.records),
            a.hash,
            Count(c.records),
            c.hash
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::record::Pen;

    #[test]
    fn a_record_is_settled_once_its_request_is() {
        let ledger = Ledger::default();
        let number = |count| Pen::new(3, 64, Pen::filler(64)).next() + count;
        assert!(!ledger.so_far().is_settled(number(0)));
        ledger.acknowledged(Tally::default(), &(number(0)..number(10)));
        ledger.unknown(&(number(10)..number(12))).unwrap();
        let so_far = ledger.so_far();
        assert!(so_far.is_settled(number(0)) && so_far.is_settled(number(11)));
        assert!(!so_far.is_settled(number(12)));
        assert!(!so_far.is_settled(0), "another producer's");
        assert!(so_far.unknown().contains(number(11)) && !so_far.unknown().contains(number(9)));
    }

    #[test]
    fn only_what_was_acknowledged_must_be_there() {
        let mut pen = Pen::new(1, 64, Pen::filler(64));
        let values: Vec<Vec<u8>> = (0..4)
            .map(|_| {
                let mut value = Vec::new();
                pen.write(7, &mut value);
                value
            })
            .collect();
        let first = record::number(&values[0]).unwrap();
        let ledger = Ledger::default();
        ledger.acknowledged(Tally::of(&values[0]) + Tally::of(&values[1]), &(first..first + 2));
        ledger.unknown(&(first + 2..first + 4)).unwrap();
        let (acknowledged, unknown) = ledger.close();
        for (read, equal) in [
            (&[0, 1][..], true),
            (&[1, 3, 0], true),
            (&[0, 1, 2, 3], true),
            (&[0, 2, 3], false),
            (&[0, 0, 2], false),
            (&[0, 1, 2, 2, 3], false),
        ] {
            let mut consumed = Consumed::default();
            for &at in read {
                let value: &Vec<u8> = &values[at];
                consumed.take(value, &unknown);
            }
            assert_eq!(Comparison::new(acknowledged, &unknown, &consumed).equal, equal, "{read:?}");
        }
    }
}
