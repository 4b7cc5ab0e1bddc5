//! A sealed segment's next content, written beside it and put in its place when it is whole and durable.
//!
//! ```text
//!   spare/<serial>.log   header │ frame │ frame …   ──fdatasync, rename──▶ the segment's own name
//! ```
//!
//! The file is no longer than its frames, so that what was removed returns to the file system; for that
//! it is never recycled either. A crash before the rename leaves a spare, which the next start removes.

use super::frame::{Run, Seed};
use super::header::{FileHeader, HEADER_BYTES};
use super::spares::Spare;
use crate::Index;
use crate::engine::{NextFrames, SegmentId};
use std::io;

/// A file being filled.
pub(super) struct Replacement<'a> {
    spare: &'a Spare,
    segment: SegmentId,
    seed: Seed,
    end: u64,
    next: Index,
}

impl<'a> Replacement<'a> {
    /// Begins it with its header.
    pub(super) fn begin(spare: &'a Spare, header: FileHeader) -> io::Result<Self> {
        header.write(&*spare.file)?;
        let (segment, seed) = (header.id, Seed::of(header.salt));
        Ok(Self { spare, segment, seed, end: HEADER_BYTES, next: segment.first })
    }

    /// Writes all frames, which must be those of the entries up to `next`, and syncs.
    pub(super) fn fill(mut self, frames: NextFrames<'_>, next: Index) -> io::Result<()> {
        loop {
            let some = frames()?;
            if some.is_empty() {
                break;
            }
            for frame in &some {
                if frame.header.position.index != self.next {
                    return Err(self.refuse(frame.header.position.index));
                }
                self.next = self.next.next();
            }
            let run = Run::lay_out(&some, self.seed)?;
            self.spare.file.write_all_at(self.end, &mut run.slices())?;
            let bytes = some.iter().map(|frame| super::frame_bytes(frame.header.payload_len));
            self.end += bytes.sum::<u64>();
        }
        if self.next != next {
            return Err(self.refuse(next));
        }
        self.spare.file.sync_data()
    }

    fn refuse(&self, found: Index) -> io::Error {
        let (segment, next) = (self.segment.first, self.next);
        let text = format!("replacing segment {segment}: entry {found} where {next} is the next");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    }
}
