//! A sled database that is durable when it says so.
//!
//! sled 0.34.7's own `flush()` ends in `sync_file_range`, which issues no device flush: after a power
//! cut, everything it acknowledged can be gone. So [`Database::durable_flush`] follows it with
//! `fdatasync` of sled's one data file, through a descriptor of our own. That is enough only while
//! sled writes no blobs (values that make a page larger than 128 KiB go to files that nobody syncs):
//! hence rows of at most [`ROW_BYTES_MAX`].
//!
//! A failed flush is final: after `fsync` reports an error the kernel may have dropped the dirty
//! pages, and asking again would be told that all is well.

use crate::planted;
use rustix::fs::{FlockOperation, fdatasync, flock, fsync};
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// The largest value of a row: sixteen of them fill a leaf, far below sled's blob threshold.
pub(crate) const ROW_BYTES_MAX: usize = 4096;
/// What sled may keep in memory of its pages.
const CACHE_BYTES: u64 = 64 << 20;
/// The name sled gives its data file.
const DATA_FILE: &str = "db";

/// What a test hangs behind every durable flush.
type AfterFlush = Box<dyn Fn() + Send + Sync>;

/// One sled database under one directory.
pub(crate) struct Database {
    dir: PathBuf,
    sled: sled::Db,
    file: DataFile,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
    device_flushes: AtomicU64,
    after_flush: Mutex<Option<AfterFlush>>,
}

/// sled's data file, through a descriptor of our own. sled locks it, and threads of sled may hold on to
/// it for a moment after the database was dropped: whoever drops ours waits for them (dropped after
/// the field before it), so that the database can be opened again at once.
struct DataFile(File);

impl Drop for DataFile {
    fn drop(&mut self) {
        if let Err(error) = flock(&self.0, FlockOperation::LockExclusive) {
            tracing::warn!(%error, "waiting for sled to let go of its file");
        }
    }
}

/// Concurrent callers share flushes: one that began after a caller's writes covers them.
#[derive(Default)]
struct Flushes {
    begun: u64,
    ended: u64,
    running: bool,
    failure: Option<(io::ErrorKind, String)>,
}

impl Database {
    /// Opens or creates the database; its files exist durably on return.
    ///
    /// # Errors
    /// Names the directory, also where sled itself panics over a damaged file.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(named)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let sled = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|panic| named(damaged(panic.as_ref())))?
            .map_err(|error| named(from_sled(error)))?;
        let file =
            File::options().read(true).write(true).open(dir.join(DATA_FILE)).map_err(named)?;
        sync_tree(dir).map_err(named)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            sled,
            file: DataFile(file),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
            device_flushes: AtomicU64::new(0),
            after_flush: Mutex::new(None),
        })
    }

    /// A tree of it.
    pub(crate) fn tree(&self, name: &str) -> io::Result<sled::Tree> {
        self.sled.open_tree(name).map_err(|error| self.named(&from_sled(error)))
    }

    /// Makes every write that returned before this call durable.
    pub(crate) fn durable_flush(&self) -> io::Result<()> {
        let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = flushes.begun + 1;
        loop {
            if let Some((kind, why)) = &flushes.failure {
                return Err(io::Error::new(*kind, why.clone()));
            }
            if flushes.ended >= needed {
                return Ok(());
            }
            if !flushes.running {
                break;
            }
            flushes = self.flushed.wait(flushes).unwrap_or_else(PoisonError::into_inner);
        }
        flushes.running = true;
        flushes.begun += 1;
        let mine = flushes.begun;
        drop(flushes);

        let outcome = self.flush_now();

        let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        flushes.running = false;
        match &outcome {
            Ok(()) => flushes.ended = mine,
            Err(error) => flushes.failure = Some((error.kind(), error.to_string())),
        }
        self.flushed.notify_all();
        outcome
    }

    fn flush_now(&self) -> io::Result<()> {
        self.sled.flush().map_err(|error| self.named(&from_sled(error)))?;
        if planted!(IgnoreSyncError) {
            fdatasync(&self.file.0).ok();
            return Ok(());
        }
        fdatasync(&self.file.0).map_err(|error| self.named(&error.into()))?;
        self.device_flushes.fetch_add(1, Ordering::Relaxed);
        let hook = self.after_flush.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = hook.as_ref() {
            hook();
        }
        Ok(())
    }

    /// How often the data file was synced.
    pub(crate) fn device_flushes(&self) -> u64 {
        self.device_flushes.load(Ordering::Relaxed)
    }

    /// Runs `hook` after every durable flush: where a test takes the picture that a power cut leaves.
    pub(crate) fn after_flush(&self, hook: AfterFlush) {
        *self.after_flush.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// An error that says which database it came from.
    pub(crate) fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.dir.display()))
    }
}

/// sled's errors as what they are.
pub(crate) fn from_sled(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(error) => error,
        damaged @ sled::Error::Corruption { .. } => {
            io::Error::new(io::ErrorKind::InvalidData, damaged.to_string())
        }
        other @ (sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)) => io::Error::other(other.to_string()),
    }
}

fn damaged(panic: &(dyn std::any::Any + Send)) -> io::Error {
    let why = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given");
    io::Error::new(io::ErrorKind::InvalidData, format!("sled cannot open its files: {why}"))
}

/// Makes the files of a fresh database and their names durable.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        fsync(File::open(entry?.path())?)?;
    }
    fsync(File::open(dir)?)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fsync(File::open(parent)?)?;
    }
    Ok(())
}
