//! What each replica had at the end.

use super::Reading;
use super::log::Log;
use crate::history::{Key, TermStart};

/// How a copy was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The node served it.
    Served,
    /// It was read from the node's disk.
    OnDisk,
}

/// One replica's copy of one partition, its parts put together.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Whose.
    pub node: u32,
    /// Of which partition.
    pub key: Key,
    /// 0 before the final restart, 1 after it.
    pub round: u32,
    /// How it was obtained.
    pub source: Source,
    /// The first offset that is still there.
    pub log_start: u64,
    /// The first offset that is not committed, as this replica knows it.
    pub high_watermark: u64,
    /// The records, in the order they came.
    pub readings: Vec<Reading>,
    /// Where terms begin.
    pub terms: Vec<TermStart>,
    /// Whether the last part came.
    pub complete: bool,
    /// The event of its last part.
    pub event: u32,
    /// CRCs that were not what others saw: offset.
    pub broken: Vec<u64>,
}

impl Copy {
    /// The value at an offset, if the copy has it. Parts ascend, or `int-nonmonotonic-poll` tells.
    pub fn value_at(&self, log: &Log, offset: u64) -> Option<u64> {
        let after = self.readings.partition_point(|reading| reading.first() <= offset);
        let reading = self.readings.get(after.checked_sub(1)?)?;
        match reading {
            Reading::Run { .. } if offset <= reading.last() => log.primary(offset),
            Reading::Odd { offset: at, value, .. } if *at == offset => Some(*value),
            Reading::Run { .. } | Reading::Odd { .. } => None,
        }
    }

    /// One past the last record.
    pub fn next(&self) -> u64 {
        self.readings.last().map_or(self.log_start, |reading| reading.last() + 1)
    }
}
