//! Segment files: each log is a chain of files of equal size, named by their first index.
//!
//! ```text
//!   <dir>/segments/<group>/<first index, 20 digits>.log    header │ frame │ frame │ … │ zeros or old
//!   <dir>/spare/    files made ahead or to be used again
//!   <dir>/trash/    files to be removed
//!
//!   create ─▶ Active ──next create seals it──▶ Sealed ──remove──▶ spare or trash
//!               ▲  └ write, cut, barrier          │ └ replace
//!               └──────────── cut ────────────────┘
//! ```
//!
//! Invariants:
//! - a group has at most one active segment, its last one;
//! - what a completed barrier covered is read back byte for byte, or refused: never changed, never
//!   skipped;
//! - a frame of a file's former life, or one behind a cut, is never valid;
//! - after a failed write or sync a segment takes no more of either until it is recovered, and
//!   recovery writes anew what no claim says was durable.

mod active;
mod barrier;
mod extent;
mod file;
mod frame;
mod header;
mod replacement;
mod scan;
mod sealed;
mod spares;
mod tail;
mod window;

pub use barrier::{Barrier, plan_barrier};
pub use frame::frame_bytes;
pub use header::HEADER_BYTES;

use super::{Engine, Frame, Known, NextFrames, RecoverError, SegmentId};
use crate::disk::{Disk, DiskFile};
use crate::{GroupId, Header, Index, Offset, StoredEntry};
use active::Active;
use barrier::SyncPool;
use extent::Extent;
use file::SegmentFile;
use frame::Seed;
use header::{FileHeader, Found};
use replacement::Replacement;
use sealed::{OpenSealed, Sealed, expect_header};
use spares::Spares;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tail::{Beginning, Birth, Verdict};

/// Digits of a segment file's name: any `u64`.
const NAME_DIGITS: usize = 20;

/// The engine that keeps frames in segment files.
pub struct SegmentEngine {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segments_dir: PathBuf,
    segment_bytes: u64,
    is_mount: bool,
    slots: RwLock<BTreeMap<SegmentId, Slot>>,
    open_sealed: OpenSealed,
    spares: Spares,
    pool: Option<SyncPool>,
}

/// A segment that was created, recovered or opened.
#[derive(Clone)]
enum Slot {
    Active(Arc<Active>),
    Sealed(Sealed),
}

