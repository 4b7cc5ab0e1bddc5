//! What was read, as runs.

use crate::history::Key;

/// Records that were read one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Offsets `base..base + count`, each showing the log's first value.
    Run {
        /// Of which log.
        key: Key,
        /// The first offset.
        base: u64,
        /// How many; never 0.
        count: u32,
    },
    /// One offset that shows another value than the log's first.
    Odd {
        /// Of which log.
        key: Key,
        /// The offset.
        offset: u64,
        /// What it showed.
        value: u64,
    },
}

impl Reading {
    /// Of which log.
    pub fn key(&self) -> Key {
        match self {
            Reading::Run { key, .. } | Reading::Odd { key, .. } => *key,
        }
    }

    /// The first offset.
    pub fn first(&self) -> u64 {
        match self {
            Reading::Run { base, .. } => *base,
            Reading::Odd { offset, .. } => *offset,
        }
    }

    /// The last offset.
    pub fn last(&self) -> u64 {
        match self {
            Reading::Run { base, count, .. } => base + u64::from(*count) - 1,
            Reading::Odd { offset, .. } => *offset,
        }
    }
}

/// Appends one record, lengthening the last run of `readings[floor..]` if it follows it.
pub(super) fn push(
    readings: &mut Vec<Reading>,
    floor: usize,
    key: Key,
    record: (u64, u64),
    as_the_log: bool,
) {
    let (offset, value) = record;
    if !as_the_log {
        readings.push(Reading::Odd { key, offset, value });
        return;
    }
    let last = readings.get_mut(floor..).and_then(<[Reading]>::last_mut);
    if let Some(Reading::Run { key: of, base, count }) = last
        && *of == key
        && base.checked_add(u64::from(*count)) == Some(offset)
        && *count < u32::MAX
    {
        *count += 1;
        return;
    }
    readings.push(Reading::Run { key, base: offset, count: 1 });
}
