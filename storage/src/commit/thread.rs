//! The thread itself: its name, its owner, its end.

use super::cycle::Committer;
use super::queue::Drained;
use crate::backing::Backing;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle, current};
use std::time::Instant;

/// Owns the commit thread; joined by [`CommitThread::join`].
pub(crate) struct CommitThread {
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl CommitThread {
    pub(crate) fn start(backing: Arc<Backing>) -> io::Result<Self> {
        let thread = Builder::new().name("commit".into()).spawn(move || guarded(&backing))?;
        Ok(Self { handle: Mutex::new(Some(thread)) })
    }

    /// Waits for the thread's end; close its queue first. From a callback, which runs on the thread
    /// itself, it only lets go.
    pub(crate) fn join(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle.filter(|handle| handle.thread().id() != current().id()) {
            // A panic inside was caught and is the store's failure already.
            drop(handle.join());
        }
    }
}

fn guarded(backing: &Arc<Backing>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(backing)));
    if outcome.is_err() {
        backing.fail("the commit thread panicked".into());
    }
    backing.queue.abandon();
}

fn run(backing: &Arc<Backing>) {
    let mut committer = Committer::new(Arc::clone(backing));
    loop {
        match backing.queue.drain(committer.due()) {
            Drained::Ops(ops) => committer.run(ops, Instant::now()),
            Drained::Closed => return,
        }
        if backing.failure().is_some() {
            return;
        }
    }
}
