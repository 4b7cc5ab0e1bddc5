//! A disk in memory that fails as disks do, for tests. Seeded: the same seed and the same calls give
//! the same losses.
//!
//! ```text
//!   write, set_len ──▶ volatile bytes ──sync_data──▶ durable bytes        per file
//!   create, rename ──▶ volatile names ──sync_dir───▶ durable names        all names in one order
//! ```
//!
//! What a power cut does:
//! - each 512-byte sector write that was not synced is kept, lost or torn on its own;
//! - changes of a file's length survive in order: a prefix of them;
//! - changes of names survive in order: a prefix of them, as with a journal. Syncing a directory keeps
//!   everything up to the last change in it;
//! - a file whose name is lost is lost, synced or not.
//!
//! After a failed sync the written bytes are clean (a later sync says nothing of them) and yet not
//! durable, as on Linux.

mod chance;
mod file_state;
mod machine;
mod names;

use super::{Disk, DiskFile};
use file_state::{FileState, SECTOR_BYTES};
use machine::{FileId, Machine, Power};
use names::{NameChange, Node};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// How often the disk was told to make something durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncCounts {
    /// [`DiskFile::sync_data`].
    pub data: u64,
    /// [`Disk::sync_dir`].
    pub dir: u64,
    /// [`Disk::sync_filesystem`].
    pub filesystem: u64,
}

/// The faulty disk; clones are the same disk.
#[derive(Clone)]
pub struct FaultyDisk {
    machine: Arc<Mutex<Machine>>,
}

