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
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Up to so many files `fdatasync` each is no slower than a barrier over all (measured).
const ONE_BY_ONE_MAX: usize = 4;
/// Syncs at a time, that of the commit thread included; the journal gathers them into common flushes.
const SYNCS_MAX: usize = 8;

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

/// The threads of [`Barrier::Parallel`], each with a queue of its own: a thread is woken once a barrier, and
/// none for nothing.
pub(super) struct SyncPool {
    threads: Vec<SyncThread>,
}

struct SyncThread {
    /// Gone when the thread is to end. A barrier has at most one job for it.
    jobs: Option<SyncSender<Job>>,
    handle: Option<JoinHandle<()>>,
}

struct Job {
    files: Vec<Arc<SegmentFile>>,
    done: Sender<io::Result<()>>,
}

impl SyncPool {
    pub(super) fn start() -> io::Result<Self> {
        let threads = (1..SYNCS_MAX).map(|number| {
            let (jobs, received) = sync_channel(1);
            let name = format!("segment-sync-{number}");
            let handle = Builder::new().name(name).spawn(move || work(&received))?;
            Ok(SyncThread { jobs: Some(jobs), handle: Some(handle) })
        });
        Ok(Self { threads: threads.collect::<io::Result<_>>()? })
    }

    /// Syncs all, the first of them on this thread; the first error, after all have ended.
    pub(super) fn sync(&self, files: &[Arc<SegmentFile>]) -> io::Result<()> {
        let each = files.len().div_ceil(SYNCS_MAX).max(1);
        let mut shares = files.chunks(each);
        let own = shares.next().unwrap_or_default();
        let (done, outcomes) = channel();
        for (thread, share) in self.threads.iter().zip(shares) {
            let job = Job { files: share.to_vec(), done: done.clone() };
            let jobs = thread.jobs.as_ref().expect("the threads run until the pool is dropped");
            jobs.send(job).expect("a sync thread ends only when the pool is dropped");
        }
        drop(done);
        let own = sync_files(own);
        let outcomes: Vec<_> = outcomes.iter().collect();
        if outcomes.len() + 1 < files.len().div_ceil(each) {
            return Err(io::Error::other("a sync thread ended within a sync"));
        }
        outcomes.into_iter().chain([own]).collect()
    }
}

fn work(jobs: &Receiver<Job>) {
    for Job { files, done } in jobs {
        let outcome = sync_files(&files);
        // Before the outcome: nobody may find a file still in use by this thread.
        drop(files);
        if done.send(outcome).is_err() {
            tracing::debug!("nobody waits for this sync any more");
        }
    }
}

/// Syncs each, whatever became of the others; the first error.
fn sync_files(files: &[Arc<SegmentFile>]) -> io::Result<()> {
    let outcomes: Vec<_> = files.iter().map(|file| file.sync()).collect();
    outcomes.into_iter().collect()
}

impl Drop for SyncPool {
    fn drop(&mut self) {
        for SyncThread { jobs, handle } in &mut self.threads {
            drop(jobs.take());
            if handle.take().is_some_and(|handle| handle.join().is_err()) {
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
