//! Files made ahead, files used again, and files thrown away, all off the commit path.
//!
//! ```text
//!   segment removed ──rename──▶ spare/  ──header, fdatasync, rename──▶ segment created
//!          └───────rename─────▶ trash/  ──unlink by the helper thread
//! ```
//!
//! A file gets its segment's name only after its header is durable. A recycled file keeps its blocks:
//! overwriting them needs no metadata and syncs in half the time. Spares do not outlive the process,
//! so no file is ever taken for two things. The trash directory is the queue of what is to be removed:
//! it takes no memory, and what a crash leaves in it is removed at the next start.

use crate::disk::{Disk, DiskFile};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Spare files, made or recycled; recycled ones hold their space.
pub(super) const SPARE_SEGMENTS_MAX: usize = 4;
/// Files made ahead when there are fewer; they take no space yet.
const SPARE_SEGMENTS_AHEAD: usize = 2;

/// A file of segment size that belongs to nobody.
pub(super) struct Spare {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The spare pool and the trash, with the thread that fills the one and empties the other.
pub(super) struct Spares {
    shared: Arc<Shared>,
    helper: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    spare_dir: PathBuf,
    trash_dir: PathBuf,
    segment_bytes: u64,
    serial: AtomicU64,
    pool: Mutex<Pool>,
    wake: Condvar,
}

#[derive(Default)]
struct Pool {
    ready: Vec<Spare>,
    wanted: BTreeSet<Job>,
}

/// What the helper is asked for; asking twice is asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Stop,
    MakeSpares,
    EmptyTrash,
}

impl Spares {
    pub(super) fn start(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        let (spare_dir, trash_dir) = (dir.join("spare"), dir.join("trash"));
        disk.create_dir(&spare_dir)?;
        disk.create_dir(&trash_dir)?;
        for left in disk.list(&spare_dir)? {
            disk.remove(&left)?;
        }
        let serial = disk.list(&trash_dir)?.iter().filter_map(|path| serial_of(path)).max();
        let shared = Arc::new(Shared {
            disk,
            spare_dir,
            trash_dir,
            segment_bytes,
            serial: AtomicU64::new(serial.map_or(0, |last| last + 1)),
            pool: Mutex::default(),
            wake: Condvar::new(),
        });
        shared.ask(Job::MakeSpares);
        shared.ask(Job::EmptyTrash);
        let of_helper = Arc::clone(&shared);
        let helper =
            Builder::new().name("segment-spares".into()).spawn(move || of_helper.help())?;
        Ok(Self { shared, helper: Some(helper) })
    }

    /// A spare file; made now if none was ready.
    pub(super) fn take(&self) -> io::Result<Spare> {
        let ready = self.shared.lock().ready.pop();
        self.shared.ask(Job::MakeSpares);
        ready.map_or_else(|| self.shared.make(), Ok)
    }

    /// A new file without bytes, of which no spare is made.
    pub(super) fn blank(&self) -> io::Result<Spare> {
        let path = self.shared.spare_dir.join(self.shared.next_name());
        let file = self.shared.disk.create(&path)?;
        Ok(Spare { path, file })
    }

    /// Takes a file that nobody uses any more, under its name `path`: for later use if there is room,
    /// else into the trash.
    pub(super) fn recycle(&self, path: &Path, file: Arc<dyn DiskFile>) -> io::Result<()> {
        if self.shared.lock().ready.len() >= SPARE_SEGMENTS_MAX
            || file.len()? != self.shared.segment_bytes
        {
            return self.throw_away(path);
        }
        let spare = self.shared.spare_dir.join(self.shared.next_name());
        self.shared.disk.rename(path, &spare)?;
        self.shared.lock().ready.push(Spare { path: spare, file });
        Ok(())
    }

    /// Moves a file or a directory of files into the trash; the helper removes it.
    pub(super) fn throw_away(&self, path: &Path) -> io::Result<()> {
        let trash = self.shared.trash_dir.join(self.shared.next_name());
        self.shared.disk.rename(path, &trash)?;
        self.shared.ask(Job::EmptyTrash);
        Ok(())
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.ask(Job::Stop);
        if let Some(helper) = self.helper.take()
            && helper.join().is_err()
        {
            tracing::error!("the helper thread of the segment files had panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, job: Job) {
        self.lock().wanted.insert(job);
        self.wake.notify_one();
    }

    fn next_name(&self) -> String {
        format!("{:020}.log", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    fn make(&self) -> io::Result<Spare> {
        let path = self.spare_dir.join(self.next_name());
        let file = self.disk.create(&path)?;
        file.set_len(self.segment_bytes)?;
        Ok(Spare { path, file })
    }

    fn help(&self) {
        loop {
            let job = self.next_job();
            let outcome = match job {
                Job::Stop => return,
                Job::MakeSpares => self.make_spares(),
                Job::EmptyTrash => self.empty_trash(),
            };
            if let Err(error) = outcome {
                // Not tried again until asked again; whoever needs a file makes it himself.
                tracing::warn!(%error, ?job, "segment files");
            }
        }
    }

    fn next_job(&self) -> Job {
        let mut pool = self.lock();
        loop {
            match pool.wanted.pop_first() {
                Some(job) => return job,
                None => {
                    pool = self.wake.wait(pool).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn make_spares(&self) -> io::Result<()> {
        while self.lock().ready.len() < SPARE_SEGMENTS_AHEAD {
            let spare = self.make()?;
            self.lock().ready.push(spare);
        }
        Ok(())
    }

    fn empty_trash(&self) -> io::Result<()> {
        for path in self.disk.list(&self.trash_dir)? {
            if self.lock().wanted.contains(&Job::Stop) {
                return Ok(());
            }
            // A group's directory, or one file.
            match self.disk.list(&path) {
                Ok(files) => {
                    for file in files {
                        self.disk.remove(&file)?;
                    }
                    self.disk.remove_dir(&path)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    self.disk.remove(&path)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn serial_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}
