//! Which segments a log has, and what is in them: searched instead of the segments themselves.
//!
//! Invariants: segments follow each other without a gap; every sealed one holds at least one entry;
//! the active one, if there is one, is the last.

use super::terms::Terms;
use crate::engine::segment::{HEADER_BYTES as FILE_HEADER_BYTES, frame_bytes};
use crate::{EntryKind, Header, Index, Marker, Offset, Position, Roll, SealedEnd};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A segment that takes no more entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    pub(crate) first: Index,
    pub(crate) base_offset: Offset,
    pub(crate) end: Marker,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
    pub(crate) terms: Terms,
}

impl Sealed {
    /// Its end, as the floors above see it.
    pub(crate) fn sealed_end(&self) -> SealedEnd {
        SealedEnd { marker: self.end, max_timestamp: self.max_timestamp, bytes: self.bytes }
    }
}

/// The segment that takes the next entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) first: Index,
    pub(crate) base_offset: Offset,
    pub(crate) end: Option<Marker>,
    /// The largest timestamp of the first batch that has one.
    pub(crate) begun_ms: Option<i64>,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: u64,
    pub(crate) terms: Terms,
}

impl Active {
    /// An empty segment.
    pub(crate) fn new(first: Index, base_offset: Offset) -> Self {
        Self {
            first,
            base_offset,
            end: None,
            begun_ms: None,
            max_timestamp: -1,
            bytes: 0,
            terms: Terms::default(),
        }
    }

    /// A segment with these entries.
    pub(crate) fn with(first: Index, base_offset: Offset, headers: &[Header]) -> Self {
        let mut active = Self::new(first, base_offset);
        for header in headers {
            active.push(header);
        }
        active
    }

    /// Counts an entry in.
    pub(crate) fn push(&mut self, header: &Header) {
        self.end = Some(Marker { position: header.position, next_offset: header.next_offset() });
        self.begun_ms = self.begun_ms.or(time_of(header));
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.bytes += frame_bytes(header.payload_len);
        self.terms.push(header.position);
    }

    /// Whether an entry belongs into the next segment. The sizes are those of segment files, which should
    /// not outgrow what was allocated ahead.
    pub(crate) fn is_over_for(&self, header: &Header, roll: Roll, segment_bytes: u64) -> bool {
        let bytes = FILE_HEADER_BYTES + self.bytes + frame_bytes(header.payload_len);
        let age = self
            .begun_ms
            .zip(time_of(header))
            .and_then(|(begun, now)| u64::try_from(now.checked_sub(begun)?).ok());
        let is_old = age.zip(roll.ms).is_some_and(|(age, most)| age > most);
        self.end.is_some() && (bytes > roll.bytes.unwrap_or(segment_bytes) || is_old)
    }

    /// Its end as it would be if it were sealed now; without entries there is none.
    pub(crate) fn sealed_end(&self) -> Option<SealedEnd> {
        let (max_timestamp, bytes) = (self.max_timestamp, self.bytes);
        self.end.map(|marker| SealedEnd { marker, max_timestamp, bytes })
    }

    /// Ends the segment; without entries there is nothing to seal.
    pub(crate) fn seal(self) -> Option<Sealed> {
        Some(Sealed {
            first: self.first,
            base_offset: self.base_offset,
            end: self.end?,
            max_timestamp: self.max_timestamp,
            bytes: self.bytes,
            terms: self.terms,
        })
    }
}

/// The time of a batch, if it has one.
fn time_of(header: &Header) -> Option<i64> {
    let is_data = header.kind == EntryKind::Data;
    Some(header.max_timestamp).filter(|time| is_data && *time >= 0)
}

/// A segment's row in the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Row {
    /// It was created; its entries are found by reading it.
    Created {
        /// The offset of its first record.
        base_offset: Offset,
    },
    /// It was made durable and sealed.
    Sealed(Sealed),
    /// A truncation takes all of it: it may be there still, or be gone.
    Leaving {
        /// The offset of its first record.
        base_offset: Offset,
    },
}

/// The segments of one log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: Option<Active>,
}

/// What a truncation does to the segments on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cut {
    /// Segments that go as a whole with the offsets where they began, the last first.
    pub(crate) remove: Vec<(Index, Offset)>,
    /// The segment that loses its end.
    pub(crate) shorten: Option<Index>,
    /// What that segment is afterwards, if it is a sealed one.
    pub(crate) sealed: Option<Sealed>,
}

impl Catalogue {
    /// The segment that holds an entry: its first index.
    pub(crate) fn holding(&self, index: Index) -> Option<Index> {
        match &self.active {
            Some(active) if active.first <= index => Some(active.first),
            _ => {
                let place = self.sealed.partition_point(|sealed| sealed.end.position.index < index);
                self.sealed.get(place).map(|sealed| sealed.first)
            }
        }
    }

    /// The first sealed segment that ends after `offset`.
    pub(crate) fn holding_offset(&self, offset: Offset) -> Option<&Sealed> {
        let place = self.sealed.partition_point(|sealed| sealed.end.next_offset <= offset);
        self.sealed.get(place)
    }

    /// Removes entries after `last` (all, if `None`); `left` is what remains of the segment that holds
    /// `last` and loses entries, recounted from its headers.
    pub(crate) fn truncate(&mut self, last: Option<Index>, left: Option<Active>) -> Cut {
        let mut cut = Cut::default();
        let next = last.map_or(Index::ZERO, Index::next);
        if let Some(active) = self.active.take_if(|active| active.first >= next) {
            cut.remove.push((active.first, active.base_offset));
        }
        while let Some(gone) = self.sealed.pop_back_if(|sealed| sealed.first >= next) {
            cut.remove.push((gone.first, gone.base_offset));
        }
        let Some(left) = left else { return cut };
        cut.shorten = Some(left.first);
        if self.active.is_some() {
            self.active = Some(left);
        } else if let Some(sealed) = left.seal() {
            // A sealed segment stays sealed: the next append opens a new one.
            self.sealed.pop_back();
            self.sealed.push_back(sealed.clone());
            cut.sealed = Some(sealed);
        }
        cut
    }

    /// Removes segments that lie wholly at or below `last`; returns their first indices, ascending.
    pub(crate) fn purge(&mut self, last: Index) -> Vec<Index> {
        let mut removed = Vec::new();
        while let Some(gone) = self.sealed.pop_front_if(|sealed| sealed.end.position.index <= last)
        {
            removed.push(gone.first);
        }
        let is_purged = |active: &mut Active| match active.end {
            Some(end) => end.position.index <= last,
            None => active.first <= last,
        };
        if let Some(active) = self.active.take_if(is_purged) {
            removed.push(active.first);
        }
        removed
    }

    /// The last entry of all segments.
    pub(crate) fn last(&self) -> Option<Position> {
        let active = self.active.as_ref().and_then(|active| active.end);
        active.or_else(|| self.sealed.back().map(|sealed| sealed.end)).map(|end| end.position)
    }
}
