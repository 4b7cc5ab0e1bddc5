//! What the storage floor counts; the floors above turn it into metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One reading of the counters. All but the queue's are totals since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Barriers the engine was asked for.
    pub barriers: u64,
    /// Cycles of the commit thread that did any work.
    pub group_commits: u64,
    /// Entries written.
    pub entries: u64,
    /// Payload bytes written.
    pub bytes: u64,
    /// Votes stored.
    pub votes: u64,
    /// Time spent in barriers and state flushes, in ns.
    pub barrier_ns: u64,
    /// The longest of them, in ns.
    pub barrier_ns_max: u64,
    /// Operations that wait for the commit thread now.
    pub queue_depth: u64,
    /// Payload bytes that wait for the commit thread now.
    pub queue_bytes: u64,
    /// Payload bytes of recent entries in memory now.
    pub cache_bytes: u64,
}

/// The totals, as the commit thread adds to them.
#[derive(Default)]
pub(crate) struct Totals {
    barriers: AtomicU64,
    group_commits: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    votes: AtomicU64,
    barrier_ns: AtomicU64,
    barrier_ns_max: AtomicU64,
}

impl Totals {
    pub(crate) fn cycle(&self) {
        self.group_commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn barrier(&self, took: Duration) {
        self.barriers.fetch_add(1, Ordering::Relaxed);
        self.waited(took);
    }

    pub(crate) fn voted(&self, votes: u64, took: Duration) {
        self.votes.fetch_add(votes, Ordering::Relaxed);
        self.waited(took);
    }

    fn waited(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.barrier_ns.fetch_add(ns, Ordering::Relaxed);
        self.barrier_ns_max.fetch_max(ns, Ordering::Relaxed);
    }

    /// The totals now; the gauges are the caller's to fill in.
    pub(crate) fn read(&self) -> Counters {
        let load = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Counters {
            barriers: load(&self.barriers),
            group_commits: load(&self.group_commits),
            entries: load(&self.entries),
            bytes: load(&self.bytes),
            votes: load(&self.votes),
            barrier_ns: load(&self.barrier_ns),
            barrier_ns_max: load(&self.barrier_ns_max),
            ..Counters::default()
        }
    }
}
