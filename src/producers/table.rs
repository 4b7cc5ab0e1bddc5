//! The producers of a partition, as its committed batches say: a pure fold over the log.
//!
//! | known of the producer | the batch | it is |
//! |---|---|---|
//! | nothing | any | next |
//! | an epoch | of a lower epoch | fenced |
//! | an epoch | of a higher epoch, from sequence 0 | next |
//! | an epoch | of a higher epoch, from elsewhere | a gap, 0 is due |
//! | the same epoch | one of the last [`REMEMBERED`] | a duplicate |
//! | the same epoch | begins after the last | next |
//! | the same epoch | begins further on | a gap |
//! | the same epoch | begins further back | stale: taken long ago, or cut another way |
//! | one-shot: its batch | as many records | a duplicate |
//! | one-shot: its batch | another number of records | another request under the same key |
//!
//! Invariants:
//! - replicas that applied the same batches hold the same table, order of eviction included: it goes by
//!   the order of application, never by a clock;
//! - at most [`PRODUCERS_MAX`] producers and [`KEYS_MAX`] keys, of each kind the last applied. Who was
//!   forgotten is as new: a retry that comes after so many others is not recognised.

use super::ProducerId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use storage::Offset;
use storage::batch::Sequenced;
use storage::planted;

/// Batches that are remembered of a producer: as many as Kafka's producer has in flight.
pub const REMEMBERED: usize = 5;
/// Producers that are remembered; about 100 bytes each in a checkpoint.
const PRODUCERS_MAX: usize = 2048;
/// `Idempotency-Key`s that are remembered; about 25 bytes each in a checkpoint.
const KEYS_MAX: usize = 8192;

/// Why a batch is not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A later epoch of the producer has written.
    Fenced {
        /// That epoch.
        epoch: i16,
    },
    /// The batches before it are missing.
    Gap {
        /// The sequence number that is due.
        due: i32,
    },
    /// It lies before the batches that are remembered, or across their bounds.
    Stale {
        /// The sequence number that is due.
        due: i32,
    },
    /// The key belongs to a request with another number of records.
    OtherRequest {
        /// So many.
        records: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced { epoch } => write!(f, "epoch {epoch} of this producer has written"),
            Self::Gap { due } => write!(f, "sequence {due} of this producer is due"),
            Self::Stale { due } => write!(
                f,
                "it is none of the last {REMEMBERED} batches of this producer, whose sequence {due} is due"
            ),
            Self::OtherRequest { records } => {
                write!(f, "the Idempotency-Key belongs to a request of {records} records here")
            }
        }
    }
}

/// What a batch is to what is known of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be appended.
    Next,
    /// Appended already, at this offset.
    Duplicate(Offset),
    /// Not to be appended.
    Refused(Refusal),
}

/// A batch that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    first: i32,
    last: i32,
    base_offset: Offset,
}

/// What is known of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    epoch: i16,
    /// At least one, the newest last.
    recent: VecDeque<Kept>,
    touched: u64,
}

/// The batch of a one-shot producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shot {
    records: u32,
    base_offset: Offset,
    touched: u64,
}

/// Of each kind, who was applied last goes last.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    producers_max: usize,
    keys_max: usize,
}

/// The table.
#[derive(Debug, Clone)]
pub struct Table {
    bounds: Bounds,
    /// Grows with every batch; says who was applied before whom.
    clock: u64,
    rows: BTreeMap<ProducerId, Row>,
    shots: BTreeMap<ProducerId, Shot>,
    rows_by_age: BTreeMap<u64, ProducerId>,
    shots_by_age: BTreeMap<u64, ProducerId>,
}

/// The table as it is stored; the oldest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    producers: Vec<(i64, i16, Vec<Kept>)>,
    keys: Vec<(i64, u32, Offset)>,
}

impl Default for Table {
    fn default() -> Self {
        Self::bounded(PRODUCERS_MAX, KEYS_MAX)
    }
}

impl Table {
    /// An empty table of other bounds.
    pub(super) fn bounded(producers_max: usize, keys_max: usize) -> Self {
        Self {
            bounds: Bounds { producers_max, keys_max },
            clock: 0,
            rows: BTreeMap::new(),
            shots: BTreeMap::new(),
            rows_by_age: BTreeMap::new(),
            shots_by_age: BTreeMap::new(),
        }
    }

