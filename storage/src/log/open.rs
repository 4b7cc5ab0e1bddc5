//! Opening a log: what the state knows of it, checked against what the engine has.
//!
//! | what is found | what it means |
//! |---|---|
//! | a segment wholly below the purge point | a removal that a crash interrupted: finished |
//! | a sealed row and its segment | opened without reading it |
//! | a segment without a sealed row, followed by another | was durable before the next one was made: has to be whole |
//! | the last segment without a sealed row | may have a torn tail, above what was durable for certain |
//! | a row without its segment | refused: it was durable; unless a truncation was removing it |
//! | a gap between segments, or before the first | refused |
//! | a durable mark beyond the last entry | refused |

use super::catalogue::{Active, Catalogue, Row};
use super::core::{Core, Inner, durable_mark, row_key};
use super::tail::Tail;
use super::terms::Terms;
use super::watermarks::Watermarks;
use crate::backing::{Backing, about, group_key};
use crate::engine::{Engine, Known, RecoverError, SegmentId};
use crate::{FlushPolicy, GroupId, Index, Marker, Offset, Roll, State, Table, codec};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

impl Core {
    /// Opens a group's log, or an empty one.
    pub(crate) fn open(backing: &Arc<Backing>, group: GroupId) -> io::Result<Arc<Self>> {
        let opening = Opening::begin(backing, group).map_err(|error| about(group, &error))?;
        let inner = opening.finish().map_err(|error| about(group, &error))?;
        let core = Arc::new(Self::new(group, Arc::clone(backing), inner));
        core.drop_checkpoints_beyond_the_log()?;
        Ok(core)
    }
}

/// A log that is being opened.
struct Opening<'a> {
    backing: &'a Arc<Backing>,
    group: GroupId,
    purged: Option<Marker>,
    rows: BTreeMap<Index, Row>,
    /// The index after the last entry that is known to have been durable.
    mark: Option<Index>,
}

impl<'a> Opening<'a> {
    fn begin(backing: &'a Arc<Backing>, group: GroupId) -> io::Result<Self> {
        let state = &backing.state;
        let purged = state
            .get(Table::Purged, &group_key(group))?
            .map(|row| codec::decode(&row))
            .transpose()?;
        let mut rows = BTreeMap::new();
        for (key, row) in state.scan(Table::Catalogue, &group_key(group))? {
            let first = key.get(8..).and_then(|first| first.try_into().ok());
            let first = first.ok_or_else(|| corrupt("a catalogue key of a wrong length"))?;
            rows.insert(Index::new(u64::from_be_bytes(first)), codec::decode(&row)?);
        }
        Ok(Self { backing, group, purged, rows, mark: durable_mark(state, group)? })
    }

    fn finish(mut self) -> io::Result<Inner> {
        let segments = self.remaining()?;
        let mut catalogue = Catalogue::default();
        for (place, first) in segments.iter().enumerate() {
            self.open_segment(&mut catalogue, *first, segments.get(place + 1).copied())?;
        }
        self.check(&catalogue)?;
        Ok(self.inner(catalogue))
    }

    fn begin_index(&self) -> Index {
        self.purged.map_or(Index::ZERO, |purged| purged.first_kept())
    }

    /// The segments that hold anything above the purge point; removes the others.
    fn remaining(&mut self) -> io::Result<Vec<Index>> {
        let begin = self.begin_index();
        let segments = self.backing.engine.segments(self.group)?;
        let mut remaining = Vec::new();
        for (place, segment) in segments.iter().enumerate() {
            let end = match (segments.get(place + 1), self.rows.get(&segment.first)) {
                (Some(later), _) => Some(later.first),
                (None, Some(Row::Sealed(sealed))) => Some(sealed.end.position.index.next()),
                (None, _) => None,
            };
            if end.is_some_and(|end| end <= begin) {
                self.remove(segment.first)?;
            } else {
                remaining.push(segment.first);
            }
        }
        let lost = self.rows.iter().find(|(first, row)| {
            !remaining.contains(*first)
                && match row {
                    Row::Sealed(sealed) => sealed.end.position.index >= begin,
                    Row::Created { .. } => **first >= begin,
                    Row::Leaving { .. } => false,
                }
        });
        if let Some((first, _)) = lost {
            return Err(corrupt(format!("the segment that begins at index {first} is gone")));
        }
        Ok(remaining)
    }

    fn remove(&mut self, first: Index) -> io::Result<()> {
        self.backing.engine.remove(SegmentId { group: self.group, first })?;
        self.rows.remove(&first);
        self.backing.state.delete(Table::Catalogue, &row_key(self.group, first))
    }

    fn open_segment(
        &mut self,
        catalogue: &mut Catalogue,
        first: Index,
        later: Option<Index>,
    ) -> io::Result<()> {
        self.check_follows(catalogue, first)?;
        let base_offset = self.base_offset(catalogue, first)?;
        let segment = SegmentId { group: self.group, first };
        let engine = self.backing.engine.as_ref();
        if let Some(Row::Sealed(sealed)) = self.rows.get(&first) {
            engine.open_sealed(segment, base_offset).map_err(refused)?;
            catalogue.sealed.push_back(sealed.clone());
            return Ok(());
        }
        let durable = match later {
            Some(later) => later.previous(),
            None => self.mark.and_then(Index::previous),
        };
        let durable = durable.filter(|durable| *durable >= first);
        let known = Known { base_offset, durable };
        let headers = engine.recover(segment, known).map_err(refused)?;
        let active = Active::with(first, base_offset, &headers);
        if later.is_some() {
            let sealed = active.seal().ok_or_else(|| {
                corrupt(format!("the segment that begins at index {first} is empty"))
            })?;
            self.note(first, &Row::Created { base_offset })?;
            self.note(first, &Row::Sealed(sealed.clone()))?;
            catalogue.sealed.push_back(sealed);
            return Ok(());
        }
        let is_below = |end: Marker| end.position.index < self.begin_index();
        let stale = active.end.map_or(first < self.begin_index(), is_below);
        if stale {
            return self.remove(first);
        }
        // After a crash of the process alone its last writes may still be in the page cache only; the
        // frames that follow will claim that they are durable.
        engine.barrier(&[segment])?;
        self.note(first, &Row::Created { base_offset })?;
        catalogue.active = Some(active);
        Ok(())
    }

