//! A node's disk: an ext4 file system of its own, in an image on a loop device. Its power can be cut: what
//! was not flushed is then really gone, with the real journal and the real rules of renames.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::janitor::{Janitor, Made};
use super::tool;

/// What is compared is compared in pieces of this size.
const BLOCK_BYTES: usize = 4096;
/// Fills the disk.
const FILLER: &str = "filler";
/// Written and never flushed: it must not survive a power cut.
const CANARY: &str = "canary";
const CANARY_BYTES: usize = 8192;

/// A mounted volume; the janitor unmounts it.
#[derive(Debug)]
pub struct Volume {
    mount: PathBuf,
    device: PathBuf,
}

/// What every file on a volume held: a checksum per block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<PathBuf, Vec<(u32, usize)>>);

impl Volume {
    /// Makes `NAME.img` in `dir`, formats it, and mounts it at `NAME`.
    pub fn make(dir: &Path, name: &str, bytes: u64, janitor: &Janitor) -> io::Result<Self> {
        let (image, mount) = (dir.join(format!("{name}.img")), dir.join(name));
        File::create(&image)?.set_len(bytes)?;
        tool::run("mkfs.ext4", &["-q", "-F", "-m", "0", tool::argument(&image)?])?;
        let device = tool::run("losetup", &["--find", "--show", tool::argument(&image)?])?;
        let volume = Self { mount, device: PathBuf::from(device) };
        janitor.made(Made::Loop(volume.device.clone()))?;
        janitor.made(Made::Mount(volume.mount.clone()))?;
        fs::create_dir_all(&volume.mount)?;
        volume.mount()?;
        Ok(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> io::Result<()> {
        let (device, mount) = (tool::argument(&self.device)?, tool::argument(&self.mount)?);
        tool::run("mount", &["-t", "ext4", device, mount]).map(drop)
    }

    /// Cuts the power. Everything on it fails from now on; those who have files open on it are to be killed
    /// before [`Volume::recover`].
    pub fn cut_power(&self) -> io::Result<()> {
        let mut canary = File::create(self.mount.join(CANARY))?;
        canary.write_all(&[b'c'; CANARY_BYTES])?;
        ioctl::cut_power(&self.mount)
    }

    /// Mounts it again, as after a power cut; says how many bytes of the canary are gone.
    pub fn recover(&self) -> io::Result<u64> {
        tool::run("umount", &[tool::argument(&self.mount)?])?;
        self.mount()?;
        let canary = self.mount.join(CANARY);
        let left = fs::metadata(&canary).map_or(0, |metadata| metadata.len());
        if canary.exists() {
            fs::remove_file(&canary)?;
        }
        Ok(u64::try_from(CANARY_BYTES).unwrap_or(0).saturating_sub(left))
    }

    /// What all its files hold now, as a process sees them.
    pub fn contents(&self) -> io::Result<Contents> {
        Contents::of(&self.mount)
    }

    /// Bytes that anyone may still write.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let found = statvfs(&self.mount)?;
        Ok(found.f_bavail * found.f_frsize)
    }

    /// Takes all space but `left` bytes; says how much.
    pub fn fill(&self, left: u64) -> io::Result<u64> {
        let bytes = self.free_bytes()?.saturating_sub(left);
        let filler = File::create(self.mount.join(FILLER))?;
        fallocate(&filler, FallocateFlags::empty(), 0, bytes.max(1))?;
        Ok(bytes)
    }

    /// Gives it back.
    pub fn drain(&self) -> io::Result<()> {
        fs::remove_file(self.mount.join(FILLER))
    }
}

impl Contents {
    /// Of all files below `dir`.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let mut contents = Self::default();
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    contents.0.insert(entry.path(), blocks(&entry.path())?);
                }
            }
        }
        Ok(contents)
    }

    /// How many bytes of these contents are no more, or another, in the later ones.
    pub fn lost_in(&self, later: &Self) -> u64 {
        let mut lost = 0;
        for (path, blocks) in &self.0 {
            let others = later.0.get(path).map_or(&[][..], Vec::as_slice);
            for (place, block) in blocks.iter().enumerate() {
                if others.get(place) != Some(block) {
                    lost += block.1;
                }
            }
        }
        u64::try_from(lost).unwrap_or(u64::MAX)
    }
}

fn blocks(path: &Path) -> io::Result<Vec<(u32, usize)>> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * BLOCK_BYTES];
    let mut blocks = Vec::new();
    loop {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest)? {
                0 => break,
                more => filled += more,
            }
        }
        if filled == 0 {
            return Ok(blocks);
        }
        let pieces = buffer.get(..filled).unwrap_or_default().chunks(BLOCK_BYTES);
        blocks.extend(pieces.map(|piece| (crc32c::crc32c(piece), piece.len())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_shrank_or_vanished_is_lost_and_what_grew_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("same", &[1; 5000]);
        write("changed", &[1; 5000]);
        write("shrunk", &[1; 5000]);
        write("gone", &[1; 10]);
        fs::create_dir(dir.path().join("inner")).unwrap();
        write("inner/grown", &[1; 4096]);
        let before = Contents::of(dir.path()).unwrap();
        assert_eq!(before.lost_in(&before), 0);
        write("changed", &[[1; 4096].as_slice(), &[2; 904]].concat());
        write("shrunk", &[1; 4096]);
        fs::remove_file(dir.path().join("gone")).unwrap();
        write("inner/grown", &[1; 9000]);
        assert_eq!(before.lost_in(&Contents::of(dir.path()).unwrap()), 904 + 904 + 10);
    }
}
