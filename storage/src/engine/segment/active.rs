//! The segment at the end of a log: it alone takes writes.

use super::extent::Extent;
use super::file::SegmentFile;
use super::frame::{Run, in_memory, length};
use super::sealed::Sealed;
use crate::Index;
use crate::engine::Frame;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, PoisonError};

/// Copied at once where bytes are written anew.
const REWRITE_BYTES: u64 = 1 << 20;

/// A segment that is written to. One writer at a time; readers go by [`Active::file`].
pub(super) struct Active {
    file: Arc<SegmentFile>,
    /// What the file's length is kept at, so that an append changes no metadata.
    segment_bytes: u64,
    writer: Mutex<()>,
}

impl Active {
    pub(super) fn new(file: Arc<SegmentFile>, segment_bytes: u64) -> Self {
        Self { file, segment_bytes, writer: Mutex::new(()) }
    }

    pub(super) fn file(&self) -> &Arc<SegmentFile> {
        &self.file
    }

    /// No more writes: readers that have the file go on with it.
    pub(super) fn seal(self: Arc<Self>) -> Sealed {
        Sealed::new(self.file.id, self.file.path.clone())
    }

    /// Writes frames after the last one, in one call.
    pub(super) fn write(&self, frames: &[Frame]) -> io::Result<()> {
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.check_health()?;
        let (mut next, end) = self.file.with_extent(|extent| (extent.next, extent.end));
        for frame in frames {
            let index = frame.header.position.index;
            if index != next {
                let text =
                    format!("{}: entry {index} after {next} entries", self.file.path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            next = next.next();
        }
        let run = Run::lay_out(frames, self.file.seed)?;
        let written = self.file.file.write_all_at(end, &mut run.slices());
        written.inspect_err(|_| self.file.poison())?;
        self.file.publish(|extent| {
            for frame in frames {
                extent.push(super::frame_bytes(frame.header.payload_len));
            }
        });
        Ok(())
    }

    /// Removes every entry after `last`, durably. The file is shortened and made long again before
    /// one sync: after a power cut the entries are all there or none is, and none comes back.
    pub(super) fn cut(&self, last: Option<Index>) -> io::Result<()> {
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.check_health()?;
        let _no_reader = self.file.keep_readers_out();
        let next = last.map_or(self.file.id.first, Index::next).max(self.file.id.first);
        let end = match self.file.locate(next)? {
            Some(at) => at,
            None if next == self.file.id.first => Extent::empty(next).end,
            None => return self.nothing_to_cut(next),
        };
        self.shorten(end).inspect_err(|_| self.file.poison())?;
        self.file.publish(|extent| extent.cut(next, end));
        Ok(())
    }

    /// What recovery found beyond the extent is removed.
    pub(super) fn cut_beyond_extent(&self) -> io::Result<()> {
        self.shorten(self.file.with_extent(|extent| extent.end))
    }

    /// Writes what lies between `from` and the end once more, and syncs it. What was written before
    /// the process died may be in the page cache only, and after a failed sync it may be there as
    /// clean: a sync alone would not write it.
    pub(super) fn rewrite_from(&self, from: u64) -> io::Result<()> {
        let end = self.file.with_extent(|extent| extent.end);
        let mut buffer = vec![0; in_memory(REWRITE_BYTES.min(end.saturating_sub(from)))];
        let mut at = from;
        while at < end {
            let wanted = buffer.len().min(in_memory(end - at));
            let piece = buffer.get_mut(..wanted).unwrap_or_default();
            let read = self.file.file.read_at(at, piece)?;
            if read < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.file.file.write_all_at(at, &mut [IoSlice::new(piece)])?;
            at += length(wanted);
        }
        self.file.sync()
    }

    fn shorten(&self, end: u64) -> io::Result<()> {
        self.file.file.set_len(end)?;
        self.file.file.set_len(self.segment_bytes.max(end))?;
        self.file.sync()
    }

    fn nothing_to_cut(&self, next: Index) -> io::Result<()> {
        let has = self.file.with_extent(|extent| extent.next);
        if next == has {
            return Ok(());
        }
        let text = format!(
            "{}: cannot cut to entry {next}: the segment ends before {has}",
            self.file.path.display()
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}