impl FaultyDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::of(Machine::new(seed))
    }

    /// Cuts the power: what was not durable survives by chance. Returns the disk as it is after the
    /// reboot; this one and its open files answer every call with an error from now on.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        let mut machine = self.lock();
        let after = machine.after_power_cut();
        machine.power = Power::Off;
        Self::of(after)
    }

    /// Whether [`Disk::is_mount`] says yes (it says no at first).
    pub fn set_mount(&self, mount: bool) {
        self.lock().mount = mount;
    }

    /// The next `count` syncs of any sort fail with `EIO`.
    pub fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// After `bytes` more bytes writes fail with `ENOSPC`; `None` takes the limit away.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.lock().space = bytes;
    }

    /// The next write writes only its first `bytes` bytes, then fails with `EIO`.
    pub fn shorten_next_write(&self, bytes: usize) {
        self.lock().short_write = Some(bytes);
    }

    /// Flips bits of one byte, both in the page cache and on the medium.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn flip(&self, path: &Path, at: u64, mask: u8) {
        let mut machine = self.lock();
        let id = machine.file_at(path).expect("the test names a file that exists");
        let file = machine.files.get_mut(&id).expect("a name leads to its file");
        let at = usize::try_from(at).expect("a file in memory has 64-bit positions");
        for bytes in [&mut file.volatile, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
    }

    /// How often something was synced.
    pub fn counts(&self) -> SyncCounts {
        self.lock().counts
    }

    fn of(machine: Machine) -> Self {
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no holder of the lock panics")
    }

    fn on(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.lock();
        machine.check_power()?;
        Ok(machine)
    }

    fn handle(&self, id: FileId) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { disk: self.clone(), id })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut machine = self.on()?;
        machine.check_parent(path)?;
        if machine.names.contains_key(path) {
            return Err(missing(io::ErrorKind::AlreadyExists, path));
        }
        let id = machine.next_id;
        machine.next_id += 1;
        machine.files.insert(id, FileState::default());
        machine.change(NameChange::Add(path.to_owned(), Node::File(id)));
        Ok(self.handle(id))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.on()?.file_at(path)?;
        Ok(self.handle(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.on()?;
        machine.check_parent(to)?;
        if !machine.names.contains_key(from) {
            return Err(missing(io::ErrorKind::NotFound, from));
        }
        machine.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.on()?;
        machine.file_at(path)?;
        machine.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.on()?;
        let mut missing: Vec<&Path> =
            path.ancestors().take_while(|dir| !machine.names.contains_key(*dir)).collect();
        missing.reverse();
        for dir in missing.into_iter().filter(|dir| dir.parent().is_some()) {
            machine.change(NameChange::Add(dir.to_owned(), Node::Dir));
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(missing(io::ErrorKind::DirectoryNotEmpty, path));
        }
        self.on()?.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let machine = self.on()?;
        machine.check_dir(dir)?;
        let inside = machine.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.cloned().collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut machine = self.on()?;
        machine.check_dir(dir)?;
        machine.counts.dir += 1;
        machine.fail_this_sync()?;
        let last = machine.pending.iter().rposition(|change| change.touches(dir));
        let count = last.map_or(0, |last| last + 1);
        machine.keep_names(count);
        Ok(())
    }

    fn sync_filesystem(&self, _dir: &Path) -> io::Result<()> {
        let mut machine = self.on()?;
        machine.counts.filesystem += 1;
        let failed = machine.fail_this_sync();
        for file in machine.files.values_mut() {
            file.sync(failed.is_ok());
        }
        failed?;
        let count = machine.pending.len();
        machine.keep_names(count);
        Ok(())
    }

    fn is_mount(&self, _dir: &Path) -> io::Result<bool> {
        Ok(self.on()?.mount)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    id: FileId,
}

impl FaultyFile {
    fn with<T>(&self, act: impl FnOnce(&mut FileState) -> T) -> io::Result<T> {
        let mut machine = self.disk.on()?;
        Ok(act(machine.files.get_mut(&self.id).expect("an open file outlives its name")))
    }
}

impl DiskFile for FaultyFile {
    fn write_all_at(&self, at: u64, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let (allowed, outcome) = self.disk.on()?.admit(bytes.len());
        let written = bytes.get(..allowed).unwrap_or(&bytes);
        self.with(|file| file.write(position(at), written))?;
        outcome
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|file| {
            let rest = file.volatile.get(position(at)..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(rest) {
                *to = *from;
            }
            count
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let failed = {
            let mut machine = self.disk.on()?;
            machine.counts.data += 1;
            machine.fail_this_sync()
        };
        self.with(|file| file.sync(failed.is_ok()))?;
        failed
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(position(len)))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|file| length(file.volatile.len()))
    }

    fn next_data(&self, at: u64) -> io::Result<Option<u64>> {
        self.with(|file| {
            let rest = file.volatile.get(position(at)..).unwrap_or_default();
            let hole = rest.iter().position(|byte| *byte != 0)?;
            Some(at + length(hole))
        })
    }

    /// What is not all zero counts as allocated, sector by sector.
    fn allocated(&self) -> io::Result<u64> {
        self.with(|file| {
            let sectors = file.volatile.chunks(SECTOR_BYTES);
            let used = sectors.filter(|sector| sector.iter().any(|byte| *byte != 0)).count();
            length(used * SECTOR_BYTES)
        })
    }
}

fn position(at: u64) -> usize {
    usize::try_from(at).expect("a file in memory has 64-bit positions")
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}

fn missing(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{}: {kind}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/data/a";

    fn disk_with_file(seed: u64) -> (FaultyDisk, Arc<dyn DiskFile>) {
        let disk = FaultyDisk::new(seed);
        disk.create_dir(Path::new("/data")).unwrap();
        let file = disk.create(Path::new(A)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.sync_dir(Path::new("/data")).unwrap();
        (disk, file)
    }

    fn content(disk: &FaultyDisk) -> Vec<u8> {
        let file = disk.open(Path::new(A)).unwrap();
        let mut bytes = vec![0; position(file.len().unwrap())];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn write(file: &dyn DiskFile, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(at, &mut [IoSlice::new(bytes)])
    }

    #[test]
    fn synced_bytes_survive_every_power_cut() {
        for seed in 0..50 {
            let (disk, file) = disk_with_file(seed);
            write(&*file, 0, &[7; 2000]).unwrap();
            file.sync_data().unwrap();
            assert_eq!(content(&disk.power_cut()), [7; 2000]);
        }
    }

    #[test]
    fn unsynced_sectors_are_kept_lost_or_torn_each_on_its_own() {
        let mut shapes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let (disk, file) = disk_with_file(seed);
            file.set_len(1024).unwrap();
            file.sync_data().unwrap();
            write(&*file, 0, &[7; 1024]).unwrap();
            let after = content(&disk.power_cut());
            let shape = after.chunks(SECTOR_BYTES).map(|sector| {
                match sector.split(|byte| *byte != 7).map(<[u8]>::len).sum() {
                    0 => 'l',
                    SECTOR_BYTES => 'k',
                    _ => 't',
                }
            });
            shapes.insert(shape.collect::<String>());
        }
        let all = ["kk", "kl", "kt", "lk", "ll", "lt", "tk", "tl", "tt"];
        assert_eq!(shapes.iter().map(String::as_str).collect::<Vec<_>>(), all);
    }

    #[test]
    fn an_unsynced_length_is_lost_or_kept_in_order() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let (disk, file) = disk_with_file(seed);
            for len in [100, 50, 800] {
                file.set_len(len).unwrap();
            }
            lengths.insert(content(&disk.power_cut()).len());
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 50, 100, 800]);
    }

    #[test]
    fn names_survive_as_a_prefix_and_always_after_a_directory_sync() {
        let b = Path::new("/data/b");
        let (mut first, mut second) = (0, 0);
        for seed in 0..100 {
            let (disk, _file) = disk_with_file(seed);
            disk.rename(Path::new(A), b).unwrap();
            disk.create(Path::new(A)).unwrap();
            let after = disk.power_cut();
            let names = after.list(Path::new("/data")).unwrap();
            match names.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>()[..] {
                ["/data/a"] => {}
                ["/data/b"] => first += 1,
                ["/data/a", "/data/b"] => second += 1,
                _ => panic!("no prefix of the changes: {names:?}"),
            }
            disk_with_synced_rename(seed, b);
        }
        assert!(first > 0 && second > 0, "{first} {second}");
    }

    fn disk_with_synced_rename(seed: u64, b: &Path) {
        let (disk, _file) = disk_with_file(seed);
        disk.rename(Path::new(A), b).unwrap();
        disk.sync_dir(Path::new("/data")).unwrap();
        assert_eq!(disk.power_cut().list(Path::new("/data")).unwrap(), [b]);
    }

    #[test]
    fn after_a_failed_sync_the_bytes_are_clean_and_yet_not_durable() {
        let (disk, file) = disk_with_file(1);
        file.set_len(4).unwrap();
        file.sync_data().unwrap();
        write(&*file, 0, b"lost").unwrap();
        disk.fail_syncs(1);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        file.sync_data().unwrap();
        assert_eq!(content(&disk), b"lost", "the page cache still has them");
        assert_eq!(content(&disk.power_cut()), [0; 4]);
        assert_eq!(disk.counts().data, 3);
    }

    #[test]
    fn a_full_disk_and_a_short_write_leave_a_part() {
        let (disk, file) = disk_with_file(1);
        disk.limit_space(Some(3));
        assert_eq!(write(&*file, 0, b"12345").unwrap_err().raw_os_error(), Some(28));
        assert_eq!(content(&disk), b"123");
        disk.limit_space(None);
        disk.shorten_next_write(1);
        assert_eq!(write(&*file, 0, b"xyz").unwrap_err().raw_os_error(), Some(5));
        assert_eq!(content(&disk), b"x23");
    }

    #[test]
    fn without_power_nothing_answers() {
        let (disk, file) = disk_with_file(1);
        let after = disk.power_cut();
        assert!(file.sync_data().is_err() && disk.list(Path::new("/")).is_err());
        assert!(after.list(Path::new("/data")).is_ok());
    }

    #[test]
    fn a_renamed_directory_takes_its_files_along() {
        let (disk, file) = disk_with_file(1);
        write(&*file, 0, b"here").unwrap();
        disk.rename(Path::new("/data"), Path::new("/gone")).unwrap();
        assert_eq!(disk.list(Path::new("/gone")).unwrap(), [Path::new("/gone/a")]);
        assert!(disk.list(Path::new("/data")).is_err());
    }
}
