//! One log to produce to and fetch from: a Raft group seen as a partition.
//!
//! ```text
//!   append  ── a batch's way into the log; an idempotent producer's, once
//!   machine ── what replicas agree on beside the records: the producers, how far it is compacted
//! ```
//!
//! Invariants: nothing at or above the high watermark is ever returned; only a replica that is
//! `Leading` answers, so what it calls the high watermark covers every acknowledged record.

mod append;
mod machine;

pub use append::{Append, Receipt};
pub use machine::{Command, PartitionMachine, Replicated};

use crate::config::INFLATED_BATCH_BYTES_MAX;
use raft::{
    FlushPolicy, Group, GroupHealth, NodeId, Offset, Outcome, ReadRefused, Role, Term, Watermark,
};
use serde::{Deserialize, Serialize};
use std::io;
use storage::batch::{BatchError, RecordBatch};
use storage::planted;
use tokio::time::{Instant, sleep_until};

/// Where a fetch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchFrom {
    /// At this offset.
    Offset(u64),
    /// At the log start.
    Earliest,
    /// At the end: only what comes.
    Latest,
    /// So many records before the end.
    Last(u64),
    /// At the first record with this timestamp (ms) or a later one.
    Timestamp(i64),
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Freshness {
    /// Committed records that the leader knows; never an uncommitted one.
    #[default]
    Leader,
    /// Everything acknowledged before the request began (ReadIndex).
    Linearizable,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The first offset that can be read.
    pub log_start: u64,
    /// The offset after the last committed record.
    pub high_watermark: u64,
    /// Who leads.
    pub leader: NodeId,
    /// Its term.
    pub leader_epoch: u64,
}

/// Why a partition cannot be read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another replica leads, or none does, or this one does not know yet what is committed.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The offset is not in the valid range `start..=end`.
    OutOfRange {
        /// What was asked for.
        offset: u64,
        /// The first offset that can be read.
        start: u64,
        /// The high watermark.
        end: u64,
    },
    /// Leadership could not be confirmed in time.
    TimedOut,
    /// The log cannot be read.
    Broken(String),
}

