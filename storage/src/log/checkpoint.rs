//! Checkpoints of the state machine: up to 16 MiB, cut into rows.
//!
//! Row 0 says how long the whole is, how many rows follow and their CRC-32C, so a checkpoint that is
//! not there completely is not there at all.

use super::core::Core;
use crate::backing::{about, group_key};
use crate::state::Change;
use crate::{GroupId, Index, Position, State, Table, Term, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

/// The largest checkpoint.
const CHECKPOINT_BYTES_MAX: usize = 16 << 20;
/// What one row takes of it; the rest is for the key.
const PIECE_BYTES: usize = State::ROW_BYTES_MAX - 64;

/// Row 0.
#[derive(Serialize, Deserialize)]
struct Head {
    term: Term,
    bytes: u64,
    crc: u32,
}

impl Core {
    pub(super) fn put_checkpoint(&self, position: Position, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        if bytes.len() > CHECKPOINT_BYTES_MAX {
            let why = format!(
                "a checkpoint of {} bytes at {position}; at most {CHECKPOINT_BYTES_MAX}",
                bytes.len()
            );
            return Err(about(self.group(), &io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let state = &self.backing.state;
        let old = state.scan(Table::Checkpoints, &at(self.group(), position.index))?;
        let mut changes: Vec<Change> = old.into_iter().map(|(key, _)| (key, None)).collect();
        let head = Head {
            term: position.term,
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            crc: crc32c::crc32c(bytes),
        };
        changes.push((piece(self.group(), position.index, 0), Some(codec::encode(&head))));
        for (number, bytes) in (1..).zip(bytes.chunks(PIECE_BYTES)) {
            changes.push((piece(self.group(), position.index, number), Some(bytes.to_vec())));
        }
        state.change(Table::Checkpoints, changes)?;
        state.durable_flush()
    }

    pub(super) fn checkpoints(&self) -> io::Result<Vec<(Position, Vec<u8>)>> {
        let rows = self.backing.state.scan(Table::Checkpoints, &group_key(self.group()))?;
        let mut pieces: BTreeMap<Index, Vec<Vec<u8>>> = BTreeMap::new();
        for (key, row) in rows {
            let index = key.get(8..16).and_then(|index| index.try_into().ok());
            let Some(index) = index.map(u64::from_be_bytes) else { continue };
            pieces.entry(Index::new(index)).or_default().push(row);
        }
        Ok(pieces.into_iter().filter_map(|(index, rows)| whole(index, &rows)).collect())
    }

    pub(super) fn drop_checkpoints_below(&self, index: Index) -> io::Result<()> {
        self.drop_checkpoints(|at| at < index)
    }

    /// A state machine ahead of the log makes Raft throw the log away, to close the hole. After a
    /// power cut that took entries which were only flushed by a relaxed policy, the checkpoint has to
    /// go instead.
    pub(super) fn drop_checkpoints_beyond_the_log(&self) -> io::Result<()> {
        let next = self.lock().next();
        self.drop_checkpoints(|at| at >= next)
    }

    fn drop_checkpoints(&self, goes: impl Fn(Index) -> bool) -> io::Result<()> {
        let state = &self.backing.state;
        let mut changes: Vec<Change> = Vec::new();
        for (key, _) in state.scan(Table::Checkpoints, &group_key(self.group()))? {
            let index = key.get(8..16).and_then(|index| index.try_into().ok());
            if index.map(u64::from_be_bytes).is_some_and(|index| goes(Index::new(index))) {
                changes.push((key, None));
            }
        }
        if changes.is_empty() { Ok(()) } else { state.change(Table::Checkpoints, changes) }
    }
}

fn whole(index: Index, rows: &[Vec<u8>]) -> Option<(Position, Vec<u8>)> {
    let (head, pieces) = rows.split_first()?;
    let head: Head = codec::decode(head).ok()?;
    let bytes = pieces.concat();
    let is_whole = u64::try_from(bytes.len()).is_ok_and(|bytes| bytes == head.bytes)
        && crc32c::crc32c(&bytes) == head.crc;
    is_whole.then_some((Position::new(head.term, index), bytes))
}

fn at(group: GroupId, index: Index) -> Vec<u8> {
    [group_key(group), index.get().to_be_bytes()].concat()
}

fn piece(group: GroupId, index: Index, number: u32) -> Vec<u8> {
    [at(group, index).as_slice(), &number.to_be_bytes()].concat()
}
