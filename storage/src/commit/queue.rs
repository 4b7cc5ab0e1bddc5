//! The queue to the commit thread: in order, bounded by bytes.

use super::op::Op;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Payload that may wait for the disk. A full second of a fast disk; beyond it appends wait, which is
/// the last brake: the floors above should refuse earlier, by [`crate::Counters::queue_bytes`].
const WAITING_BYTES_MAX: usize = 256 << 20;
/// What one cycle takes, so that the first waiter's answer does not wait for the last one's write.
const CYCLE_BYTES_MAX: usize = 16 << 20;
/// The same in operations: one per group and vote in the worst election.
const CYCLE_OPS_MAX: usize = 8192;

/// The queue; closed once, for good.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Default)]
struct Waiting {
    ops: VecDeque<Op>,
    /// Payload bytes accepted and not yet written, those of the running cycle included.
    bytes: usize,
    closed: bool,
}

/// What the commit thread finds.
pub(super) enum Drained {
    /// Work, perhaps none: the deadline has come.
    Ops(Vec<Op>),
    /// No work, and none will come.
    Closed,
}

impl Queue {
    /// Waits until `bytes` more may be queued. Call it before taking any lock that the commit thread
    /// takes.
    pub(crate) fn reserve(&self, bytes: usize) -> io::Result<()> {
        let mut waiting = self.lock();
        while waiting.bytes > 0 && waiting.bytes + bytes > WAITING_BYTES_MAX && !waiting.closed {
            waiting = self.drained.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return Err(closed());
        }
        waiting.bytes += bytes;
        Ok(())
    }

    /// Adds an operation whose bytes were reserved. On a closed queue it completes with an error.
    pub(crate) fn push(&self, op: Op) {
        let mut waiting = self.lock();
        if waiting.closed {
            drop(waiting);
            op.done.complete(Err(closed()));
            return;
        }
        waiting.ops.push_back(op);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Gives reserved bytes back.
    pub(crate) fn release(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.bytes -= bytes;
        drop(waiting);
        self.drained.notify_all();
    }

    /// Takes what one cycle may take; waits for the first operation, at most until `deadline`.
    pub(super) fn drain(&self, deadline: Option<Instant>) -> Drained {
        let mut waiting = self.lock();
        while waiting.ops.is_empty() && !waiting.closed {
            waiting = match deadline.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Drained::Ops(Vec::new()),
                Some(left) => {
                    let waited = self.filled.wait_timeout(waiting, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        if waiting.ops.is_empty() {
            return Drained::Closed;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < CYCLE_OPS_MAX && bytes < CYCLE_BYTES_MAX {
            let Some(op) = waiting.ops.pop_front() else { break };
            bytes += op.bytes;
            taken.push(op);
        }
        Drained::Ops(taken)
    }

    /// Refuses further operations; what is queued is still worked off.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Refuses further operations and fails what is queued.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.bytes = 0;
        let abandoned = std::mem::take(&mut waiting.ops);
        drop(waiting);
        self.drained.notify_all();
        drop(abandoned);
    }

    /// Operations and bytes that wait.
    pub(crate) fn load(&self) -> (u64, u64) {
        let waiting = self.lock();
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (wide(waiting.ops.len()), wide(waiting.bytes))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> io::Error {
    io::Error::other("the store is closed")
}
