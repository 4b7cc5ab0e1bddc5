//! One log's memory, and what the commit thread tells it.
//!
//! Two locks. `writer` is held by whoever changes the log (append, truncate, purge: one at a time,
//! also while it waits for the queue); `inner` for moments only, never over the disk. The commit
//! thread takes only `inner`.

use super::catalogue::{Catalogue, Cut, Row, Sealed};
use super::tail::Tail;
use super::terms::Terms;
use super::watermarks::Watermarks;
use crate::backing::{Backing, group_key};
use crate::{
    FlushPolicy, GroupId, Index, LogState, Marker, Offset, Position, Roll, State, Table, codec,
};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// One log.
pub(crate) struct Core {
    group: GroupId,
    pub(super) backing: Arc<Backing>,
    pub(super) writer: Mutex<()>,
    inner: Mutex<Inner>,
    failure: OnceLock<String>,
}

/// What is known of it in memory.
pub(super) struct Inner {
    pub(super) policy: FlushPolicy,
    pub(super) roll: Roll,
    pub(super) purged: Option<Marker>,
    /// The last entry; the purge point's when empty.
    pub(super) last: Option<Position>,
    pub(super) next_offset: Offset,
    pub(super) terms: Terms,
    pub(super) catalogue: Catalogue,
    pub(super) tail: Tail,
    pub(super) marks: Watermarks,
    /// Grows when entries go: a reader that was away with the disk looks whether it has to start over.
    pub(super) generation: u64,
    /// Where consumers stopped reading: the next read usually begins there.
    pub(super) cursors: VecDeque<(Offset, Index)>,
}

impl Inner {
    /// The first index of the log.
    pub(super) fn begin(&self) -> Index {
        self.purged.map_or(Index::ZERO, |marker| marker.first_kept())
    }

    /// The index of the next entry.
    pub(super) fn next(&self) -> Index {
        self.last.map_or(Index::ZERO, |last| last.index.next())
    }

    /// The offset of the first record.
    pub(super) fn begin_offset(&self) -> Offset {
        self.purged.map_or(Offset::ZERO, |marker| marker.next_offset)
    }
}

