//! What the commit thread knows of one log between and within its cycles.

use crate::FlushPolicy;
use crate::engine::{Engine, Frame, SegmentId};
use crate::log::Core;
use crate::{GroupId, Index, planted};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// How soon a log's writes have to be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// When a roll or a clean shutdown comes.
    Never,
    /// When the log's interval ends.
    Later,
    /// In this cycle.
    Now,
}

/// One log's stage.
pub(super) struct Stage {
    pub(super) log: Arc<Core>,
    /// Frames of this cycle that are not written yet, of one segment.
    gathered: Option<(SegmentId, Vec<Frame>)>,
    /// Segments with writes that no barrier covers.
    pub(super) dirty: BTreeSet<SegmentId>,
    /// The index after the last write.
    pub(super) written: Index,
    /// Records written since the last barrier.
    records: u64,
    /// When the next barrier is due, under an interval.
    due: Option<Instant>,
    /// What this cycle has to do.
    pub(super) need: Need,
}

impl Stage {
    pub(super) fn new(log: Arc<Core>) -> Self {
        let written = log.written();
        Self {
            log,
            gathered: None,
            dirty: BTreeSet::new(),
            written,
            records: 0,
            due: None,
            need: Need::Never,
        }
    }

    pub(super) fn group(&self) -> GroupId {
        self.log.group()
    }

    /// Adds frames to this cycle's write; one segment's are written in one call.
    pub(super) fn gather(
        &mut self,
        engine: &dyn Engine,
        segment: SegmentId,
        frames: Vec<Frame>,
    ) -> io::Result<()> {
        match &mut self.gathered {
            Some((same, gathered)) if *same == segment => gathered.extend(frames),
            _ => {
                self.settle(engine)?;
                self.gathered = Some((segment, frames));
            }
        }
        Ok(())
    }

    /// Writes what was gathered.
    pub(super) fn settle(&mut self, engine: &dyn Engine) -> io::Result<()> {
        let Some((segment, frames)) = self.gathered.take() else { return Ok(()) };
        self.dirty.insert(segment);
        engine.write(segment, &frames)?;
        if let Some(last) = frames.last() {
            self.written = last.header.position.index.next();
        }
        self.log.wrote(self.written);
        Ok(())
    }

    /// Notes what an append asks for.
    pub(super) fn ask(&mut self, policy: FlushPolicy, records: u64, now: Instant) {
        self.records += records;
        let is_early = planted!(AckBeforeFsync) && records > 0;
        let policy = if is_early { FlushPolicy::Os } else { policy };
        let need = match policy {
            FlushPolicy::Always => Need::Now,
            FlushPolicy::Os => Need::Never,
            FlushPolicy::Interval { every, messages } => {
                self.due.get_or_insert(now + every);
                if self.records >= messages { Need::Now } else { Need::Later }
            }
        };
        self.need = self.need.max(need);
    }

    /// When it wants a barrier without being asked.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Everything written is durable now.
    pub(super) fn synced(&mut self) {
        self.dirty.clear();
        self.records = 0;
        self.due = None;
        self.log.synced(self.written);
    }

    /// The log ends at `next` on disk.
    pub(super) fn cut(&mut self, next: Index) {
        self.written = self.written.min(next);
    }

    /// Gives up: what is gathered will not be written.
    pub(super) fn abandon(&mut self) {
        self.gathered = None;
        self.dirty.clear();
        self.due = None;
    }
}
