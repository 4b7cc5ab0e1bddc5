//! The one owner of spawned tasks: each has a name, all are told to stop by one token and joined at
//! shutdown. What still runs after the deadline is named in the log.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a process; clones own the same tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Counts a task as running until it is dropped, however the task ends.
struct Running {
    name: &'static str,
    tasks: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when tasks are to end.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task until it ends by itself or, once the tasks are told to stop, at its next await.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn_to_end(name, async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Runs a task to its own end: it watches [`Tasks::stopping`] itself, or is short.
    #[expect(clippy::disallowed_methods, reason = "this is the owner of all tasks")]
    pub fn spawn_to_end(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let running = Running::count(name, Arc::clone(&self.running));
        tokio::spawn(self.tracker.track_future(async move {
            let _running = running;
            task.await;
        }));
    }

    /// Tells every task to stop and waits for all; names in the log those that did not end in time.
    pub async fn close(&self, patience: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = ?self.running(), "tasks still run after {patience:?}");
        }
    }

    /// The names of the tasks that run, each once.
    pub fn running(&self) -> Vec<&'static str> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.keys().copied().collect()
    }
}

impl Running {
    fn count(name: &'static str, tasks: Arc<Mutex<BTreeMap<&'static str, usize>>>) -> Self {
        *tasks.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        Self { name, tasks }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match tasks.get_mut(self.name) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                tasks.remove(self.name);
            }
        }
        if std::thread::panicking() {
            tracing::error!(task = self.name, "task panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn closing_ends_every_task() {
        let tasks = Tasks::new();
        tasks.spawn("sleeper", pending());
        tasks.spawn("sleeper", pending());
        assert_eq!(tasks.running(), ["sleeper"]);
        tasks.close(Duration::from_secs(5)).await;
        assert!(tasks.running().is_empty());
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_named() {
        let tasks = Tasks::new();
        tasks.spawn_to_end("stubborn", pending());
        tasks.close(Duration::from_millis(1)).await;
        assert_eq!(tasks.running(), ["stubborn"]);
    }
}
