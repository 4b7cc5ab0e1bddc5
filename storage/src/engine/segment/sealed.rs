//! Segments that take no more writes, and the bounded number of them that is open.
//!
//! A sealed segment is only its name until somebody reads it. Then its file is opened, its heads are
//! hopped over once to build the sparse index, and both are kept until others are read more recently.

use super::file::{SegmentFile, hop};
use super::frame::Seed;
use super::header::{FileHeader, Found};
use crate::Index;
use crate::disk::Disk;
use crate::engine::SegmentId;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Open sealed segments: a file descriptor and up to about 32 KiB of index (64 MiB files) each.
pub(super) const SEALED_OPEN_MAX: usize = 256;

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) id: SegmentId,
    pub(super) path: PathBuf,
}

impl Sealed {
    pub(super) fn new(id: SegmentId, path: PathBuf) -> Self {
        Self { id, path }
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
    files: HashMap<SegmentId, (Arc<SegmentFile>, u64)>,
    clock: u64,
}

impl OpenSealed {
    /// The open file of a sealed segment; opens it if need be.
    pub(super) fn get(
        &self,
        sealed: &Sealed,
        disk: &dyn Disk,
        next: Option<Index>,
    ) -> io::Result<Arc<SegmentFile>> {
        if let Some(file) = self.touch(sealed.id) {
            return Ok(file);
        }
        // Built without the lock: two readers may both build it, and the first one's is kept.
        let built = Arc::new(sealed.open(disk, next)?);
        Ok(self.keep(built))
    }

    /// Takes in the file of a segment that was just sealed.
    pub(super) fn insert(&self, file: Arc<SegmentFile>) {
        let mut recent = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        recent.clock += 1;
        let clock = recent.clock;
        recent.files.insert(file.id, (file, clock));
        recent.close_oldest();
    }

    /// Keeps a file open, unless one of the segment is; returns the one that is.
    fn keep(&self, file: Arc<SegmentFile>) -> Arc<SegmentFile> {
        let mut recent = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        recent.clock += 1;
        let clock = recent.clock;
        let kept = Arc::clone(&recent.files.entry(file.id).or_insert((file, clock)).0);
        recent.close_oldest();
        kept
    }

    pub(super) fn forget(&self, id: SegmentId) -> Option<Arc<SegmentFile>> {
        let mut recent = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        recent.files.remove(&id).map(|(file, _)| file)
    }

    fn touch(&self, id: SegmentId) -> Option<Arc<SegmentFile>> {
        let mut recent = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        recent.clock += 1;
        let clock = recent.clock;
        let (file, used) = recent.files.get_mut(&id)?;
        *used = clock;
        Some(Arc::clone(file))
    }
}

impl Recent {
    /// A file in use is not closed: a cut must find the readers of its segment.
    fn close_oldest(&mut self) {
        while self.files.len() > SEALED_OPEN_MAX {
            let idle = self.files.iter().filter(|(_, (file, _))| Arc::strong_count(file) == 1);
            let Some(oldest) = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) else {
                return;
            };
            self.files.remove(&oldest);
        }
    }
}
