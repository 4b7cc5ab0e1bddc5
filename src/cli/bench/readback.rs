//! Everything of a topic, read back record by record and compared with what was acknowledged.

use super::fetcher::Fetcher;
use super::ledger::{Consumed, Unknown};
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::Count;
use crate::topic::PartitionId;
use futures::stream::{StreamExt, TryStreamExt};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::time::{Instant, interval_at};

/// Between two lines that tell how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Partitions that are read at once, each with a page in memory.
const AT_ONCE: usize = 4;
/// Of a page.
pub(super) const PAGE_BYTES_MAX: u64 = 4 << 20;
/// What a batch may inflate to: a batch holds 4 MiB of values at most.
pub(super) const INFLATED_BYTES_MAX: usize = 16 << 20;
/// Bytes of a batch that hold its checksum.
const CRC: std::ops::Range<usize> = 17..21;

/// What a partition held, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shelf {
    /// The offset after its last record.
    pub(super) end: u64,
    /// Over all batches below the end.
    pub(super) sum: Sum,
}

/// A sum over batches, from their checksums: who reads the same again need not decode records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum(u64);

/// What is shown of a partition.
pub(super) enum Item<'a> {
    /// A batch; its records come next.
    Batch(&'a RecordBatch),
    /// A record's value.
    Record(&'a [u8]),
}

/// A topic, read.
#[derive(Debug, Clone, Default)]
pub(super) struct Readback {
    pub(super) consumed: Consumed,
    /// By partition.
    pub(super) shelves: Vec<Shelf>,
}

impl Sum {
    /// One batch more. Where it begins counts too.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let crc =
            batch.bytes().get(CRC).and_then(|crc| crc.try_into().ok()).map(u32::from_be_bytes);
        let place = batch.base_offset().cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = self.0.wrapping_add(place ^ (u64::from(crc.unwrap_or_default()) << 16));
    }
}

/// Reads all partitions from their beginning to their end now, and tells how far it is now and then.
pub(super) async fn read(
    site: &Site,
    unknown: &Unknown,
    output: &Output,
) -> Result<Readback, Failure> {
    let partitions = u32::try_from(site.leaders.len()).expect("at most 1000 partitions");
    let (records, began) = (AtomicU64::new(0), Instant::now());
    let reads = (0..partitions).map(|partition| partition_of(site, partition, unknown, &records));
    let mut reads = pin!(futures::stream::iter(reads).buffered(AT_ONCE).try_collect());
    let mut tell = interval_at(began + TELL_EVERY, TELL_EVERY);
    let shelves: Vec<(Consumed, Shelf)> = loop {
        tokio::select! {
            shelves = &mut reads => break shelves?,
            now = tell.tick() => {
                let (seconds, records) = ((now - began).as_secs(), records.load(Ordering::Relaxed));
                output.note(format!("{seconds:>6} s read back {} records", Count(records)));
            }
        }
    };
    let mut all = Readback::default();
    for (consumed, shelf) in shelves {
        all.consumed.add(consumed);
        all.shelves.push(shelf);
    }
    Ok(all)
}

async fn partition_of(
    site: &Site,
    partition: u32,
    unknown: &Unknown,
    records: &AtomicU64,
) -> Result<(Consumed, Shelf), Failure> {
    let (mut consumed, mut sum) = (Consumed::default(), Sum::default());
    let end = walk(site, partition, |item| match item {
        Item::Batch(batch) => {
            sum.add(batch);
            records.fetch_add(u64::from(batch.record_count()), Ordering::Relaxed);
        }
        Item::Record(value) => consumed.take(value, unknown),
    })
    .await?;
    Ok((consumed, Shelf { end, sum }))
}

/// Shows everything of a partition, from its beginning to its end now, which it gives.
pub(super) async fn walk(
    site: &Site,
    partition: u32,
    mut visit: impl FnMut(Item<'_>),
) -> Result<u64, Failure> {
    let end = site.client.ends(&site.topic, PartitionId(partition)).await?.high_watermark;
    let (mut fetcher, mut next) = (Fetcher::new(site, PAGE_BYTES_MAX), 0);
    while next < end {
        let page = fetcher.page(partition, next, Duration::ZERO).await?;
        let (log_start, got) = (page.log_start, page.next);
        let damaged = |error| fetcher.damaged(partition, next, &error);
        for batch in page.checked().map_err(damaged)? {
            if batch.base_offset() >= end.cast_signed() {
                break;
            }
            visit(Item::Batch(&batch));
            let records = batch.decode(INFLATED_BYTES_MAX).map_err(damaged)?;
            for record in &records {
                visit(Item::Record(record.map_err(damaged)?.value.unwrap_or_default()));
            }
        }
        if log_start > 0 || got <= next {
            let at = format!("{} partition {partition}", site.topic);
            let why =
                format!("{at}: offset {next}: log start {log_start}, next offset {got}, end {end}");
            return Err(Failure::new(Exit::Failed, why));
        }
        next = got;
    }
    Ok(end)
}
