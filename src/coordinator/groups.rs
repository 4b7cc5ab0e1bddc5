//! All groups of one coordinator: the fold over its commands, and the bounds of what it holds.
//!
//! A command that is refused changes nothing, and one that is not leaves at most `STATE_BYTES_MAX` to be
//! written as a checkpoint: each group carries the most bytes it takes, counted so that acknowledgements
//! and revocations never raise it (see `Group::encoded_bytes_max`). So only joins, subscriptions,
//! targets and commits can be refused for want of room, never what makes room.

use super::command::{Answer, Applied, Command, Orphan};
use super::group::Group;
use super::limits::{GROUPS_MAX, OFFSETS_MAX, STATE_BYTES_MAX};
use super::member::MemberSpec;
use super::name::{GroupName, NAME_BYTES_MAX};
use super::offsets::{Committer, OffsetCommit, Offsets};
use super::target::Topics;
use super::topic_partition::{LENGTH_BYTES_MAX, Partitions};
use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What a member that joins takes beside what it says: its id as the key, and whom it fenced.
const JOIN_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + 4 * LENGTH_BYTES_MAX;

/// A group with its offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    group: Arc<Group>,
    offsets: Offsets,
    /// The most bytes it takes encoded; follows from the rest.
    #[serde(skip)]
    bytes: usize,
}

/// All groups of one coordinator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    entries: BTreeMap<GroupName, Entry>,
    /// The bytes of all entries; follows from them.
    #[serde(skip)]
    bytes: usize,
    /// The offsets of all entries; follows from them.
    #[serde(skip)]
    offsets: usize,
}