impl Core {
    pub(super) fn new(group: GroupId, backing: Arc<Backing>, inner: Inner) -> Self {
        Self {
            group,
            backing,
            writer: Mutex::new(()),
            inner: Mutex::new(inner),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> LogState {
        let inner = self.lock();
        let flushed = inner.marks.flushed().previous();
        LogState {
            purged: inner.purged,
            last: inner.last,
            flushed: flushed.filter(|flushed| *flushed >= inner.begin()),
            next_offset: inner.next_offset,
        }
    }

    /// Why it is broken, if it is.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Breaks the log; the first reason stays.
    pub(crate) fn fail(&self, error: &io::Error) {
        let why = format!("log of group {} is broken: {error}", self.group);
        if self.failure.set(why).is_ok() {
            tracing::error!(group = self.group.get(), %error, "log broken");
        }
    }

    /// Ends a log that is being removed.
    pub(crate) fn end(&self) {
        drop(self.failure.set(format!("log of group {} was removed", self.group)));
        let mut inner = self.lock();
        let next = inner.next();
        inner.tail.reset(next);
        inner.generation += 1;
    }

    pub(super) fn check(&self) -> io::Result<()> {
        match self.failure().or_else(|| self.backing.failure()) {
            Some(why) => Err(io::Error::other(why)),
            None => Ok(()),
        }
    }
}

/// What the commit thread reports.
impl Core {
    /// The index after the last entry in the engine.
    pub(crate) fn written(&self) -> Index {
        self.lock().marks.written()
    }

    pub(crate) fn wrote(&self, next: Index) {
        let mut inner = self.lock();
        inner.marks.write(next);
        let written = inner.marks.written();
        inner.tail.evict_share(written);
    }

    pub(crate) fn synced(&self, next: Index) {
        self.lock().marks.sync(next);
    }

    pub(crate) fn flushed(&self, next: Index) {
        self.lock().marks.flush(next);
    }

    pub(crate) fn was_cut(&self) {
        self.lock().marks.cut();
    }

    /// Lets cached entries below `below` go, as far as they are written.
    pub(crate) fn evict(&self, below: Index) {
        let mut inner = self.lock();
        let below = below.min(inner.marks.written());
        inner.tail.evict(below);
    }
}

/// The rows that the commit thread writes for it. None is flushed here but the one of a cut.
impl Core {
    pub(crate) fn note_created(&self, first: Index, base_offset: Offset) -> io::Result<()> {
        self.put_row(first, &Row::Created { base_offset })
    }

    /// Notes a durable, sealed segment. One of too many terms for a row stays as created, and is
    /// read at the next start.
    pub(crate) fn note_sealed(&self, sealed: &Sealed) -> io::Result<()> {
        self.put_row(sealed.first, &Row::Sealed(sealed.clone()))
    }

    /// Takes back, durably, what was claimed of entries from `next` on: a stale claim would make
    /// recovery refuse the log, a stale row would describe entries that are no more.
    pub(crate) fn note_cut(&self, next: Index, cut: &Cut) -> io::Result<()> {
        let state = &self.backing.state;
        let lowers = durable_mark(state, self.group)?.is_some_and(|mark| mark > next);
        if lowers {
            put_durable_mark(state, self.group, next)?;
        }
        let leaving = |(first, base_offset): &(Index, Offset)| {
            let row = Row::Leaving { base_offset: *base_offset };
            (row_key(self.group, *first), Some(codec::encode(&row)))
        };
        let mut changes: Vec<_> = cut.remove.iter().map(leaving).collect();
        if let Some(sealed) = &cut.sealed {
            let row = codec::encode(&Row::Created { base_offset: sealed.base_offset });
            changes.push((row_key(self.group, sealed.first), Some(row)));
        }
        if changes.is_empty() && !lowers {
            return Ok(());
        }
        state.change(Table::Catalogue, changes)?;
        state.durable_flush()
    }

    /// Notes where the log begins; nothing below goes before this is durable.
    pub(crate) fn note_purged(&self, marker: &Marker) -> io::Result<()> {
        let key = group_key(self.group);
        self.backing.state.put(Table::Purged, &key, &codec::encode(marker))
    }

    pub(crate) fn note_removed(&self, removed: &[Index]) -> io::Result<()> {
        let rows = removed.iter().map(|first| (row_key(self.group, *first), None)).collect();
        self.backing.state.change(Table::Catalogue, rows)
    }

    /// Notes the vote and, since it will be flushed anyway, how far the log is durable.
    pub(crate) fn note_vote(&self, vote: &[u8]) -> io::Result<()> {
        self.backing.state.put(Table::Votes, &group_key(self.group), vote)?;
        self.note_durable()
    }

    /// Notes how far the log is durable.
    pub(crate) fn note_durable(&self) -> io::Result<()> {
        let durable = self.lock().marks.durable();
        put_durable_mark(&self.backing.state, self.group, durable)
    }

    pub(super) fn put_row(&self, first: Index, row: &Row) -> io::Result<()> {
        let key = row_key(self.group, first);
        let value = codec::encode(row);
        if key.len() + value.len() > State::ROW_BYTES_MAX {
            return Ok(());
        }
        self.backing.state.put(Table::Catalogue, &key, &value)
    }
}

/// The key of a segment's row.
pub(super) fn row_key(group: GroupId, first: Index) -> Vec<u8> {
    [group_key(group), first.get().to_be_bytes()].concat()
}

/// The key of the row that says how far a log was durable for certain.
pub(super) fn durable_key(group: GroupId) -> Vec<u8> {
    [b"durable/".as_slice(), &group_key(group)].concat()
}

/// The index after the last entry that is known to have been durable.
pub(super) fn durable_mark(state: &State, group: GroupId) -> io::Result<Option<Index>> {
    let row = state.get(Table::Node, &durable_key(group))?;
    row.map(|row| codec::decode(&row)).transpose()
}

fn put_durable_mark(state: &State, group: GroupId, next: Index) -> io::Result<()> {
    state.put(Table::Node, &durable_key(group), &codec::encode(&next))
}