impl From<ReadRefused> for Refused {
    fn from(refused: ReadRefused) -> Self {
        match refused {
            ReadRefused::NotLeader { leader } => Self::NotLeader { leader },
            ReadRefused::TimedOut => Self::TimedOut,
            ReadRefused::Broken(why) => Self::Broken(why),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What to read and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Where it begins.
    pub from: FetchFrom,
    /// Batches are added until this is reached; at least one comes.
    pub bytes_max: usize,
    /// What to wait for.
    pub bytes_min: usize,
    /// Until when to wait for `bytes_min`.
    pub wait_until: Instant,
    /// How fresh.
    pub freshness: Freshness,
    /// Until when leadership must be confirmed, where that is needed.
    pub deadline: Instant,
    /// Whether an offset before the log start means the log start: where records go by compaction alone,
    /// a reader of what is gone gets the next that there is.
    pub skips_removed: bool,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it began.
    pub from: u64,
    /// Whole batches; the first may begin before `from`.
    pub batches: Vec<RecordBatch>,
    /// The ends when it was read.
    pub tail: Tail,
}

/// The replica of a partition on this node.
#[derive(Clone)]
pub struct Partition {
    group: Group,
    node: NodeId,
}

impl Partition {
    /// The partition of `group` on `node`.
    pub fn new(group: Group, node: NodeId) -> Self {
        Self { group, node }
    }

    /// How many replicas are in sync, the leader counted; `None` on one that does not lead.
    pub fn in_sync(&self) -> Option<usize> {
        let followers = self.group.replicas()?;
        Some(1 + followers.iter().filter(|follower| follower.voter && follower.in_sync).count())
    }

    /// Moves the log start up to `offset`, which must not lie beyond the high watermark.
    pub async fn trim(&self, offset: Offset, deadline: Instant) -> Result<Outcome, Refused> {
        let tail = self.tail(Freshness::Linearizable, deadline).await?;
        if offset.get() > tail.high_watermark {
            return Err(out_of_range(offset.get(), &tail));
        }
        Ok(self.group.trim(offset, deadline).await)
    }

    /// The ends of the log.
    pub async fn tail(&self, freshness: Freshness, deadline: Instant) -> Result<Tail, Refused> {
        let term = self.leads()?;
        let watermark = match freshness {
            Freshness::Leader => self.group.watermark(),
            Freshness::Linearizable => self.group.linearize(deadline).await?,
        };
        let mut tail = self.seen(term, &watermark);
        if planted!(StaleLatest) && freshness == Freshness::Linearizable {
            tail.high_watermark = tail.high_watermark.saturating_sub(1).max(tail.log_start);
        }
        Ok(tail)
    }

    /// Reads committed batches; waits for `bytes_min` of them until `wait_until`.
    pub async fn fetch(&self, reading: Reading) -> Result<Found, Refused> {
        let mut watermarks = self.group.watch_watermark();
        let mut roles = self.group.watch_role();
        let from = self.resolve(&reading).await?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        // Whether the last batch has records that are asked for.
        let mut gives = true;
        loop {
            let term = self.leads()?;
            watermarks.borrow_and_update();
            roles.borrow_and_update();
            let before = next;
            for payload in self.group.read(next, reading.bytes_max.saturating_sub(bytes)).await? {
                let batch = stored(payload)?;
                next = end_of(&batch);
                // One without records that are asked for only says how far was read: it is not what is
                // waited for, and another takes its place.
                if !gives {
                    batches.pop();
                }
                gives = reaches(&batch, from).await;
                bytes += if gives { batch.bytes().len() } else { 0 };
                batches.push(batch);
            }
            let watermark = self.group.watermark();
            let tail = self.seen(term, &watermark);
            if batches.is_empty() && next.get() < tail.log_start {
                // Trimmed since it was resolved.
                if !reading.skips_removed {
                    return Err(out_of_range(next.get(), &tail));
                }
                next = Offset::new(tail.log_start);
                continue;
            }
            let enough = bytes >= reading.bytes_min || bytes >= reading.bytes_max;
            if !enough && next > before && next.get() < tail.high_watermark {
                // A purge ended the read, or all it found was compacted away: there is more.
                continue;
            }
            if enough || Instant::now() >= reading.wait_until {
                return Ok(Found { from: from.get(), batches, tail });
            }
            tokio::select! {
                changed = watermarks.changed() => if changed.is_err() { return Err(gone()) },
                changed = roles.changed() => if changed.is_err() { return Err(gone()) },
                () = sleep_until(reading.wait_until) => {}
            }
            if self.leads().is_err() && !batches.is_empty() {
                // Deposed meanwhile. What it has is committed.
                return Ok(Found { from: from.get(), batches, tail });
            }
        }
    }

    /// The offset that `reading` begins at.
    async fn resolve(&self, reading: &Reading) -> Result<Offset, Refused> {
        // `latest` means everything acknowledged before, wherever it was acknowledged.
        let freshness = match reading.from {
            FetchFrom::Latest => Freshness::Linearizable,
            FetchFrom::Offset(_)
            | FetchFrom::Earliest
            | FetchFrom::Last(_)
            | FetchFrom::Timestamp(_) => reading.freshness,
        };
        let tail = self.tail(freshness, reading.deadline).await?;
        let offset = match reading.from {
            FetchFrom::Offset(offset) => offset,
            FetchFrom::Earliest => tail.log_start,
            FetchFrom::Latest => tail.high_watermark,
            FetchFrom::Last(count) => tail.high_watermark.saturating_sub(count).max(tail.log_start),
            FetchFrom::Timestamp(timestamp) => {
                let log_start = Offset::new(tail.log_start);
                let first = self.first_since(timestamp, log_start).await?;
                first.map_or(tail.high_watermark, |offset| offset.get().min(tail.high_watermark))
            }
        };
        let tail = if offset > tail.high_watermark {
            // An isolated leader does not know yet that it was deposed: what lies beyond its
            // watermark may well be acknowledged elsewhere, and "out of range" is a definite answer.
            self.tail(Freshness::Linearizable, reading.deadline).await?
        } else {
            tail
        };
        if offset < tail.log_start && reading.skips_removed {
            return Ok(Offset::new(tail.log_start));
        }
        if offset < tail.log_start || offset > tail.high_watermark {
            return Err(out_of_range(offset, &tail));
        }
        Ok(Offset::new(offset))
    }

    /// The first record at or after `from` with this timestamp or a later one.
    async fn first_since(
        &self,
        timestamp: i64,
        mut from: Offset,
    ) -> Result<Option<Offset>, Refused> {
        loop {
            let Some(header) = self.group.find_timestamp(timestamp, from).await? else {
                return Ok(None);
            };
            let base = header.base_offset;
            // The log start may lie within a batch, and below it nothing is read.
            let read = self.group.read(base.max(from), 1).await?;
            let Some(payload) = read.into_iter().next() else { return Ok(None) };
            let batch = stored(payload)?;
            // Inflating takes milliseconds: not on a thread that others wait for.
            let decoded = tokio::task::spawn_blocking(move || {
                let records = batch.decode(INFLATED_BATCH_BYTES_MAX)?;
                let from = i64::try_from(from.get()).unwrap_or(i64::MAX);
                let mut found = records.iter_from(from).filter(|record| {
                    record.as_ref().map_or(true, |record| record.timestamp >= timestamp)
                });
                found.next().transpose().map(|found| found.map(|record| record.offset))
            });
            match decoded.await {
                Ok(Ok(Some(offset))) => {
                    return Ok(Some(Offset::new(u64::try_from(offset).unwrap_or(0))));
                }
                // All that is late enough was trimmed or compacted away.
                Ok(Ok(None)) => from = header.next_offset(),
                // A batch that cannot be inflated is still found, at its first record.
                Ok(Err(_)) | Err(_) => return Ok(Some(base.max(from))),
            }
        }
    }

    /// The term this replica leads, ready to serve.
    fn leads(&self) -> Result<Term, Refused> {
        if let GroupHealth::Broken(why) = self.group.health() {
            return Err(Refused::Broken(why));
        }
        match self.group.role() {
            Role::Leading { term } => Ok(term),
            Role::Following { .. } | Role::Electing { .. } | Role::Taking { .. } => {
                let leader = self.group.leader().filter(|leader| *leader != self.node);
                Err(Refused::NotLeader { leader })
            }
        }
    }

    fn seen(&self, term: Term, watermark: &Watermark) -> Tail {
        Tail {
            log_start: watermark.log_start.get(),
            high_watermark: watermark.high_watermark.get(),
            leader: self.node,
            leader_epoch: term.get(),
        }
    }
}

/// Whether an acknowledgement by a majority means that it is on their disks.
pub fn is_durable(policy: FlushPolicy) -> bool {
    match policy {
        FlushPolicy::Always => true,
        FlushPolicy::Interval { .. } | FlushPolicy::Os => false,
    }
}

fn out_of_range(offset: u64, tail: &Tail) -> Refused {
    Refused::OutOfRange { offset, start: tail.log_start, end: tail.high_watermark }
}

fn gone() -> Refused {
    Refused::NotLeader { leader: None }
}

fn stored(payload: bytes::Bytes) -> Result<RecordBatch, Refused> {
    RecordBatch::stored(payload).map_err(|error| Refused::Broken(error.to_string()))
}

/// Whether a batch has a record at or after an offset.
async fn reaches(batch: &RecordBatch, from: Offset) -> bool {
    let from = i64::try_from(from.get()).unwrap_or(i64::MAX);
    let (records, is_whole) = (batch.record_count(), batch.record_count() == batch.span());
    if records == 0 || is_whole || batch.base_offset() >= from {
        return records > 0;
    }
    // Of one with holes those that are left may all lie before.
    let batch = batch.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let records = batch.decode(INFLATED_BATCH_BYTES_MAX)?;
        let found = records.iter_from(from).next().is_some();
        Ok::<_, BatchError>(found)
    });
    // What cannot be read is given: its reader will see why.
    !matches!(looked.await, Ok(Ok(false)))
}

fn end_of(batch: &RecordBatch) -> Offset {
    Offset::new(u64::try_from(batch.next_offset()).unwrap_or(0))
}
