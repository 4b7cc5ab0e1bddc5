//! What the parts of one replica share: the log store, the state machine and the group's handle.

use crate::Watermark;
use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use storage::{GroupId, Index, Log, Marker, Offset, Position};
use tokio::sync::{Notify, watch};

/// Shared by log store, state machine, snapshot builder and supervisor of one replica.
pub(crate) struct Replica {
    pub(crate) group: GroupId,
    pub(crate) log: Log,
    /// Written by the state machine alone.
    pub(crate) watermark: watch::Sender<Watermark>,
    /// A marker that was installed and not yet handed to the log: where the log is to begin.
    installed: Mutex<Option<Marker>>,
    /// Up to where the supervisor wants the log purged: the next snapshot is the checkpoint there.
    wanted: Mutex<Option<Index>>,
    /// The checkpoints that are durable.
    checkpointed: Mutex<BTreeSet<Index>>,
    /// Something may be purged that could not before.
    pub(crate) purgeable: Notify,
}

/// Why the locks here are never poisoned.
const UNPOISONED: &str = "no one panics while holding a replica's small locks";

impl Replica {
    pub(crate) fn new(log: Log) -> Self {
        let start = log.state().purged.map_or(Offset::ZERO, |marker| marker.next_offset);
        let watermark = Watermark::new(start, start, None);
        Self {
            group: log.group(),
            log,
            watermark: watch::Sender::new(watermark),
            installed: Mutex::default(),
            wanted: Mutex::default(),
            checkpointed: Mutex::default(),
            purgeable: Notify::new(),
        }
    }

    /// Whether the log has exactly this entry, or begins right after it.
    pub(crate) fn log_holds(&self, at: Position) -> io::Result<bool> {
        let state = self.log.state();
        if state.purged.is_some_and(|purged| purged.position == at) {
            return Ok(true);
        }
        Ok(self.log.header(at.index)?.is_some_and(|header| header.position == at))
    }

    /// The offset of the first record the log can still have.
    pub(crate) fn purged_offset(&self) -> Offset {
        self.log.state().purged.map_or(Offset::ZERO, |marker| marker.next_offset)
    }

    pub(crate) fn install(&self, marker: Marker) {
        *self.installed.lock().expect(UNPOISONED) = Some(marker);
    }

    /// The installed marker at `index`, if that is what was installed; taken out.
    pub(crate) fn take_installed(&self, index: Index) -> Option<Marker> {
        let mut installed = self.installed.lock().expect(UNPOISONED);
        installed.take_if(|marker| marker.position.index == index)
    }

    pub(crate) fn want_purge(&self, upto: Index) {
        *self.wanted.lock().expect(UNPOISONED) = Some(upto);
    }

    pub(crate) fn wanted_purge(&self) -> Option<Index> {
        *self.wanted.lock().expect(UNPOISONED)
    }

    /// Notes that the wish was granted, unless it grew meanwhile.
    pub(crate) fn purged(&self, upto: Index) {
        self.wanted.lock().expect(UNPOISONED).take_if(|wanted| *wanted <= upto);
        self.checkpointed.lock().expect(UNPOISONED).retain(|index| *index >= upto);
    }

    pub(crate) fn note_checkpoint(&self, at: Index) {
        self.checkpointed.lock().expect(UNPOISONED).insert(at);
        self.purgeable.notify_one();
    }

    pub(crate) fn checkpoints(&self) -> BTreeSet<Index> {
        self.checkpointed.lock().expect(UNPOISONED).clone()
    }
}
