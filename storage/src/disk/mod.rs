//! The seam to the file system.
//!
//! ```text
//!   Disk ──── names: create, open, rename, remove, list; sync_dir and sync_filesystem
//!     └── DiskFile ── bytes: pwritev, pread, fdatasync, ftruncate
//!   RealDisk      the operating system
//!   FaultyDisk    in memory, seeded: power cuts, torn writes, EIO, ENOSPC (for tests)
//! ```
//!
//! What holds of both: bytes are durable after [`DiskFile::sync_data`], names after
//! [`Disk::sync_dir`], both after [`Disk::sync_filesystem`]; nothing is durable before.

mod faulty;
mod real;

pub use faulty::{FaultyDisk, SyncCounts};
pub use real::RealDisk;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system: the real one, or a faulty one for tests.
pub trait Disk: Send + Sync + 'static {
    /// Creates a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reads and writes.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file or a directory; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes creations, renames and removals in the directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes everything on the directory's file system durable in one go (`syncfs`).
    fn sync_filesystem(&self, dir: &Path) -> io::Result<()>;
    /// Whether the directory is a file system of its own (a mount point).
    fn is_mount(&self, dir: &Path) -> io::Result<bool>;
}

/// An open file. Offsets in bytes; no cursor.
pub trait DiskFile: Send + Sync {
    /// Writes all slices one after the other at `at`.
    fn write_all_at(&self, at: u64, slices: &mut [IoSlice<'_>]) -> io::Result<()>;
    /// Fills as much of `buffer` as the file has; returns the bytes read.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// `fdatasync`.
    fn sync_data(&self) -> io::Result<()>;
    /// Sets the length; new bytes are zero.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// The first byte at or after `at` that may be other than zero; `None` if only a hole follows.
    fn next_data(&self, at: u64) -> io::Result<Option<u64>>;
    /// Bytes allocated on disk.
    fn allocated(&self) -> io::Result<u64>;
}
