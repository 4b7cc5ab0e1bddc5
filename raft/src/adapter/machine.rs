//! `RaftStateMachine`: applies headers, moves the watermark, takes checkpoints at segments' ends.
//!
//! Invariants, checked in release (a breach stops the group):
//! - applied indices are dense;
//! - an entry's base offset is the next offset of what was applied before it;
//! - `log_start <= high watermark`, and both only grow;
//! - a checkpoint stands at a sealed segment's end that this node's disk has, so after a crash it is
//!   never ahead of the log (openraft closes such a hole by purging the whole log).
//!
//! The segment that ends at `i` is sealed when `i + 1` is appended. So the state as of `i` is caught
//! right before `i + 1` is applied: no earlier moment knows, no later one has it.

use crate::adapter::checkpoint::Checkpoint;
use crate::adapter::config::{Answer, Data, Entry, LogId, StoredMembership, Types, position};
use crate::adapter::log_store::blocking;
use crate::adapter::replica::Replica;
use crate::{Machine, Watermark};
use futures::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, OptionalSend};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use storage::batch::HEADER_BYTES;
use storage::{EntryKind, Index, Offset, Position};

/// Entries applied between two moves of the watermark.
const APPLY_MAX: usize = 256;
/// Checkpoints that wait for their entry to be flushed. When full the oldest goes: the log is then
/// purged in larger steps, no more.
const PENDING_MAX: usize = 4;

/// A replica's state machine.
pub(crate) struct StateMachine {
    replica: Arc<Replica>,
    /// Behind a lock only because openraft asks for `Sync`.
    machine: Mutex<Box<dyn Machine>>,
    applied: Option<Position>,
    membership: StoredMembership,
    log_start: Offset,
    next_offset: Offset,
    /// Taken at a segment's end, not yet durable.
    pending: VecDeque<Checkpoint>,
    /// What a follower that is too far behind is sent; shared with the builder.
    current: Arc<Mutex<Option<Arc<Checkpoint>>>>,
}

/// Why the locks here are never poisoned.
const UNPOISONED: &str = "a machine that panicked is never used again";

impl StateMachine {
    /// The machine as of the newest checkpoint the log still reaches; openraft replays the rest.
    pub(crate) fn recover(replica: &Arc<Replica>, machine: Box<dyn Machine>) -> io::Result<Self> {
        let state = replica.log.state();
        let mut restored = Self {
            replica: Arc::clone(replica),
            machine: Mutex::new(machine),
            applied: None,
            membership: StoredMembership::default(),
            log_start: Offset::ZERO,
            next_offset: Offset::ZERO,
            pending: VecDeque::new(),
            current: Arc::default(),
        };
        let purged = state.purged.map(|marker| marker.position.index);
        let mut newest = None;
        for (at, bytes) in replica.log.checkpoints()? {
            if !replica.log_holds(at)? {
                continue;
            }
            let checkpoint = Checkpoint::decode(&bytes)?;
            replica.note_checkpoint(at.index);
            if Some(at.index) == purged {
                restored.set_current(checkpoint.clone());
            }
            newest = Some(checkpoint);
        }
        match (newest, purged) {
            (Some(checkpoint), _) => {
                restored.restore(&checkpoint)?;
                restored.publish();
            }
            (None, None) => {}
            (None, Some(purged)) => {
                return Err(broken(format!(
                    "group {}: the log begins after {purged} and no checkpoint stands there",
                    replica.group
                )));
            }
        }
        Ok(restored)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.machine.get_mut().expect(UNPOISONED).restore(&checkpoint.machine)?;
        self.applied = checkpoint.at;
        self.membership = checkpoint.membership.clone();
        self.next_offset = checkpoint.next_offset;
        self.log_start = self.log_start.max(checkpoint.log_start).max(self.replica.purged_offset());
        Ok(())
    }

