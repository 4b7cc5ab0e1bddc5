//! Compares while producers write, and removes what was compared: so a run may be as long as one likes,
//! whatever the disk holds.
//!
//! ```text
//!   log start        compared up to here           end
//!      │◄── kept, at most ──►│◄── producers wait when ──►│
//!      │    `--keep` bytes   │    this is more than that │
//! ```
//!
//! A record may be read before its producer knows what became of it. It is held until its request is
//! settled; as each producer has one request under way, those are few.

use super::consumer::Ends;
use super::fetcher::Fetcher;
use super::ledger::{Consumed, Ledger, SoFar};
use super::readback::{INFLATED_BYTES_MAX, PAGE_BYTES_MAX};
use super::record::{self, Tally};
use super::site::Site;
use crate::cli::failure::Failure;
use crate::topic::PartitionId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// From the beginning of a round over its partitions to that of the next. Reading what just came takes a
/// request for each batch; what came within this time takes few.
const ROUND_EVERY: Duration = Duration::from_millis(500);
/// The log start moves so far at least: whole segments are removed, and each move is an entry in the log.
const TRIM_BYTES: u64 = 16 << 20;
/// A part of a partition is remembered for so many bytes at least.
const PART_BYTES: u64 = 64 << 10;

/// Compares some partitions.
#[derive(Debug)]
pub(super) struct Auditor {
    pub(super) site: Arc<Site>,
    pub(super) partitions: Vec<u32>,
    /// What is kept of each of them, in bytes as they are stored.
    pub(super) keep_bytes: u64,
    pub(super) ends: Ends,
    pub(super) ledger: Arc<Ledger>,
}

/// How far one partition was read, and what of it is still there.
#[derive(Debug, Default)]
struct Place {
    next: u64,
    kept: Kept,
}

/// The parts of a partition that are still there, by the offset after each.
#[derive(Debug, Default)]
struct Kept {
    parts: VecDeque<(u64, u64)>,
    bytes: u64,
}

/// What was read.
#[derive(Debug, Default)]
struct Sums {
    consumed: Consumed,
    /// Read, and not yet settled.
    held: Vec<(u64, Tally)>,
}

impl Auditor {
    /// Reads until the ends are known and reached; gives what it read.
    pub(super) async fn run(self) -> Result<Consumed, Failure> {
        let mut fetcher = Fetcher::new(&self.site, PAGE_BYTES_MAX);
        let mut places: Vec<Place> = self.partitions.iter().map(|_| Place::default()).collect();
        let mut sums = Sums::default();
        loop {
            let round = Instant::now();
            // Known before the round begins, so that it reads all of it.
            let ends = self.ends.borrow().clone();
            for (&partition, place) in self.partitions.iter().zip(&mut places) {
                self.read(partition, place, &mut fetcher, &mut sums).await?;
                if let Some(before) = place.kept.trim_to(self.keep_bytes) {
                    let Site { client, topic, .. } = &*self.site;
                    client.trim(topic, PartitionId(partition), before).await?;
                }
            }
            if let Some(ends) = ends {
                let reached = |(partition, place): (&u32, &Place)| {
                    let end = usize::try_from(*partition).ok().and_then(|at| ends.get(at));
                    end.is_none_or(|&end| place.next >= end)
                };
                if self.partitions.iter().zip(&places).all(reached) {
                    break;
                }
            }
            sleep_until(round + ROUND_EVERY).await;
        }
        Ok(sums.closed(&self.ledger.so_far()))
    }

    /// Up to the end, which other producers move on: once a page is not nearly full, that is near.
    async fn read(
        &self,
        partition: u32,
        place: &mut Place,
        fetcher: &mut Fetcher<'_>,
        sums: &mut Sums,
    ) -> Result<(), Failure> {
        loop {
            let page = fetcher.page(partition, place.next, Duration::ZERO).await?;
            let (end, bytes) = (page.next, u64::try_from(page.batches.len()).unwrap_or(u64::MAX));
            let damaged = |error| fetcher.damaged(partition, place.next, &error);
            let so_far = self.ledger.so_far();
            sums.settle(&so_far);
            let mut values_bytes = 0;
            for batch in page.checked().map_err(damaged)? {
                for record in &batch.decode(INFLATED_BYTES_MAX).map_err(damaged)? {
                    let value = record.map_err(damaged)?.value.unwrap_or_default();
                    values_bytes += sums.take(value, &so_far);
                }
            }
            self.ledger.compared(values_bytes);
            if end > place.next {
                place.kept.push(end, bytes);
                place.next = end;
            }
            if bytes < PAGE_BYTES_MAX / 2 {
                return Ok(());
            }
        }
    }
}