impl Groups {
    /// Every group, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&GroupName, &Arc<Group>, &Offsets)> {
        self.entries.iter().map(|(name, entry)| (name, &entry.group, &entry.offsets))
    }

    /// A group's membership, or the error that says it is unknown.
    pub fn group(&self, name: &GroupName) -> Result<&Arc<Group>, Error> {
        self.entries.get(name).map(|entry| &entry.group).ok_or_else(|| unknown(name))
    }

    /// A group's offsets, or the error that says it is unknown.
    pub fn offsets(&self, name: &GroupName) -> Result<&Offsets, Error> {
        self.entries.get(name).map(|entry| &entry.offsets).ok_or_else(|| unknown(name))
    }

    /// Since when nobody has used a group: nobody is in it, nothing was committed since. `None` while it
    /// has members.
    pub fn idle_since_ms(&self, name: &GroupName) -> Option<i64> {
        self.entries.get(name).and_then(Entry::idle_since_ms)
    }

    /// The groups that were idle for `retention_ms` and longer: each with since when it was, which
    /// [`Command::Abandon`] repeats.
    pub fn abandoned(&self, now_ms: i64, retention_ms: i64) -> Vec<Command> {
        let is_old = |since: &i64| now_ms.saturating_sub(*since) >= retention_ms;
        let idle = self.entries.iter().filter_map(|(name, entry)| {
            entry.idle_since_ms().filter(is_old).map(|since| (name.clone(), since))
        });
        idle.map(|(group, idle_since_ms)| Command::Abandon { group, idle_since_ms }).collect()
    }

    /// The stored offsets whose topic is gone, or was made anew. One that was stored by somebody who knew
    /// newer metadata than `topics` is not judged: we may not have heard of its topic yet.
    pub fn orphans(&self, topics: &Topics) -> Vec<Orphan> {
        let mut orphans = Vec::new();
        for (group, _, offsets) in self.iter() {
            for (partition, stored) in offsets.iter() {
                let is_known = topics
                    .shapes
                    .get(&partition.topic)
                    .is_some_and(|shape| shape.id == stored.topic_id);
                if !is_known && stored.metadata_revision <= topics.revision {
                    let (group, partition) = (group.clone(), partition.clone());
                    orphans.push(Orphan { group, partition, topic_id: stored.topic_id });
                }
            }
        }
        orphans
    }

    /// The most bytes they take encoded.
    pub fn encoded_bytes_max(&self) -> usize {
        self.bytes + 2 * LENGTH_BYTES_MAX
    }

    /// Folds one command in.
    pub fn apply(&mut self, command: Command) -> Answer {
        match command {
            Command::Join { group, spec, at_ms } => self.join(&group, spec, at_ms),
            Command::Leave { group, member, at_ms } => {
                self.change(&group, |group| group.leave(&member, at_ms))
            }
            Command::Subscribe { group, member, subscription } => {
                self.check_bytes(subscription.encoded_bytes_max())?;
                self.change(&group, |group| group.subscribe(&member, subscription))
            }
            Command::Acknowledge { group, member, generation } => self.change(&group, |group| {
                group.acknowledge(&member, generation).map(Applied::Acknowledged)
            }),
            Command::Assign { group, target } => {
                let present = self.group(&group)?;
                let growth =
                    present.bytes_with(&target).saturating_sub(present.encoded_bytes_max());
                self.check_bytes(growth)?;
                self.change(&group, |group| group.assign(target))
            }
            Command::Revoke { group, member, generation } => {
                self.change(&group, |group| Ok(group.revoke(&member, generation)))
            }
            Command::Expire { group, member, attempt, epoch, at_ms } => {
                self.change(&group, |group| Ok(group.expire(&member, attempt, epoch, at_ms)))
            }
            Command::Commit { group, by, offsets, rule, metadata_revision, at_ms } => {
                let offsets = self.check_commit(&group, &by, offsets)?;
                self.change_offsets(&group, |stored| {
                    stored.commit(offsets, rule, metadata_revision, at_ms);
                });
                Ok(Applied::Done)
            }
            Command::DeleteOffsets { group, partitions } => {
                self.delete_offsets(&group, &partitions)
            }
            Command::DropOffsets { orphans } => {
                for Orphan { group, partition, topic_id } in orphans {
                    if self.entries.contains_key(&group) {
                        self.change_offsets(&group, |stored| stored.drop_of(&partition, topic_id));
                    }
                }
                Ok(Applied::Done)
            }
            Command::DeleteGroup { group } => {
                self.group(&group)?.check_empty()?;
                self.remove(&group);
                Ok(Applied::Done)
            }
            Command::Abandon { group, idle_since_ms } => {
                if self.idle_since_ms(&group) != Some(idle_since_ms) {
                    return Ok(Applied::Stale);
                }
                self.remove(&group);
                Ok(Applied::Done)
            }
        }
    }

    /// Reads back what [`storage::codec::encode`] made of groups.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut groups: Self = storage::codec::decode(bytes)?;
        for (name, entry) in &mut groups.entries {
            Arc::make_mut(&mut entry.group)
                .restored()
                .map_err(|error| io::Error::new(error.kind(), format!("group {name}: {error}")))?;
            entry.offsets.restored();
            entry.bytes = entry.encoded_bytes_max(name);
            groups.bytes += entry.bytes;
            groups.offsets += entry.offsets.len();
        }
        Ok(groups)
    }

    fn join(&mut self, name: &GroupName, spec: MemberSpec, at_ms: i64) -> Answer {
        self.check_room_for_group(name)?;
        self.check_bytes(
            spec.encoded_bytes_max() + JOIN_BYTES_MAX + Entry::default().encoded_bytes_max(name),
        )?;
        if !self.entries.contains_key(name) {
            // Nothing refuses the first member.
            self.change_offsets(name, |_| ());
        }
        self.change(name, |group| group.join(spec, at_ms).map(Applied::Joined))
    }

    /// Whether all of a commit can be stored.
    fn check_commit(
        &self,
        name: &GroupName,
        by: &Committer,
        rows: Vec<OffsetCommit>,
    ) -> Result<Vec<OffsetCommit>, Error> {
        let nothing = Entry::default();
        let entry = match (self.entries.get(name), by) {
            (Some(entry), _) => entry,
            (None, Committer::Member { .. }) => return Err(unknown(name)),
            (None, Committer::Nobody | Committer::Operator) => {
                self.check_room_for_group(name)?;
                self.check_bytes(nothing.encoded_bytes_max(name))?;
                &nothing
            }
        };
        entry.group.check_commit(by, rows.iter().map(|row| &row.partition))?;
        let (count, bytes) = entry.offsets.growth(&rows);
        let count = self.offsets + count;
        if count > OFFSETS_MAX {
            let why =
                format!("{count} committed offsets; a coordinator holds at most {OFFSETS_MAX}");
            return Err(Error::new(ErrorKind::GroupFull, why));
        }
        self.check_bytes(bytes + nothing.encoded_bytes_max(name))?;
        Ok(rows)
    }

    fn delete_offsets(&mut self, name: &GroupName, partitions: &Partitions) -> Answer {
        let group = self.group(name)?;
        for partition in partitions {
            if let Some(owner) = group.owner(partition) {
                let why = format!("{partition} belongs to member {owner}");
                return Err(Error::new(ErrorKind::GroupNotEmpty, why));
            }
        }
        self.change_offsets(name, |stored| {
            for partition in partitions {
                stored.remove(partition);
            }
        });
        Ok(Applied::Done)
    }

    fn check_room_for_group(&self, name: &GroupName) -> Result<(), Error> {
        let count = self.entries.len();
        if self.entries.contains_key(name) || count < GROUPS_MAX {
            return Ok(());
        }
        let why = format!("the coordinator has {count} groups; the limit is {GROUPS_MAX}");
        Err(Error::new(ErrorKind::GroupFull, why))
    }

    fn check_bytes(&self, more: usize) -> Result<(), Error> {
        let bytes = self.bytes + more;
        if bytes <= STATE_BYTES_MAX {
            return Ok(());
        }
        let why =
            format!("a coordinator's groups make {bytes} bytes; the limit is {STATE_BYTES_MAX}");
        Err(Error::new(ErrorKind::GroupFull, why))
    }

    /// Changes the membership of a group that exists.
    fn change(&mut self, name: &GroupName, change: impl FnOnce(&mut Group) -> Answer) -> Answer {
        let entry = self.entries.get_mut(name).ok_or_else(|| unknown(name))?;
        // Copied only while a reader holds it.
        let answer = change(Arc::make_mut(&mut entry.group));
        self.weigh(name);
        answer
    }

    /// Changes the offsets of a group, which is made if there is none.
    fn change_offsets(&mut self, name: &GroupName, change: impl FnOnce(&mut Offsets)) {
        let entry = self.entries.entry(name.clone()).or_default();
        self.offsets -= entry.offsets.len();
        change(&mut entry.offsets);
        self.offsets += entry.offsets.len();
        self.weigh(name);
    }

    fn remove(&mut self, name: &GroupName) {
        if let Some(entry) = self.entries.remove(name) {
            self.bytes -= entry.bytes;
            self.offsets -= entry.offsets.len();
        }
    }

    fn weigh(&mut self, name: &GroupName) {
        if let Some(entry) = self.entries.get_mut(name) {
            self.bytes -= entry.bytes;
            entry.bytes = entry.encoded_bytes_max(name);
            self.bytes += entry.bytes;
        }
    }
}

impl Entry {
    fn encoded_bytes_max(&self, name: &GroupName) -> usize {
        name.as_str().len()
            + LENGTH_BYTES_MAX
            + self.group.encoded_bytes_max()
            + self.offsets.encoded_bytes_max()
    }

    fn idle_since_ms(&self) -> Option<i64> {
        let used = self.group.emptied_at_ms().max(self.offsets.newest_ms());
        used.filter(|_| self.group.members().len() == 0)
    }
}

fn unknown(name: &GroupName) -> Error {
    Error::new(ErrorKind::UnknownGroup, format!("no group {name}"))
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
