//! What all logs of a node stand on: one engine, one state, one queue to the commit thread.

use crate::commit::Queue;
use crate::counters::{Counters, Totals};
use crate::directory::Directory;
use crate::engine::Engine;
use crate::log::Budget;
use crate::{GroupId, State};
use std::io;
use std::sync::{Arc, OnceLock};

pub(crate) struct Backing {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) state: State,
    pub(crate) queue: Queue,
    pub(crate) totals: Totals,
    /// What the tail caches of all logs share.
    pub(crate) budget: Arc<Budget>,
    /// A segment is sealed when the next entry would take it beyond this.
    pub(crate) segment_bytes: u64,
    /// Why the commit thread stopped, if it did.
    failure: OnceLock<String>,
    /// Unlocked when the last handle is gone: until then sled may still write.
    _directory: Directory,
}

impl Backing {
    pub(crate) fn new(
        (engine, state): (Arc<dyn Engine>, State),
        directory: Directory,
        segment_bytes: u64,
        cache_bytes: usize,
    ) -> Self {
        Self {
            engine,
            state,
            queue: Queue::default(),
            totals: Totals::default(),
            budget: Arc::new(Budget::new(cache_bytes)),
            segment_bytes,
            failure: OnceLock::new(),
            _directory: directory,
        }
    }

    /// Notes why the node cannot commit any more; the first reason stays.
    pub(crate) fn fail(&self, why: String) {
        tracing::error!(%why, "storage stopped");
        drop(self.failure.set(why));
    }

    /// Why the node cannot commit any more.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The counters, gauges included.
    pub(crate) fn counters(&self) -> Counters {
        let (depth, bytes) = self.queue.load();
        Counters {
            queue_depth: depth,
            queue_bytes: bytes,
            cache_bytes: u64::try_from(self.budget.used()).unwrap_or(u64::MAX),
            ..self.totals.read()
        }
    }
}

/// The key of a group's only row in a table; also the prefix of its rows where it has many.
pub(crate) fn group_key(group: GroupId) -> [u8; 8] {
    group.get().to_be_bytes()
}

/// An error about one group's log.
pub(crate) fn about(group: GroupId, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("log of group {group}: {error}"))
}
