//! How far a group has come: one offset for each partition, the next that it wants to read.
//!
//! Which rows a commit may write (the first line that fits; all rows or none):
//!
//! | who commits | the partition is | |
//! |---|---|---|
//! | a member, with a generation it may say | its own | yes |
//! | a member | not its own | `NotOwner` |
//! | nobody in particular | owned by a member | `NotOwner` |
//! | nobody in particular | not owned | yes |
//! | an operator | any, and the group has members | `GroupNotEmpty` |
//! | an operator | any, and the group has none | yes |
//!
//! What a row does to what is stored:
//!
//! | rule | stored | |
//! |---|---|---|
//! | any | nothing, or of a topic that was made anew under the name | stored |
//! | explicit | any | stored: a caller may go back |
//! | forward | beyond the row | the row changes nothing |
//! | forward | at or before the row | stored |

use super::limits::{COMMIT_BYTES_MAX, METADATA_BYTES_MAX};
use super::name::MemberId;
use super::topic_partition::TopicPartition;
use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use storage::{Offset, Term};
use uuid::Uuid;

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Committer {
    /// A member.
    Member {
        /// Its id.
        id: MemberId,
        /// From the generation it acknowledged to the newest it was told of; `None`: whatever it is, for
        /// members whose records the server delivers, which knows what it delivered.
        generation: Option<u32>,
    },
    /// Somebody that balances by itself, or reads alone.
    Nobody,
    /// Somebody that moves a group at rest.
    Operator,
}

/// Whether a smaller offset than the stored one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitRule {
    /// It does: the caller said so.
    Explicit,
    /// It does not: nobody said so, it came with a poll.
    Forward,
}

/// One row of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The identity of its topic.
    pub topic_id: Uuid,
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<Term>,
    /// Whatever the caller wants to keep with it.
    pub metadata: String,
}

/// A stored offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<Term>,
    /// What the caller keeps with it.
    pub metadata: String,
    /// The identity of its topic: if the topic was made anew since, the offset means nothing.
    pub topic_id: Uuid,
    /// The revision of the metadata in which the topic was looked up.
    pub metadata_revision: u64,
    /// When it was stored, in milliseconds since 1970, by the coordinator's clock.
    pub committed_at_ms: i64,
}

/// The stored offsets of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    rows: BTreeMap<TopicPartition, Committed>,
    /// When a row was stored last.
    newest_ms: Option<i64>,
    /// The most bytes the rows take encoded; follows from them.
    #[serde(skip)]
    bytes: usize,
}

/// What a row takes beside its texts: ids, numbers, lengths.
const ROW_BYTES_MAX: usize = 96;
/// What the offsets of a group take beside their rows.
const OFFSETS_BYTES_MAX: usize = 32;

/// The proposer's check of what a commit brings.
pub fn check(rows: &[OffsetCommit]) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::new(ErrorKind::InvalidRequest, why));
    if let Some(row) = rows.iter().find(|row| row.metadata.len() > METADATA_BYTES_MAX) {
        return invalid(format!(
            "{}: metadata of {} bytes; the limit is {METADATA_BYTES_MAX}",
            row.partition,
            row.metadata.len()
        ));
    }
    let bytes: usize = rows.iter().map(|row| row_bytes_max(&row.partition, &row.metadata)).sum();
    if bytes > COMMIT_BYTES_MAX {
        let count = rows.len();
        return invalid(format!(
            "{count} offsets make {bytes} bytes; a commit has at most {COMMIT_BYTES_MAX}"
        ));
    }
    Ok(())
}

/// The most bytes a row takes encoded.
fn row_bytes_max(partition: &TopicPartition, metadata: &str) -> usize {
    partition.topic.as_str().len() + metadata.len() + ROW_BYTES_MAX
}

impl Offsets {
    /// The stored offset of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<&Committed> {
        self.rows.get(partition)
    }

    /// Every stored offset, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Committed)> {
        self.rows.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// When one was stored last.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }

    /// How many rows and bytes a commit adds at most.
    pub(super) fn growth(&self, rows: &[OffsetCommit]) -> (usize, usize) {
        let mut count = 0;
        let mut bytes = 0;
        for row in rows {
            if let Some(old) = self.rows.get(&row.partition) {
                bytes += row.metadata.len().saturating_sub(old.metadata.len());
            } else {
                count += 1;
                bytes += row_bytes_max(&row.partition, &row.metadata);
            }
        }
        (count, bytes)
    }

    pub(super) fn commit(
        &mut self,
        rows: Vec<OffsetCommit>,
        rule: CommitRule,
        metadata_revision: u64,
        at_ms: i64,
    ) {
        for row in rows {
            let is_back = self.rows.get(&row.partition).is_some_and(|stored| {
                stored.topic_id == row.topic_id && row.offset < stored.offset
            });
            if rule == CommitRule::Forward && is_back {
                continue;
            }
            let stored = Committed {
                offset: row.offset,
                leader_epoch: row.leader_epoch,
                metadata: row.metadata,
                topic_id: row.topic_id,
                metadata_revision,
                committed_at_ms: at_ms,
            };
            self.insert(row.partition, stored);
        }
        self.newest_ms = self.newest_ms.max(Some(at_ms));
    }

    fn insert(&mut self, partition: TopicPartition, stored: Committed) {
        self.remove(&partition);
        self.bytes += row_bytes_max(&partition, &stored.metadata);
        self.rows.insert(partition, stored);
    }

    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        if let Some(stored) = self.rows.remove(partition) {
            self.bytes -= row_bytes_max(partition, &stored.metadata);
        }
    }

    /// Removes the offset of a partition of the topic with that identity.
    pub(super) fn drop_of(&mut self, partition: &TopicPartition, topic_id: Uuid) {
        if self.rows.get(partition).is_some_and(|stored| stored.topic_id == topic_id) {
            self.remove(partition);
        }
    }

    /// The most bytes they take encoded.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        self.bytes + OFFSETS_BYTES_MAX
    }

    /// Rebuilds what follows from the rest, after decoding.
    pub(super) fn restored(&mut self) {
        let row = |(partition, stored): (&TopicPartition, &Committed)| {
            row_bytes_max(partition, &stored.metadata)
        };
        self.bytes = self.rows.iter().map(row).sum();
    }
}