impl SegmentEngine {
    /// Opens the engine under a data directory. Files are made `segment_bytes` long.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> io::Result<Self> {
        let segments_dir = dir.join("segments");
        disk.create_dir(&segments_dir)?;
        let segment_bytes = segment_bytes.max(HEADER_BYTES);
        let spares = Spares::start(Arc::clone(&disk), dir, segment_bytes)?;
        disk.sync_dir(dir)?;
        let is_mount = disk.is_mount(dir)?;
        let pool = if is_mount { None } else { Some(SyncPool::start()?) };
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            segments_dir,
            segment_bytes,
            is_mount,
            slots: RwLock::default(),
            open_sealed: OpenSealed::default(),
            spares,
            pool,
        })
    }

    fn group_dir(&self, group: GroupId) -> PathBuf {
        self.segments_dir.join(group.to_string())
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        let name = format!("{:0width$}.log", id.first.get(), width = NAME_DIGITS);
        self.group_dir(id.group).join(name)
    }

    fn slots(&self) -> RwLockReadGuard<'_, BTreeMap<SegmentId, Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<SegmentId, Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: SegmentId) -> io::Result<Slot> {
        let slot = self.slots().get(&id).cloned();
        slot.ok_or_else(|| {
            let text = format!("{}: the segment is not open", self.path(id).display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    /// The first index of the segment that follows in the group.
    fn next_first(&self, id: SegmentId) -> Option<Index> {
        let slots = self.slots();
        let (next, _) = slots.range(id..).nth(1)?;
        (next.group == id.group).then_some(next.first)
    }

    fn readable(&self, id: SegmentId) -> io::Result<Arc<SegmentFile>> {
        match self.slot(id)? {
            Slot::Active(active) => Ok(Arc::clone(active.file())),
            Slot::Sealed(sealed) => self.open_sealed.get(&sealed, &*self.disk, self.next_first(id)),
        }
    }

    /// Makes a segment the group's active one and seals the one before it.
    fn activate(&self, active: Active) {
        let id = active.file().id;
        let mut slots = self.slots_mut();
        for (_, slot) in slots.range_mut(SegmentId { group: id.group, first: Index::ZERO }..id) {
            if let Slot::Active(before) = slot {
                // Kept open: its last writes may wait for a barrier, which must see their errors.
                self.open_sealed.insert(Arc::clone(before.file()));
                *slot = Slot::Sealed(Arc::clone(before).seal());
            }
        }
        self.open_sealed.forget(id);
        slots.insert(id, Slot::Active(Arc::new(active)));
    }

    fn active(&self, header: FileHeader, file: Arc<dyn DiskFile>, extent: Extent) -> Active {
        let (id, seed) = (header.id, Seed::of(header.salt));
        let file = SegmentFile::new(id, self.path(id), file, seed, extent);
        Active::new(Arc::new(file), self.segment_bytes)
    }

    fn make_group_dir(&self, group: GroupId) -> io::Result<PathBuf> {
        let dir = self.group_dir(group);
        if none_if_missing(self.disk.list(&dir))?.is_none() {
            self.disk.create_dir(&dir)?;
            self.disk.sync_dir(&self.segments_dir)?;
        }
        Ok(dir)
    }

    /// The file's header; a blank file that never held anything gets one.
    fn header_or_newborn(
        &self,
        id: SegmentId,
        known: Known,
        file: &dyn DiskFile,
    ) -> Result<FileHeader, RecoverError> {
        let beginning = match FileHeader::read(file)? {
            Found::Header(header) if header.id == id && header.base_offset == known.base_offset => {
                return Ok(header);
            }
            Found::Header(header) => Beginning::Damaged(format!(
                "header: group {}, entry {}, base offset {} where base offset {} was expected",
                header.id.group, header.id.first, header.base_offset, known.base_offset
            )),
            Found::Nothing if header::is_blank(file)? => Beginning::Blank,
            Found::Nothing => Beginning::Damaged("header at byte 0: zeros".into()),
            Found::Damaged(why) => Beginning::Damaged(why),
        };
        match beginning.decide(id.first, known.durable) {
            Birth::Refuse { why } => Err(self.corrupt(id, why)),
            Birth::Newborn => {
                let header = FileHeader::new(id, known.base_offset);
                header.write(file)?;
                file.sync_data()?;
                Ok(header)
            }
        }
    }

    /// What a reader saw while its segment was removed says nothing of the disk.
    fn unless_removed(&self, id: SegmentId, error: io::Error) -> io::Error {
        self.slot(id).err().unwrap_or(error)
    }

    fn corrupt(&self, id: SegmentId, why: String) -> RecoverError {
        RecoverError::Corrupt { place: self.path(id).display().to_string(), why }
    }

    fn open_named(&self, id: SegmentId, known: Known) -> Result<Arc<dyn DiskFile>, RecoverError> {
        let claimed = known.durable.is_some_and(|durable| durable >= id.first);
        match self.disk.open(&self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && claimed => {
                Err(self.corrupt(id, "the file is gone, and it held durable entries".into()))
            }
            opened => Ok(opened?),
        }
    }

    /// Gives a replacement the segment's name, unless the segment was removed while it was written.
    fn put_in_place(&self, segment: SegmentId, spare: &Path) -> io::Result<()> {
        let mut slots = self.slots_mut();
        let Some(slot) = slots.get_mut(&segment) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let path = self.path(segment);
        self.disk.rename(spare, &path)?;
        // Readers that have the former file go on with it; nobody opens it again.
        *slot = Slot::Sealed(match slot {
            Slot::Sealed(sealed) => sealed.reborn(),
            // Sealed by the log, and nothing was created after it yet.
            Slot::Active(active) => Arc::clone(active).seal().reborn(),
        });
        drop(slots);
        self.open_sealed.forget(segment);
        self.disk.sync_dir(&self.group_dir(segment.group))
    }

    /// A file whose segment was removed: to be used again, unless somebody still reads it.
    fn lay_aside(&self, path: &Path, file: Arc<SegmentFile>) -> io::Result<()> {
        match Arc::into_inner(file) {
            // A reader may still be at it, or its state is unknown: not to be written over.
            None => self.spares.throw_away(path),
            Some(file) if file.check_health().is_err() => self.spares.throw_away(path),
            Some(file) => self.spares.recycle(path, file.file),
        }
    }
}

impl Engine for SegmentEngine {
    fn segments(&self, group: GroupId) -> io::Result<Vec<SegmentId>> {
        let paths = none_if_missing(self.disk.list(&self.group_dir(group)))?.unwrap_or_default();
        let firsts = paths.iter().filter_map(|path| number(path.file_stem()));
        Ok(firsts.map(|first| SegmentId { group, first: Index::new(first) }).collect())
    }

    fn groups(&self) -> io::Result<Vec<GroupId>> {
        let mut groups = Vec::new();
        for path in self.disk.list(&self.segments_dir)? {
            if let Some(group) = number(path.file_name())
                && !self.disk.list(&path)?.is_empty()
            {
                groups.push(GroupId::new(group));
            }
        }
        groups.sort_unstable();
        Ok(groups)
    }

    fn create(&self, segment: SegmentId, base_offset: Offset) -> io::Result<()> {
        let path = self.path(segment);
        if none_if_missing(self.disk.open(&path))?.is_some() {
            let text = format!("{}: exists", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let group_dir = self.make_group_dir(segment.group)?;
        let spare = self.spares.take()?;
        let header = FileHeader::new(segment, base_offset);
        header.write(&*spare.file)?;
        spare.file.sync_data()?;
        self.disk.rename(&spare.path, &path)?;
        self.disk.sync_dir(&group_dir)?;
        self.activate(self.active(header, spare.file, Extent::empty(segment.first)));
        Ok(())
    }

    fn recover(&self, segment: SegmentId, known: Known) -> Result<Vec<Header>, RecoverError> {
        let file = self.open_named(segment, known)?;
        let header = self.header_or_newborn(segment, known, &*file)?;
        let seed = Seed::of(header.salt);
        let scan = scan::scan(&*file, seed, segment.first, known)?;
        if file.len()? < self.segment_bytes {
            file.set_len(self.segment_bytes)?;
        }
        let end = scan.extent.end;
        let active = self.active(header, file, scan.extent);
        match scan.seen.decide() {
            Verdict::Whole => {}
            Verdict::Cut { after } => {
                let (path, later) = (active.file().path.display(), scan.seen.later);
                let stop = scan.seen.stop;
                tracing::warn!(%path, byte = end, ?after, ?stop, later, "torn tail cut");
                active.cut_beyond_extent()?;
            }
            Verdict::Refuse { why } => {
                return Err(self.corrupt(segment, format!("frame at byte {end}: {why}")));
            }
        }
        if scan.unclaimed_at < end {
            active.rewrite_from(scan.unclaimed_at)?;
        }
        self.activate(active);
        Ok(scan.headers)
    }

    fn open_sealed(&self, segment: SegmentId, base_offset: Offset) -> Result<(), RecoverError> {
        // It was durable when it was sealed: a missing file is damage.
        let known = Known { base_offset, durable: Some(segment.first) };
        let file = self.open_named(segment, known)?;
        self.header_or_newborn(segment, known, &*file)?;
        let sealed = Sealed::new(segment, self.path(segment));
        self.slots_mut().insert(segment, Slot::Sealed(sealed));
        Ok(())
    }

    fn write(&self, segment: SegmentId, frames: &[Frame]) -> io::Result<()> {
        match self.slot(segment)? {
            Slot::Active(active) => active.write(frames),
            Slot::Sealed(sealed) => {
                let text = format!("{}: sealed; takes no writes", sealed.path.display());
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
        }
    }

    fn barrier(&self, dirty: &[SegmentId]) -> io::Result<()> {
        let mut files = Vec::with_capacity(dirty.len());
        for segment in dirty {
            match self.readable(*segment) {
                Ok(file) => files.push(file),
                // Removed since it was written.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        match (plan_barrier(files.len(), self.is_mount), &self.pool) {
            (Barrier::Nothing, _) => Ok(()),
            (Barrier::Parallel, Some(pool)) => pool.sync(&files),
            (Barrier::OneByOne | Barrier::Parallel, _) => {
                files.iter().try_for_each(|file| file.sync())
            }
            (Barrier::Filesystem, _) => {
                files.iter().try_for_each(|file| file.check_health())?;
                self.disk.sync_filesystem(&self.dir).inspect_err(|_| {
                    for file in &files {
                        file.poison();
                    }
                })
            }
        }
    }

    fn cut(&self, segment: SegmentId, last: Option<Index>) -> io::Result<()> {
        match self.slot(segment)? {
            Slot::Active(active) => active.cut(last),
            Slot::Sealed(_) => {
                let active = Active::new(self.readable(segment)?, self.segment_bytes);
                active.cut(last)?;
                self.activate(active);
                Ok(())
            }
        }
    }

    fn replace(&self, segment: SegmentId, frames: NextFrames<'_>) -> io::Result<()> {
        let former = self.readable(segment)?;
        let found = FileHeader::read(&*former.file)?;
        let base_offset = expect_header(&found, segment, &former.path)?.base_offset;
        let next = former.with_extent(|extent| extent.next);
        let spare = self.spares.blank()?;
        let replaced = Replacement::begin(&spare, FileHeader::new(segment, base_offset))
            .and_then(|replacement| replacement.fill(frames, next))
            .and_then(|()| self.put_in_place(segment, &spare.path));
        if replaced.is_err() {
            // It may be in its place already, or gone with its group.
            none_if_missing(self.spares.throw_away(&spare.path))?;
        }
        replaced
    }

    fn remove(&self, segment: SegmentId) -> io::Result<()> {
        let slot = self.slots_mut().remove(&segment);
        let open = self.open_sealed.forget(segment);
        let path = self.path(segment);
        let laid_aside = match (slot, open) {
            (Some(Slot::Active(active)), _) => {
                let file = Arc::clone(active.file());
                drop(active);
                self.lay_aside(&path, file)
            }
            (_, Some(file)) => self.lay_aside(&path, file),
            (_, None) => self.disk.open(&path).and_then(|file| self.spares.recycle(&path, file)),
        };
        match none_if_missing(laid_aside)? {
            Some(()) => self.disk.sync_dir(&self.group_dir(segment.group)),
            None => Ok(()),
        }
    }

    fn remove_group(&self, group: GroupId) -> io::Result<()> {
        self.slots_mut().retain(|id, _| {
            if id.group == group {
                self.open_sealed.forget(*id);
            }
            id.group != group
        });
        match none_if_missing(self.spares.throw_away(&self.group_dir(group)))? {
            Some(()) => self.disk.sync_dir(&self.segments_dir),
            None => Ok(()),
        }
    }

    fn read(
        &self,
        segment: SegmentId,
        from: Index,
        bytes_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let read = self.readable(segment).and_then(|file| file.read(from, bytes_max));
        read.map_err(|error| self.unless_removed(segment, error))
    }

    fn headers(
        &self,
        segment: SegmentId,
        from: Index,
        count_max: usize,
    ) -> io::Result<Vec<StoredEntry>> {
        let read = self.readable(segment).and_then(|file| file.headers(from, count_max));
        read.map_err(|error| self.unless_removed(segment, error))
    }

    fn disk_bytes(&self, group: GroupId) -> io::Result<u64> {
        let mut bytes: u64 = 0;
        for segment in self.segments(group)? {
            let file = none_if_missing(self.disk.open(&self.path(segment)))?;
            bytes = bytes.saturating_add(file.map_or(Ok(0), |file| file.allocated())?);
        }
        Ok(bytes)
    }
}

fn none_if_missing<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(name: Option<&std::ffi::OsStr>) -> Option<u64> {
    name?.to_str()?.parse().ok()
}
