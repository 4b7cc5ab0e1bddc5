//! How written files become durable: as few device flushes as the number of files allows.
//!
//! | dirty files | own file system | barrier |
//! |---|---|---|
//! | 0 | | nothing |
//! | 1–4 | | `fdatasync` one after the other |
//! | more | yes | one `syncfs` |
//! | more | no | `fdatasync`, eight at a time |

use super::file::SegmentFile;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Up to so many files `fdatasync` each is no slower than a barrier over all (measured).
const ONE_BY_ONE_MAX: usize = 4;
/// Syncs at a time; the journal gathers them into common flushes.
const SYNC_THREADS: usize = 8;
/// Files that wait for a thread; the commit thread waits when there are more.
const SYNC_QUEUE_MAX: usize = 64;

/// What makes a number of files durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Nothing was written.
    Nothing,
    /// `fdatasync` of each.
    OneByOne,
    /// One `syncfs`.
    Filesystem,
    /// `fdatasync` of each, several at a time.
    Parallel,
}

/// Which barrier suits so many dirty files, on a file system of our own or a shared one.
pub fn plan_barrier(dirty: usize, is_mount: bool) -> Barrier {
    match dirty {
        0 => Barrier::Nothing,
        1..=ONE_BY_ONE_MAX => Barrier::OneByOne,
        _ if is_mount => Barrier::Filesystem,
        _ => Barrier::Parallel,
    }
}

/// The threads of [`Barrier::Parallel`].
pub(super) struct SyncPool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    file: Arc<SegmentFile>,
    done: Sender<io::Result<()>>,
}

impl SyncPool {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(SYNC_QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..SYNC_THREADS).map(|number| {
            let receiver = Arc::clone(&receiver);
            let name = format!("segment-sync-{number}");
            Builder::new().name(name).spawn(move || sync_files(&receiver))
        });
        let threads = threads.collect::<io::Result<Vec<_>>>()?;
        Ok(Self { jobs: Some(sender), threads })
    }

    /// Syncs all; the first error, after all have ended.
    pub(super) fn sync(&self, files: &[Arc<SegmentFile>]) -> io::Result<()> {
        let (done, outcomes) = channel();
        for file in files {
            let job = Job { file: Arc::clone(file), done: done.clone() };
            let jobs = self.jobs.as_ref().expect("the threads run until the pool is dropped");
            jobs.send(job).expect("a sync thread ends only when the pool is dropped");
        }
        drop(done);
        let mut outcomes: Vec<_> = outcomes.iter().collect();
        if outcomes.len() < files.len() {
            return Err(io::Error::other("a sync thread ended within a sync"));
        }
        outcomes.drain(..).collect()
    }
}

fn sync_files(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { file, done }) = job else { return };
        let outcome = file.sync();
        // Before the outcome: nobody may find the file still in use by this thread.
        drop(file);
        if done.send(outcome).is_err() {
            tracing::debug!("nobody waits for this sync any more");
        }
    }
}

impl Drop for SyncPool {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a sync thread had panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_dirty_needs_no_barrier() {
        assert_eq!([plan_barrier(0, false), plan_barrier(0, true)], [Barrier::Nothing; 2]);
    }

    #[test]
    fn a_few_files_are_synced_one_by_one() {
        for dirty in 1..=4 {
            assert_eq!(plan_barrier(dirty, false), Barrier::OneByOne);
            assert_eq!(plan_barrier(dirty, true), Barrier::OneByOne);
        }
    }

    #[test]
    fn many_files_on_our_own_file_system_take_one_sync() {
        assert_eq!([plan_barrier(5, true), plan_barrier(128, true)], [Barrier::Filesystem; 2]);
    }

    #[test]
    fn many_files_on_a_shared_file_system_are_synced_in_parallel() {
        assert_eq!([plan_barrier(5, false), plan_barrier(128, false)], [Barrier::Parallel; 2]);
    }
}
