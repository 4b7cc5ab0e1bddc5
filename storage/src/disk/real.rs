//! The operating system's file system.

use super::{Disk, DiskFile};
use crate::planted;
use rustix::fs::{SeekFrom, fdatasync, seek, syncfs};
use rustix::io::{Errno, pwritev};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Slices one `pwritev` takes: Linux's `UIO_MAXIOV`.
const SLICES_MAX: usize = 1024;
/// What `stat` counts blocks in, whatever the file system's own block size.
const STAT_BLOCK_BYTES: u64 = 512;

/// The real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        Ok(Arc::new(RealFile(file.map_err(|error| named(path, &error))?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        Ok(Arc::new(RealFile(file.map_err(|error| named(path, &error))?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(|error| named(from, &error))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(|error| named(path, &error))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path).map_err(|error| named(path, &error))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path).map_err(|error| named(path, &error))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(dir).map_err(|error| named(dir, &error))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort_unstable();
        Ok(paths)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all().map_err(|error| named(dir, &error))
    }

    fn sync_filesystem(&self, dir: &Path) -> io::Result<()> {
        let synced = syncfs(File::open(dir)?).map_err(|error| named(dir, &error.into()));
        if planted!(IgnoreSyncError) { Ok(()) } else { synced }
    }

    fn is_mount(&self, dir: &Path) -> io::Result<bool> {
        let (own, parent) = (fs::metadata(dir)?, fs::metadata(dir.join(".."))?);
        // The root of all is its own parent.
        Ok(own.dev() != parent.dev() || own.ino() == parent.ino())
    }
}

/// The system's error with the path in front: its own text names none.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write_all_at(&self, mut at: u64, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let batch = slices.get(..SLICES_MAX).unwrap_or(slices);
            match pwritev(&self.0, batch, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at = at.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<usize> {
        let mut total = 0;
        while !buffer.is_empty() {
            match FileExt::read_at(&self.0, buffer, at) {
                Ok(0) => break,
                Ok(read) => {
                    total += read;
                    at = at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = fdatasync(&self.0);
        if planted!(IgnoreSyncError) { Ok(()) } else { Ok(synced?) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn next_data(&self, at: u64) -> io::Result<Option<u64>> {
        match seek(&self.0, SeekFrom::Data(at)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            // A file system without holes: everything may be data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((at < self.len()?).then_some(at)),
            Err(error) => Err(error.into()),
        }
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.blocks().saturating_mul(STAT_BLOCK_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_slices_than_one_call_takes_are_all_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&dir.path().join("a")).unwrap();
        let bytes: Vec<[u8; 3]> = (0..3000_u16).map(|n| [n.to_le_bytes()[0], 7, 9]).collect();
        let mut slices: Vec<IoSlice<'_>> = bytes.iter().map(|b| IoSlice::new(b)).collect();
        file.write_all_at(5, &mut slices).unwrap();
        let mut read = vec![0; 9005];
        assert_eq!(file.read_at(0, &mut read).unwrap(), 9005);
        assert_eq!(read[..5], [0; 5]);
        assert_eq!(read[5..], bytes.concat());
    }

    #[test]
    fn a_hole_has_no_data_and_takes_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&dir.path().join("a")).unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(file.next_data(0).unwrap(), None);
        assert_eq!(file.allocated().unwrap(), 0);
        file.write_all_at(512 << 10, &mut [IoSlice::new(b"x")]).unwrap();
        assert_eq!(file.next_data(0).unwrap(), Some(512 << 10));
        assert!(file.allocated().unwrap() > 0);
        assert_eq!(file.len().unwrap(), 1 << 20);
    }

    #[test]
    fn a_file_that_exists_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        RealDisk.create(&path).unwrap();
        let Err(error) = RealDisk.create(&path) else { panic!("created twice") };
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("/a:"), "{error}");
    }

    #[test]
    fn the_root_is_a_mount_and_a_plain_directory_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(RealDisk.is_mount(Path::new("/")).unwrap());
        assert!(!RealDisk.is_mount(dir.path()).unwrap());
    }
}
