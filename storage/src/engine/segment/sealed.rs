//! Segments that take no more writes, and the bounded number of them that is open.
//!
//! A sealed segment is only its name until somebody reads it. Then its file is opened, its heads are
//! hopped over once to build the sparse index, and both are kept until others are read more recently.
//! A segment whose content was replaced is in its next life: files of earlier ones are not handed out.

use super::file::{SegmentFile, hop};
use super::frame::Seed;
use super::header::{FileHeader, Found};
use crate::Index;
use crate::disk::Disk;
use crate::engine::SegmentId;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open sealed segments: a file descriptor and up to about 32 KiB of index (64 MiB files) each.
pub(super) const SEALED_OPEN_MAX: usize = 256;

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) id: SegmentId,
    pub(super) path: PathBuf,
    /// How often its content was replaced since the engine was opened.
    pub(super) life: u64,
}

impl Sealed {
    pub(super) fn new(id: SegmentId, path: PathBuf) -> Self {
        Self { id, path, life: 0 }
    }

    /// The same segment with other content.
    pub(super) fn reborn(&self) -> Self {
        Self { life: self.life + 1, ..self.clone() }
    }

    /// Opens the file and builds its index; `next` is the first index of the segment that follows.
    fn open(&self, disk: &dyn Disk, next: Option<Index>) -> io::Result<SegmentFile> {
        let file = disk.open(&self.path)?;
        let header = expect_header(&FileHeader::read(&*file)?, self.id, &self.path)?;
        let seed = Seed::of(header.salt);
        let extent = hop(&*file, seed, self.id.first)?;
        let (end, has) = (extent.end, extent.next);
        let segment = SegmentFile::new(self.id, self.path.clone(), file, seed, extent);
        match next {
            Some(next) if has < next => Err(segment.bad(end, "crc")),
            Some(_) | None => Ok(segment),
        }
    }
}

/// The header of a named segment, or `InvalidData`.
pub(super) fn expect_header(found: &Found, id: SegmentId, path: &Path) -> io::Result<FileHeader> {
    let why = match found {
        Found::Header(header) if header.id == id => return Ok(*header),
        Found::Header(header) => {
            format!("header at byte 16: group {} entry {}", header.id.group, header.id.first)
        }
        Found::Nothing => "header at byte 0: zeros".into(),
        Found::Damaged(why) => why.clone(),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display())))
}

/// The sealed segments that are open, the most recently used ones.
#[derive(Default)]
pub(super) struct OpenSealed {
    open: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    files: HashMap<SegmentId, Open>,
    clock: u64,
}

struct Open {
    file: Arc<SegmentFile>,
    life: u64,
    used: u64,
}

impl OpenSealed {
    /// The open file of a sealed segment; opens it if need be.
    pub(super) fn get(
        &self,
        sealed: &Sealed,
        disk: &dyn Disk,
        next: Option<Index>,
    ) -> io::Result<Arc<SegmentFile>> {
        if let Some(file) = self.touch(sealed) {
            return Ok(file);
        }
        // Built without the lock: two readers may both build it, and the first one's is kept.
        let built = Arc::new(sealed.open(disk, next)?);
        Ok(self.keep(built, sealed.life))
    }

    /// Takes in the file of a segment that was just sealed.
    pub(super) fn insert(&self, file: Arc<SegmentFile>) {
        let mut recent = self.lock();
        let used = recent.tick();
        recent.files.insert(file.id, Open { file, life: 0, used });
        recent.close_oldest();
    }

    /// Keeps a file open, unless one of this life of the segment, or of a later one, is; returns the one
    /// that is.
    fn keep(&self, file: Arc<SegmentFile>, life: u64) -> Arc<SegmentFile> {
        let mut recent = self.lock();
        let used = recent.tick();
        let open = recent.files.get(&file.id).filter(|open| open.life >= life);
        let kept = open.map_or(file, |open| Arc::clone(&open.file));
        let life = open.map_or(life, |open| open.life);
        recent.files.insert(kept.id, Open { file: Arc::clone(&kept), life, used });
        recent.close_oldest();
        kept
    }

    pub(super) fn forget(&self, id: SegmentId) -> Option<Arc<SegmentFile>> {
        self.lock().files.remove(&id).map(|open| open.file)
    }

    fn touch(&self, sealed: &Sealed) -> Option<Arc<SegmentFile>> {
        let mut recent = self.lock();
        let used = recent.tick();
        let open = recent.files.get_mut(&sealed.id).filter(|open| open.life >= sealed.life)?;
        open.used = used;
        Some(Arc::clone(&open.file))
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A file in use is not closed: a cut must find the readers of its segment.
    fn close_oldest(&mut self) {
        while self.files.len() > SEALED_OPEN_MAX {
            let idle = self.files.iter().filter(|(_, open)| Arc::strong_count(&open.file) == 1);
            let Some(oldest) = idle.min_by_key(|(_, open)| open.used).map(|(id, _)| *id) else {
                return;
            };
            self.files.remove(&oldest);
        }
    }
}
