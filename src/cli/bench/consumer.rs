//! One consumer. Either it stands at the ends of its partitions and takes what comes ([`Tail`]), or it reads
//! what was there before from the beginning to the end, over and over ([`Scan`]).

use super::course::Course;
use super::fetcher::Fetcher;
use super::readback::{INFLATED_BYTES_MAX, PAGE_BYTES_MAX, Shelf, Sum};
use super::record::{self, Tally};
use super::recorder::Recorder;
use super::site::Site;
use crate::cli::failure::Failure;
use futures::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a broker may wait for a record: then the ends are looked at again.
const WAIT: Duration = Duration::from_millis(500);
/// What comes waits in so many bytes over all partitions; each page has a part of it.
const TAILS_BYTES_MAX: u64 = 512 << 20;
/// Of so many pages that are read again, one is summed byte by byte. Of the others the heads are compared,
/// with the checksums that stand there: all of it is summed when everything is read back.
const SUMMED_EVERY: usize = 16;

/// Where the partitions end, once nobody writes any more.
pub(super) type Ends = watch::Receiver<Option<Arc<[u64]>>>;

/// Takes what comes, each partition with a request that waits.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) site: Arc<Site>,
    pub(super) partitions: Vec<u32>,
    pub(super) course: Course,
    pub(super) ends: Ends,
    pub(super) recorder: Arc<Recorder>,
}

/// Reads what was there, one page after the other.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) site: Arc<Site>,
    pub(super) partitions: Vec<u32>,
    pub(super) course: Course,
    /// What each partition holds.
    pub(super) shelves: Arc<[Shelf]>,
    pub(super) recorder: Arc<Recorder>,
}

/// What a scan came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scanned {
    pub(super) records: u64,
    /// Partitions that were read from beginning to end, and those of them that held something else.
    pub(super) whole: u64,
    pub(super) different: u64,
    pages: usize,
}

impl Scanned {
    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.whole += other.whole;
        self.different += other.different;
        self.pages += other.pages;
    }
}

impl Tail {
    /// Reads until the ends are known and reached; gives what it got.
    pub(super) async fn run(self) -> Result<Tally, Failure> {
        let partitions = self.partitions.iter().map(|&partition| self.partition(partition));
        let mut partitions: FuturesUnordered<_> = partitions.collect();
        let mut sum = Tally::default();
        while let Some(tally) = partitions.next().await {
            sum += tally?;
        }
        Ok(sum)
    }

    async fn partition(&self, partition: u32) -> Result<Tally, Failure> {
        let (mut next, mut sum) = (0, Tally::default());
        let all = u64::try_from(self.site.leaders.len()).unwrap_or(u64::MAX).max(1);
        let mut fetcher = Fetcher::new(&self.site, PAGE_BYTES_MAX.min(TAILS_BYTES_MAX / all));
        while self.end(partition).is_none_or(|end| next < end) {
            let page = fetcher.page(partition, next, WAIT).await?;
            let (came, end) = (Instant::now(), page.next);
            let damaged = |error| fetcher.damaged(partition, next, &error);
            let (mut tally, mut latencies) = (Tally::default(), Vec::new());
            for batch in page.checked().map_err(damaged)? {
                let records = batch.decode(INFLATED_BYTES_MAX).map_err(damaged)?;
                for record in &records {
                    let value = record.map_err(damaged)?.value.unwrap_or_default();
                    tally += Tally::of(value);
                    let due = Duration::from_micros(record::due_us(value).unwrap_or_default());
                    latencies.push(came.saturating_duration_since(self.course.began + due));
                }
            }
            if tally.records > 0 {
                self.recorder.page(tally.bytes, latencies);
                sum += tally;
            }
            next = end;
        }
        Ok(sum)
    }

    fn end(&self, partition: u32) -> Option<u64> {
        let ends = self.ends.borrow();
        ends.as_ref()?.get(usize::try_from(partition).ok()?).copied()
    }
}

impl Scan {
    /// Reads until the course's end, or not at all if nothing was there.
    pub(super) async fn run(self) -> Result<Scanned, Failure> {
        let mut scanned = Scanned::default();
        let held = |&partition: &u32| {
            let held = self.shelves.get(usize::try_from(partition).ok()?)?;
            (held.end > 0).then_some((partition, *held))
        };
        let shelves: Vec<(u32, Shelf)> = self.partitions.iter().filter_map(held).collect();
        let mut fetcher = Fetcher::new(&self.site, PAGE_BYTES_MAX);
        for &(partition, held) in shelves.iter().cycle() {
            if Instant::now() >= self.course.until {
                break;
            }
            self.partition((partition, held), &mut fetcher, &mut scanned).await?;
        }
        Ok(scanned)
    }

    async fn partition(
        &self,
        (partition, held): (u32, Shelf),
        fetcher: &mut Fetcher<'_>,
        scanned: &mut Scanned,
    ) -> Result<(), Failure> {
        let (mut next, mut sum) = (0, Sum::default());
        while next < held.end {
            let asked = Instant::now();
            if asked >= self.course.until {
                return Ok(());
            }
            let page = fetcher.page(partition, next, Duration::ZERO).await?;
            let took = asked.elapsed();
            let damaged = |error| fetcher.damaged(partition, next, &error);
            let (end, bytes) = (page.next, u64::try_from(page.batches.len()).unwrap_or(u64::MAX));
            if scanned.pages.is_multiple_of(SUMMED_EVERY) {
                page.clone().checked().map_err(damaged)?;
            }
            let mut records = 0;
            for batch in page.heads() {
                let batch = batch.map_err(damaged)?;
                // What was written since is not part of it.
                if batch.base_offset() < held.end.cast_signed() {
                    sum.add(&batch);
                }
                records += u64::from(batch.record_count());
            }
            self.recorder.request(took, records, bytes);
            scanned.records += records;
            scanned.pages += 1;
            if end <= next {
                break;
            }
            next = end;
        }
        scanned.whole += 1;
        scanned.different += u64::from(sum != held.sum);
        Ok(())
    }
}
