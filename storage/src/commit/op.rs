//! What the commit thread is asked to do.

use crate::engine::{Frame, SegmentId};
use crate::log::{Core, Cut, Sealed};
use crate::{Done, FlushPolicy, Index, Marker, Offset};
use std::io;
use std::sync::Arc;

/// One operation on one log.
pub(crate) struct Op {
    pub(crate) log: Arc<Core>,
    pub(crate) work: Work,
    /// Payload bytes, reserved in the queue until the operation is done.
    pub(crate) bytes: usize,
    pub(crate) done: Completion,
}

/// Its work.
pub(crate) enum Work {
    /// Write entries; with none, only the completion matters.
    Append {
        /// What to write, in order.
        steps: Vec<Step>,
        /// When it counts as flushed.
        policy: FlushPolicy,
        /// The index after the last entry.
        next: Index,
        /// Records in the entries.
        records: u64,
    },
    /// Store the encoded vote after everything before it is durable.
    Vote(Vec<u8>),
    /// Remove the end of the log.
    Cut {
        /// The index after the last entry that stays.
        next: Index,
        /// What that means for the segments.
        cut: Cut,
    },
    /// Remove the beginning of the log.
    Purge {
        /// Where it begins afterwards.
        marker: Marker,
        /// Segments that go as a whole.
        remove: Vec<Index>,
    },
    /// End the segment that takes entries.
    Seal(Sealed),
    /// Make everything durable, whatever the policy.
    Sync,
    /// Remove the log.
    Remove,
}

/// A step of an append.
pub(crate) enum Step {
    /// Begin a new segment, after the one before it is durable.
    Create {
        /// The new one.
        segment: SegmentId,
        /// The offset of its first record.
        base_offset: Offset,
        /// The one before it, if it ends here.
        seals: Option<Sealed>,
    },
    /// Write frames.
    Write {
        /// Where to.
        segment: SegmentId,
        /// The frames.
        frames: Vec<Frame>,
    },
}

/// A callback that is called exactly once: dropped uncalled, it reports an error.
pub(crate) struct Completion(Option<Done>);

impl Completion {
    pub(crate) fn new(done: Done) -> Self {
        Self(Some(done))
    }

    /// For operations that nobody waits for.
    pub(crate) fn nobody() -> Self {
        Self(None)
    }

    pub(crate) fn complete(mut self, result: io::Result<()>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(io::Error::other("the commit thread ended before this was flushed")));
        }
    }
}