impl Kept {
    fn push(&mut self, end: u64, bytes: u64) {
        self.bytes += bytes;
        match self.parts.back_mut() {
            Some(part) if part.1 < PART_BYTES => *part = (end, part.1 + bytes),
            Some(_) | None => self.parts.push_back((end, bytes)),
        }
    }

    /// Where the log may start, if that is worth it; what is before is forgotten.
    fn trim_to(&mut self, keep_bytes: u64) -> Option<u64> {
        if self.bytes < keep_bytes.saturating_add(TRIM_BYTES) {
            return None;
        }
        let mut start = None;
        while let Some(&(end, bytes)) = self.parts.front() {
            let left = self.bytes - bytes;
            if left < keep_bytes {
                break;
            }
            (self.bytes, start) = (left, Some(end));
            self.parts.pop_front();
        }
        start
    }
}

impl Sums {
    /// One more record; gives the bytes of its value.
    fn take(&mut self, value: &[u8], so_far: &SoFar) -> u64 {
        let (number, tally) = (record::number(value), Tally::of(value));
        match number {
            Some(number) if !so_far.is_settled(number) => self.held.push((number, tally)),
            Some(_) | None => self.consumed.count(number, tally, so_far.unknown()),
        }
        tally.bytes
    }

    fn settle(&mut self, so_far: &SoFar) {
        let consumed = &mut self.consumed;
        self.held.retain(|&(number, tally)| {
            let is_settled = so_far.is_settled(number);
            if is_settled {
                consumed.count(Some(number), tally, so_far.unknown());
            }
            !is_settled
        });
    }

    /// Once all producers have ended. What nobody ever sent counts too.
    fn closed(mut self, so_far: &SoFar) -> Consumed {
        for (number, tally) in self.held {
            self.consumed.count(Some(number), tally, so_far.unknown());
        }
        self.consumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::ledger::Comparison;
    use crate::cli::bench::record::Pen;

    #[test]
    fn what_is_read_before_its_outcome_is_known_waits_for_it() {
        let mut pen = Pen::new(1, 64, Pen::filler(64));
        let first = pen.next();
        let values: Vec<Vec<u8>> = (0..3)
            .map(|_| {
                let mut value = Vec::new();
                pen.write(7, &mut value);
                value
            })
            .collect();
        let (ledger, mut sums) = (Ledger::default(), Sums::default());
        for value in &values {
            assert_eq!(sums.take(value, &ledger.so_far()), 64);
        }
        assert_eq!((sums.held.len(), sums.consumed), (3, Consumed::default()));
        ledger.acknowledged(Tally::of(&values[0]), &(first..first + 1));
        ledger.unknown(&(first + 1..first + 3)).unwrap();
        sums.settle(&ledger.so_far());
        assert!(sums.held.is_empty());
        let consumed = sums.closed(&ledger.so_far());
        assert_eq!((consumed.expected.records, consumed.unknown.records), (1, 2));
        let (acknowledged, unknown) = ledger.close();
        assert!(Comparison::new(acknowledged, &unknown, &consumed).equal);
    }

    #[test]
    fn what_nobody_sent_makes_a_difference() {
        let (ledger, mut sums) = (Ledger::default(), Sums::default());
        let mut value = Vec::new();
        Pen::new(9, 64, Pen::filler(64)).write(0, &mut value);
        sums.take(&value, &ledger.so_far());
        let consumed = sums.closed(&ledger.so_far());
        let (acknowledged, unknown) = ledger.close();
        assert!(!Comparison::new(acknowledged, &unknown, &consumed).equal);
    }

    #[test]
    fn whole_parts_go_while_enough_is_left() {
        let mut kept = Kept::default();
        let part = 8 << 20;
        for number in 1..=3 {
            kept.push(number * 10, part);
        }
        assert_eq!(kept.trim_to(2 * part), None, "not worth it yet");
        kept.push(40, part);
        assert_eq!(kept.trim_to(2 * part), Some(20));
        assert_eq!((kept.bytes, kept.parts.len()), (2 * part, 2));
        kept.push(41, 10);
        kept.push(42, 10);
        assert_eq!(kept.parts.back(), Some(&(42, 20)), "small parts are put together");
    }
}