    /// What a batch is: the table above. `before` is the newest batch of the same producer that is on
    /// its way: it counts as if it were in the log already.
    pub(super) fn judge(&self, batch: &Sequenced, before: Option<&Sequenced>) -> Verdict {
        let Some(id) = ProducerId::new(batch.producer_id) else { return Verdict::Next };
        if id.is_one_shot() {
            return match (self.shots.get(&id), before) {
                (Some(shot), _) if shot.records == batch.records() => {
                    Verdict::Duplicate(shot.base_offset)
                }
                (Some(shot), _) => {
                    Verdict::Refused(Refusal::OtherRequest { records: shot.records })
                }
                (None, Some(before)) => {
                    Verdict::Refused(Refusal::OtherRequest { records: before.records() })
                }
                (None, None) => Verdict::Next,
            };
        }
        let row = self.rows.get(&id);
        let newest = match (before, row) {
            (Some(before), _) => Some((before.epoch, before.next())),
            (None, Some(row)) => row.recent.back().map(|kept| (row.epoch, after(kept.last))),
            (None, None) => None,
        };
        let Some((epoch, due)) = newest else { return Verdict::Next };
        if batch.epoch < epoch {
            return if planted!(EpochUnchecked) {
                Verdict::Next
            } else {
                Verdict::Refused(Refusal::Fenced { epoch })
            };
        }
        if batch.epoch > epoch {
            return if batch.first == 0 {
                Verdict::Next
            } else {
                Verdict::Refused(Refusal::Gap { due: 0 })
            };
        }
        let recent = row.filter(|row| row.epoch == epoch).map(|row| &row.recent);
        let is_it = |kept: &&Kept| kept.first == batch.first && kept.last == batch.last;
        if let Some(kept) = recent.into_iter().flatten().find(is_it) {
            return if planted!(DuplicateOnRetry) {
                Verdict::Next
            } else {
                Verdict::Duplicate(kept.base_offset)
            };
        }
        if batch.first == due {
            Verdict::Next
        } else if batch.is_ahead_of(due) {
            Verdict::Refused(Refusal::Gap { due })
        } else {
            Verdict::Refused(Refusal::Stale { due })
        }
    }

    /// Whether anything is known of the producer.
    pub(super) fn knows(&self, id: ProducerId) -> bool {
        self.rows.contains_key(&id) || self.shots.contains_key(&id)
    }

    /// Folds a committed batch in. Total: also what no leader of ours would have proposed.
    pub fn apply(&mut self, batch: &Sequenced, base_offset: Offset) {
        let Some(id) = ProducerId::new(batch.producer_id) else { return };
        self.clock += 1;
        if id.is_one_shot() {
            let records = batch.records();
            self.put_shot(id, Shot { records, base_offset, touched: self.clock });
            return;
        }
        let kept = Kept { first: batch.first, last: batch.last, base_offset };
        let mut row = match self.rows.remove(&id) {
            Some(row) => {
                self.rows_by_age.remove(&row.touched);
                row
            }
            None => Row { epoch: batch.epoch, recent: VecDeque::new(), touched: 0 },
        };
        if row.epoch != batch.epoch {
            row.epoch = batch.epoch;
            row.recent.clear();
        }
        if row.recent.len() == REMEMBERED {
            row.recent.pop_front();
        }
        row.recent.push_back(kept);
        row.touched = self.clock;
        self.put_row(id, row);
    }

    /// The table as it is stored.
    pub fn stored(&self) -> Stored {
        let rows = self.rows_by_age.values().filter_map(|id| Some((id, self.rows.get(id)?)));
        let shots = self.shots_by_age.values().filter_map(|id| Some((id, self.shots.get(id)?)));
        Stored {
            producers: rows
                .map(|(id, row)| (id.get(), row.epoch, row.recent.iter().copied().collect()))
                .collect(),
            keys: shots.map(|(id, shot)| (id.get(), shot.records, shot.base_offset)).collect(),
        }
    }

    /// The table that was stored.
    pub fn restored(stored: Stored) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let known = |id: i64, one_shot: bool| {
            ProducerId::new(id)
                .filter(|id| id.is_one_shot() == one_shot)
                .ok_or_else(|| invalid(format!("a producer's id {id} where none can be")))
        };
        let mut table = Self::default();
        for (id, epoch, recent) in stored.producers {
            if recent.is_empty() || recent.len() > REMEMBERED {
                return Err(invalid(format!("producer {id} with {} batches", recent.len())));
            }
            table.clock += 1;
            let row = Row { epoch, recent: recent.into(), touched: table.clock };
            table.put_row(known(id, false)?, row);
        }
        for (id, records, base_offset) in stored.keys {
            table.clock += 1;
            let shot = Shot { records, base_offset, touched: table.clock };
            table.put_shot(known(id, true)?, shot);
        }
        Ok(table)
    }

    fn put_row(&mut self, id: ProducerId, row: Row) {
        self.rows_by_age.insert(row.touched, id);
        self.rows.insert(id, row);
        if self.rows.len() > self.bounds.producers_max
            && let Some((_, oldest)) = self.rows_by_age.pop_first()
        {
            self.rows.remove(&oldest);
        }
    }

    fn put_shot(&mut self, id: ProducerId, shot: Shot) {
        if let Some(before) = self.shots.insert(id, shot) {
            self.shots_by_age.remove(&before.touched);
        }
        self.shots_by_age.insert(shot.touched, id);
        if self.shots.len() > self.bounds.keys_max
            && let Some((_, oldest)) = self.shots_by_age.pop_first()
        {
            self.shots.remove(&oldest);
        }
    }
}

/// The sequence number after this one.
fn after(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