    /// The state as it is now.
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            at: self.applied,
            membership: self.membership.clone(),
            log_start: self.log_start,
            next_offset: self.next_offset,
            machine: self.machine.lock().expect(UNPOISONED).checkpoint(),
        }
    }

    fn set_current(&self, checkpoint: Checkpoint) {
        *self.current.lock().expect(UNPOISONED) = Some(Arc::new(checkpoint));
    }

    fn publish(&self) {
        self.replica.watermark.send_replace(Watermark::new(
            self.log_start,
            self.next_offset,
            self.applied,
        ));
    }

    /// Applies one entry; checks that it is the next one.
    fn apply_one(&mut self, entry: Entry) -> io::Result<Answer> {
        let at = position(&entry.log_id());
        let due = self.applied.map_or(Index::ZERO, |applied| applied.index.next());
        if at.index != due {
            return Err(self.breach(at, &format!("entry {due} is the next to apply")));
        }
        let base_offset = self.next_offset;
        let answer = match entry.payload {
            EntryPayload::Blank => Vec::new(),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                Vec::new()
            }
            EntryPayload::Normal(data) => self.apply_data(at, &data)?,
        };
        self.applied = Some(at);
        Ok(Answer { base_offset, answer })
    }

    fn apply_data(&mut self, at: Position, data: &Data) -> io::Result<Vec<u8>> {
        let Some(placed) = data.placed else {
            return Err(self.breach(at, "the log gave no offsets"));
        };
        if placed.base_offset != self.next_offset {
            let why = format!("offset {} is due, not {}", self.next_offset, placed.base_offset);
            return Err(self.breach(at, &why));
        }
        match data.kind {
            EntryKind::Data => {
                let Some(header) = data.payload.get(..HEADER_BYTES) else {
                    let have = data.payload.len();
                    return Err(self.breach(at, &format!("{have} bytes of a batch's header")));
                };
                let machine = self.machine.get_mut().expect(UNPOISONED);
                machine.data(at, placed.base_offset, header);
                self.next_offset = self.next_offset.plus(u64::from(placed.record_count));
                Ok(Vec::new())
            }
            EntryKind::Trim => {
                let upto = trim_offset(&data.payload)?;
                self.log_start = self.log_start.max(upto.min(self.next_offset));
                Ok(Vec::new())
            }
            EntryKind::Command => {
                let machine = self.machine.get_mut().expect(UNPOISONED);
                Ok(machine.apply(at, &data.payload))
            }
            EntryKind::Blank | EntryKind::Membership => {
                Err(self.breach(at, "a blank or a membership is not a normal entry"))
            }
        }
    }

    fn breach(&self, at: Position, why: &str) -> io::Error {
        broken(format!("group {}: apply of {at}: {why}", self.replica.group))
    }

    /// Before the entry after a sealed segment's end is applied: catches the state as of that end.
    fn catch(&mut self, ends: &mut VecDeque<Index>) {
        let Some(applied) = self.applied.map(|applied| applied.index) else { return };
        while ends.pop_front_if(|end| *end < applied).is_some() {}
        if ends.front() == Some(&applied) {
            if self.pending.len() == PENDING_MAX {
                self.pending.pop_front();
            }
            let checkpoint = self.checkpoint();
            self.pending.push_back(checkpoint);
        }
    }

    /// Makes checkpoints durable whose entry is.
    async fn settle(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let flushed = self.replica.log.state().flushed;
        while let Some(checkpoint) =
            self.pending.pop_front_if(|checkpoint| checkpoint.index() <= flushed)
        {
            put(Arc::clone(&self.replica), &checkpoint).await?;
        }
        Ok(())
    }

    /// The ends of sealed segments from the applied entry on.
    fn ends(&self) -> VecDeque<Index> {
        let from = self.applied.map_or(Index::ZERO, |applied| applied.index);
        let ends = self.replica.log.sealed_ends();
        ends.iter().map(|end| end.marker.position.index).filter(|end| *end >= from).collect()
    }

    /// Applies a chunk, moves the watermark, then answers: who hears of its write can read it.
    async fn apply_chunk(
        &mut self,
        chunk: Vec<io::Result<EntryResponder<Types>>>,
    ) -> io::Result<()> {
        let mut answers: Vec<(ApplyResponder<Types>, Answer)> = Vec::new();
        let mut trimmed = false;
        let mut ends = self.ends();
        for item in chunk {
            let (entry, responder) = item?;
            self.catch(&mut ends);
            trimmed |= matches!(&entry.payload, EntryPayload::Normal(data) if data.kind == EntryKind::Trim);
            let answer = self.apply_one(entry)?;
            if let Some(responder) = responder {
                answers.push((responder, answer));
            }
        }
        self.publish();
        for (responder, answer) in answers {
            responder.send(answer);
        }
        self.settle().await?;
        if trimmed {
            self.replica.purgeable.notify_one();
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = Box<Checkpoint>;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.map(crate::adapter::config::log_id), self.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.ready_chunks(APPLY_MAX);
        while let Some(chunk) = chunks.next().await {
            self.apply_chunk(chunk).await?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let wanted = self.replica.wanted_purge();
        let source = match wanted {
            Some(index) => Source::Stored(index),
            None if force => Source::Applied(Box::new(self.checkpoint())),
            None => return None,
        };
        Some(Builder {
            replica: Arc::clone(&self.replica),
            current: Arc::clone(&self.current),
            source,
        })
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.try_create_snapshot_builder(true).await.expect("a forced builder is never deferred")
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Box<Checkpoint>,
    ) -> io::Result<()> {
        let checkpoint = *snapshot;
        if !checkpoint.is_at(meta.last_log_id.as_ref()) {
            return Err(broken(format!(
                "group {}: a marker of {:?} came for {:?}",
                self.replica.group, checkpoint.at, meta.last_log_id
            )));
        }
        if let Some(marker) = checkpoint.marker() {
            // Durable before openraft purges the log up to it; useless, not harmful, until then.
            put(Arc::clone(&self.replica), &checkpoint).await?;
            self.replica.install(marker);
        }
        self.pending.clear();
        self.restore(&checkpoint)?;
        // What lies below is about to be purged here.
        self.log_start = self.log_start.max(checkpoint.next_offset);
        self.publish();
        self.set_current(checkpoint);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<Types, Box<Checkpoint>>>> {
        Ok(self.current.lock().expect(UNPOISONED).as_ref().map(|current| current.snapshot()))
    }
}

/// Where a snapshot comes from.
enum Source {
    /// The durable checkpoint at a purge point.
    Stored(Index),
    /// The state as it was when the builder was made.
    Applied(Box<Checkpoint>),
}

/// Makes a checkpoint the current snapshot.
pub(crate) struct Builder {
    replica: Arc<Replica>,
    current: Arc<Mutex<Option<Arc<Checkpoint>>>>,
    source: Source,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Box<Checkpoint>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Box<Checkpoint>>> {
        let checkpoint = match &self.source {
            Source::Applied(checkpoint) => {
                put(Arc::clone(&self.replica), checkpoint).await?;
                checkpoint.as_ref().clone()
            }
            Source::Stored(index) => {
                let (replica, index) = (Arc::clone(&self.replica), *index);
                blocking(move || stored(&replica, index)).await?
            }
        };
        let snapshot = checkpoint.snapshot();
        *self.current.lock().expect(UNPOISONED) = Some(Arc::new(checkpoint));
        Ok(snapshot)
    }
}

/// The durable checkpoint at `index`.
fn stored(replica: &Replica, index: Index) -> io::Result<Checkpoint> {
    let checkpoints = replica.log.checkpoints()?;
    let found = checkpoints.iter().find(|(at, _)| at.index == index);
    let (_, bytes) = found
        .ok_or_else(|| broken(format!("group {}: no checkpoint at {index}", replica.group)))?;
    Checkpoint::decode(bytes)
}

/// Makes a checkpoint durable.
async fn put(replica: Arc<Replica>, checkpoint: &Checkpoint) -> io::Result<()> {
    let Some(at) = checkpoint.at else { return Ok(()) };
    let bytes = checkpoint.encode();
    blocking(move || {
        replica.log.put_checkpoint(at, &bytes)?;
        replica.note_checkpoint(at.index);
        Ok(())
    })
    .await
}

/// Our invariant or the disk: the group stops.
fn broken(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The payload of a trim.
pub(crate) fn trim_payload(offset: Offset) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&offset.get().to_be_bytes())
}

fn trim_offset(payload: &[u8]) -> io::Result<Offset> {
    let bytes = payload.try_into().map_err(|_wrong_length| {
        broken(format!("a trim has 8 bytes of payload, not {}", payload.len()))
    })?;
    Ok(Offset::new(u64::from_be_bytes(bytes)))
}
