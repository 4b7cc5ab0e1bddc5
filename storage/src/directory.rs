//! The data directory belongs to one process at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked; empty, never removed.
const LOCK_FILE: &str = "lock";

/// A locked data directory; unlocked when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Creates the directory if it is not there, and locks it.
    pub(crate) fn lock(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("data directory {}: {error}", path.display()))
        };
        std::fs::create_dir_all(path).map_err(named)?;
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(named)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_path_buf(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("data directory {} is in use by another process", path.display()),
            )),
            Err(error) => Err(named(error.into())),
        }
    }

    /// Where the small state lives.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Where the engine's entries live.
    pub(crate) fn entries(&self) -> PathBuf {
        self.path.join("entries")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::lock(dir.path()).unwrap();
        let refused = Directory::lock(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
        assert!(refused.contains("in use"), "{refused}");
        drop(first);
        Directory::lock(dir.path()).unwrap();
    }
}