    fn check_follows(&self, catalogue: &Catalogue, first: Index) -> io::Result<()> {
        let begin = self.begin_index();
        let (is_next, expected) = match catalogue.sealed.back() {
            Some(sealed) => {
                let next = sealed.end.position.index.next();
                (first == next, next)
            }
            None => (first <= begin, begin),
        };
        if is_next {
            return Ok(());
        }
        Err(corrupt(format!("entries from index {expected} to {first} are gone")))
    }

    fn base_offset(&self, catalogue: &Catalogue, first: Index) -> io::Result<Offset> {
        if let Some(sealed) = catalogue.sealed.back() {
            return Ok(sealed.end.next_offset);
        }
        // The purge point before the row: a row may be older than a truncation and what came after.
        match (self.rows.get(&first), self.purged) {
            (_, Some(purged)) if purged.first_kept() == first => Ok(purged.next_offset),
            (_, None) if first == Index::ZERO => Ok(Offset::ZERO),
            (Some(Row::Created { base_offset } | Row::Leaving { base_offset }), _) => {
                Ok(*base_offset)
            }
            (Some(Row::Sealed(sealed)), _) => Ok(sealed.base_offset),
            (None, _) => Err(corrupt(format!(
                "nothing says at which offset the segment that begins at index {first} begins"
            ))),
        }
    }

    /// Notes a segment whose row was lost or is out of date: once a purge ends inside it, nothing else
    /// says where it began.
    fn note(&self, first: Index, row: &Row) -> io::Result<()> {
        let value = codec::encode(row);
        let key = row_key(self.group, first);
        if key.len() + value.len() > State::ROW_BYTES_MAX || self.rows.get(&first) == Some(row) {
            return Ok(());
        }
        self.backing.state.put(Table::Catalogue, &key, &value)
    }

    /// Nothing that was durable for certain may be missing at the end.
    fn check(&self, catalogue: &Catalogue) -> io::Result<()> {
        let next = catalogue.last().map_or(self.begin_index(), |last| last.index.next());
        match self.mark.filter(|mark| *mark > next && *mark > self.begin_index()) {
            Some(mark) => Err(corrupt(format!("entries from index {next} to {mark} are gone"))),
            None => Ok(()),
        }
    }

    fn inner(&self, catalogue: Catalogue) -> Inner {
        let end = catalogue.active.as_ref().and_then(|active| active.end);
        let end = end.or_else(|| catalogue.sealed.back().map(|sealed| sealed.end)).or(self.purged);
        let next = end.map_or(Index::ZERO, |end| end.position.index.next());
        let mut terms = Terms::default();
        for sealed in &catalogue.sealed {
            terms.extend(&sealed.terms);
        }
        if let Some(active) = &catalogue.active {
            terms.extend(&active.terms);
        }
        terms.purge(self.begin_index());
        Inner {
            policy: FlushPolicy::default(),
            roll: Roll::default(),
            purged: self.purged,
            last: end.map(|end| end.position),
            next_offset: end.map_or(Offset::ZERO, |end| end.next_offset),
            terms,
            tail: Tail::new(next, Arc::clone(&self.backing.budget)),
            marks: Watermarks::at(next),
            catalogue,
            generation: 0,
            cursors: VecDeque::new(),
        }
    }
}

/// Removes all of a group, resumably: a row says so until nothing is left.
pub(crate) fn remove_group(engine: &dyn Engine, state: &State, group: GroupId) -> io::Result<()> {
    state.put(Table::Node, &removal_key(group), &[])?;
    state.durable_flush()?;
    engine.remove_group(group)?;
    let key = group_key(group);
    for table in [Table::Checkpoints, Table::Catalogue] {
        let rows = state.scan(table, &key)?;
        state.change(table, rows.into_iter().map(|(key, _)| (key, None)).collect())?;
    }
    for table in [Table::Votes, Table::Committed, Table::Purged] {
        state.delete(table, &key)?;
    }
    state.delete(Table::Node, &super::core::durable_key(group))?;
    // Rows first, then the row that says so: sled keeps the order.
    state.delete(Table::Node, &removal_key(group))?;
    state.durable_flush()
}

/// Groups whose removal a crash interrupted.
pub(crate) fn half_removed(state: &State) -> io::Result<Vec<GroupId>> {
    let rows = state.scan(Table::Node, REMOVING)?;
    let group = |key: &[u8]| key.get(REMOVING.len()..).and_then(|group| group.try_into().ok());
    Ok(rows
        .iter()
        .filter_map(|(key, _)| group(key))
        .map(u64::from_be_bytes)
        .map(GroupId::new)
        .collect())
}

const REMOVING: &[u8] = b"removing/";

fn removal_key(group: GroupId) -> Vec<u8> {
    [REMOVING, &group_key(group)].concat()
}

fn refused(error: RecoverError) -> io::Error {
    match error {
        RecoverError::Io(error) => error,
        corrupt @ RecoverError::Corrupt { .. } => {
            io::Error::new(io::ErrorKind::InvalidData, corrupt.to_string())
        }
    }
}

fn corrupt(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
