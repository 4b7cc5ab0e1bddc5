//! The membership of one group: who is in it, who owns what, and who is to own what.
//!
//! ```text
//!             join                    assign                 all acknowledged, all taken
//!   Empty ───────────► Assigning ───────────► Reconciling ───────────────────────────► Stable
//!     ▲                    ▲                       │                                     │
//!     │                    └───────────────────────┴── join, leave, expire, subscribe ───┤
//!     └────────────────────────── the last one leaves ───────────────────────────────────┘
//! ```
//!
//! Invariants:
//!
//! - `revision` grows with whatever a target depends on in here: who is a member, and what each wants;
//! - `generation` grows with each target that differs from the one before;
//! - a partition has at most one owner: `Group::take` is the only way to one, and refuses an owned one;
//! - a target gives a partition to at most one member;
//! - `epoch <= generation` for each member; a member that acknowledged the newest generation owns only
//!   what it gives to it.
//!
//! So partitions move only through nobody's hands, and only those that move stand still (cooperative
//! rebalancing: KIP-429; computed by the server and reconciled member by member: KIP-848).

use super::assignor::Assignor;
use super::command::Applied;
use super::limits::MEMBERS_MAX;
use super::member::{Allotment, Member, MemberSpec};
use super::name::{InstanceId, MemberId};
use super::offsets::Committer;
use super::subscription::Subscription;
use super::target::{Share, Target, Topics};
use super::topic_partition::{Partitions, TopicPartition};
use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use storage::planted;
use uuid::Uuid;

/// How far a group is; follows from its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupState {
    /// No members; it may have offsets.
    Empty,
    /// Members or subscriptions changed, and the leader has not computed a target since.
    Assigning,
    /// Some member has not acknowledged the target, or not taken all of it.
    Reconciling,
    /// Everybody has what it is to have.
    Stable,
}

/// What a heartbeat leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// Nothing changes: this is the answer.
    Steady(Allotment),
    /// [`super::Command::Acknowledge`] is to be proposed: it changes what the member has.
    Acknowledge,
}

/// What the present target was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The group's revision.
    pub revision: u64,
    /// How it was computed.
    pub assignor: Assignor,
    /// The topics that some member wanted.
    pub topics: Topics,
}

/// What a group takes beside its members and topics.
const GROUP_BYTES_MAX: usize = 96;

/// The membership of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    revision: u64,
    generation: u32,
    basis: Option<Basis>,
    members: BTreeMap<MemberId, Member>,
    /// When the last member went.
    emptied_at_ms: Option<i64>,
    /// Partition to owner; follows from `members`.
    #[serde(skip)]
    owners: BTreeMap<TopicPartition, MemberId>,
}

impl Group {
    /// Grows with whatever a target depends on in here.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Grows with each new target.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the present target was computed from; `None` before the first.
    pub fn basis(&self) -> Option<&Basis> {
        self.basis.as_ref()
    }

    /// The members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&MemberId, &Member)> {
        self.members.iter()
    }

    /// Owned partitions with their owners.
    pub fn owners(&self) -> impl ExactSizeIterator<Item = (&TopicPartition, &MemberId)> {
        self.owners.iter()
    }

    /// Who owns a partition.
    pub fn owner(&self, partition: &TopicPartition) -> Option<&MemberId> {
        self.owners.get(partition)
    }

    /// When the last member went, in milliseconds since 1970.
    pub fn emptied_at_ms(&self) -> Option<i64> {
        self.emptied_at_ms
    }

    /// How far it is.
    pub fn state(&self) -> GroupState {
        let has_all =
            |member: &Member| member.epoch == self.generation && member.owned == member.target;
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.basis.as_ref().is_none_or(|basis| basis.revision != self.revision) {
            GroupState::Assigning
        } else if self.members.values().all(has_all) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// A member, or the error that says whether it was fenced or is unknown.
    pub fn member(&self, id: &MemberId) -> Result<&Member, Error> {
        self.members.get(id).ok_or_else(|| {
            let successor = self
                .members
                .values()
                .find(|member| member.fenced.as_ref().is_some_and(|(fenced, _)| fenced == id));
            match successor.and_then(|member| member.spec.instance.as_ref()) {
                Some(instance) => {
                    let message = format!("member {id}: another took its place as {instance}");
                    Error::new(ErrorKind::FencedInstance, message)
                }
                None => Error::new(ErrorKind::UnknownMember, format!("no member {id}")),
            }
        })
    }

    /// What a member has now.
    pub fn allotment(&self, id: &MemberId) -> Result<Allotment, Error> {
        Ok(self.member(id)?.allotment(self.generation))
    }

    /// Decides on a heartbeat. For a member whose records the server delivers its broker says the
    /// newest generation, since it stops delivering with it.
    ///
    /// | the generation it says | |
    /// |---|---|
    /// | none | steady |
    /// | below what it acknowledged, or above the newest | `StaleGeneration` |
    /// | below the newest | steady: the answer tells it of the newest |
    /// | the newest, not acknowledged | acknowledge |
    /// | the newest, and nobody owns something that is meant for it | acknowledge: it takes that |
    /// | the newest, else | steady |
    pub fn beat(&self, id: &MemberId, generation: Option<u32>) -> Result<Beat, Error> {
        let member = self.member(id)?;
        let steady = || Beat::Steady(member.allotment(self.generation));
        let Some(said) = generation else { return Ok(steady()) };
        self.check_generation(member, said)?;
        let is_free = |partition: &TopicPartition| !self.owners.contains_key(partition);
        let is_newest = said == self.generation;
        if is_newest && (member.epoch != said || member.target.iter().any(is_free)) {
            return Ok(Beat::Acknowledge);
        }
        Ok(steady())
    }

    /// A member may say any generation from the one it acknowledged to the newest.
    fn check_generation(&self, member: &Member, said: u32) -> Result<(), Error> {
        if (member.epoch..=self.generation).contains(&said) {
            return Ok(());
        }
        let (id, epoch, newest) = (&member.spec.id, member.epoch, self.generation);
        let message = format!(
            "member {id} says generation {said}; it acknowledged {epoch}, the newest is {newest}"
        );
        Err(Error::new(ErrorKind::StaleGeneration, message))
    }

    /// Whether who commits may write offsets of these partitions; the table is in
    /// [`offsets`](super::offsets).
    pub fn check_commit<'a>(
        &self,
        by: &Committer,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<(), Error> {
        if planted!(NoGenerationCheck) {
            return Ok(());
        }
        let id = match by {
            Committer::Operator => return self.check_empty(),
            Committer::Nobody => None,
            Committer::Member { id, generation } => {
                let member = self.member(id)?;
                if let Some(said) = generation {
                    self.check_generation(member, *said)?;
                }
                Some(id)
            }
        };
        for partition in partitions {
            let owner = self.owners.get(partition);
            if owner != id {
                let whose = owner.map_or_else(|| "nobody".to_owned(), |id| format!("member {id}"));
                let message = format!("{partition} belongs to {whose}");
                return Err(Error::new(ErrorKind::NotOwner, message));
            }
        }
        Ok(())
    }

    pub(super) fn check_empty(&self) -> Result<(), Error> {
        match self.members.len() {
            0 => Ok(()),
            count => {
                let message = format!("the group has members: {count}");
                Err(Error::new(ErrorKind::GroupNotEmpty, message))
            }
        }
    }
}

/// The changes. Each is deterministic, and changes nothing if it is refused.
impl Group {
    /// A member comes.
    ///
    /// | there is | |
    /// |---|---|
    /// | the member, by the same attempt | its answer again |
    /// | a member of the same instance | it takes that one's place |
    /// | another member of the id | `MemberExists` |
    /// | no room | `GroupFull` |
    /// | none of these | it is in, without partitions until a target is computed |
    pub(super) fn join(&mut self, spec: MemberSpec, at_ms: i64) -> Result<Allotment, Error> {
        let id = spec.id.clone();
        let there = self.members.get(&id);
        if there.is_some_and(|member| member.spec.attempt == spec.attempt) {
            return self.allotment(&id);
        }
        let predecessor = spec.instance.as_ref().and_then(|instance| self.instance(instance));
        if let Some(member) = there.filter(|_| predecessor != Some(&id)) {
            let joined = member.joined_at_ms;
            let message = format!("the group has a member {id}, which joined at {joined} ms");
            return Err(Error::new(ErrorKind::MemberExists, message));
        }
        if let Some(predecessor) = predecessor.cloned() {
            self.succeed(&predecessor, spec, at_ms);
        } else {
            let count = self.members.len();
            if count >= MEMBERS_MAX {
                let message = format!("the group has {count} members; the limit is {MEMBERS_MAX}");
                return Err(Error::new(ErrorKind::GroupFull, message));
            }
            // It has nothing, so there is nothing in the newest generation that it has not done.
            let mut member = Member {
                spec,
                epoch: self.generation,
                owned: Partitions::new(),
                target: Partitions::new(),
                fenced: None,
                joined_at_ms: at_ms,
                bytes: 0,
            };
            member.weigh();
            self.members.insert(id.clone(), member);
            self.revision += 1;
        }
        self.allotment(&id)
    }

    /// The member of an instance.
    fn instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.spec.instance.as_ref() == Some(instance)).map(|it| it.0)
    }

    /// A static member's new process takes its place. It reads nothing yet, so it has released what its
    /// predecessor had to.
    fn succeed(&mut self, predecessor: &MemberId, spec: MemberSpec, at_ms: i64) {
        let Some(mut member) = self.members.remove(predecessor) else { return };
        // A target under way names the predecessor, so it is stale; the present one stays good if the
        // successor wants the same.
        let wants_the_same =
            member.spec.subscription == spec.subscription && member.spec.assignor == spec.assignor;
        let revision = self.revision;
        self.revision += 1;
        if let Some(basis) = &mut self.basis
            && basis.revision == revision
            && wants_the_same
        {
            basis.revision = self.revision;
        }
        let id = spec.id.clone();
        for partition in &member.owned {
            self.owners.insert(partition.clone(), id.clone());
        }
        member.fenced = Some((predecessor.clone(), member.spec.attempt));
        member.spec = spec;
        member.joined_at_ms = at_ms;
        self.members.insert(id.clone(), member);
        self.settle(&id);
    }

    pub(super) fn leave(&mut self, id: &MemberId, at_ms: i64) -> Result<Applied, Error> {
        self.member(id)?;
        self.remove(id, at_ms);
        Ok(Applied::Done)
    }

    /// Expels a member, unless it is another by now or has shown that it lives.
    pub(super) fn expire(
        &mut self,
        id: &MemberId,
        attempt: Uuid,
        epoch: u32,
        at_ms: i64,
    ) -> Applied {
        let is_meant = self
            .members
            .get(id)
            .is_some_and(|member| member.spec.attempt == attempt && member.epoch == epoch);
        if !is_meant {
            return Applied::Stale;
        }
        self.remove(id, at_ms);
        Applied::Done
    }

    fn remove(&mut self, id: &MemberId, at_ms: i64) {
        let Some(member) = self.members.remove(id) else { return };
        for partition in &member.owned {
            self.owners.remove(partition);
        }
        self.revision += 1;
        if self.members.is_empty() {
            self.emptied_at_ms = Some(at_ms);
        }
    }

    pub(super) fn subscribe(
        &mut self,
        id: &MemberId,
        subscription: Subscription,
    ) -> Result<Applied, Error> {
        self.member(id)?;
        if let Some(member) = self.members.get_mut(id)
            && member.spec.subscription != subscription
        {
            member.spec.subscription = subscription;
            member.weigh();
            self.revision += 1;
        }
        Ok(Applied::Done)
    }

    /// Takes a target over, unless it was computed from what is no longer so.
    pub(super) fn assign(&mut self, target: Target) -> Result<Applied, Error> {
        let newest = self.basis.as_ref().map_or(0, |basis| basis.topics.revision);
        if target.based_on != self.revision || target.topics.revision < newest {
            return Ok(Applied::Stale);
        }
        self.check_target(&target)?;
        let Target { based_on, assignor, topics, members: mut shares } = target;
        let mut is_news = self.basis.as_ref().is_some_and(|basis| {
            // A topic made anew under its name has other records, whoever owns its partitions.
            let id = |topics: &Topics, name| topics.shapes.get(name).map(|shape| shape.id);
            let both = basis
                .topics
                .shapes
                .iter()
                .filter_map(|(name, shape)| id(&topics, name).map(|id| (shape.id, id)));
            both.into_iter().any(|(old, new)| old != new)
        });
        if planted!(TwoOwners) {
            let firsts: Partitions =
                shares.values().filter_map(|share| share.0.first().cloned()).collect();
            for share in shares.values_mut() {
                share.0.extend(firsts.iter().cloned());
            }
        }
        for (id, member) in &mut self.members {
            let share = shares.remove(id).unwrap_or_default().0;
            is_news |= member.target != share;
            member.target = share;
            member.weigh();
        }
        if is_news {
            self.generation += 1;
        }
        self.basis = Some(Basis { revision: based_on, assignor, topics });
        Ok(Applied::Done)
    }

    /// What no leader may get wrong, whatever its version.
    fn check_target(&self, target: &Target) -> Result<(), Error> {
        let mut given = BTreeSet::new();
        for (id, share) in &target.members {
            if !self.members.contains_key(id) {
                let message = format!("a target names {id}, which is no member");
                return Err(Error::new(ErrorKind::Internal, message));
            }
            if let Some(twice) = share.0.iter().find(|partition| !given.insert(*partition)) {
                let message = format!("a target gives {twice} to two members");
                return Err(Error::new(ErrorKind::Internal, message));
            }
        }
        Ok(())
    }

    /// The member has stopped reading what is not its own in `generation`.
    ///
    /// | the generation | |
    /// |---|---|
    /// | below what it acknowledged, or above the newest | `StaleGeneration` |
    /// | below the newest: a target came in between | nothing changes, the answer tells it |
    /// | the newest | it gives up what it is to, and takes what nobody owns |
    pub(super) fn acknowledge(
        &mut self,
        id: &MemberId,
        generation: u32,
    ) -> Result<Allotment, Error> {
        self.check_generation(self.member(id)?, generation)?;
        if generation == self.generation {
            self.settle(id);
        }
        self.allotment(id)
    }

    /// Takes from a member what it is to give up; it can still commit the rest with its old generation.
    pub(super) fn revoke(&mut self, id: &MemberId, generation: u32) -> Applied {
        if generation != self.generation || !self.members.contains_key(id) {
            return Applied::Stale;
        }
        self.release(id);
        Applied::Done
    }

    /// Gives up what `id` is to, takes what it can, and notes that it did so in this generation.
    fn settle(&mut self, id: &MemberId) {
        self.release(id);
        self.take(id);
        if let Some(member) = self.members.get_mut(id) {
            member.epoch = self.generation;
        }
    }

    fn release(&mut self, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        for partition in &member.owned - &member.target {
            member.owned.remove(&partition);
            self.owners.remove(&partition);
        }
        member.weigh();
    }

    fn take(&mut self, id: &MemberId) {
        let Some(member) = self.members.get_mut(id) else { return };
        for partition in &member.target - &member.owned {
            if planted!(TwoOwners) || !self.owners.contains_key(&partition) {
                self.owners.insert(partition.clone(), id.clone());
                member.owned.insert(partition);
            }
        }
        member.weigh();
    }

    /// The most bytes it takes encoded; no acknowledgement and no revocation makes it more.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        let members: usize = self.members.values().map(|member| member.bytes).sum();
        let basis = self.basis.as_ref().map_or(0, |basis| basis.topics.encoded_bytes_max());
        members + basis + GROUP_BYTES_MAX
    }

    /// The most bytes it takes encoded with that target.
    pub(super) fn bytes_with(&self, target: &Target) -> usize {
        let nothing = Share::default();
        let member = |(id, member): (&MemberId, &Member)| {
            member.bytes_with(&target.members.get(id).unwrap_or(&nothing).0)
        };
        let members: usize = self.members.iter().map(member).sum();
        members + target.topics.encoded_bytes_max() + GROUP_BYTES_MAX
    }

    /// Rebuilds what follows from the rest, after decoding.
    pub(super) fn restored(&mut self) -> io::Result<()> {
        self.owners.clear();
        for (id, member) in &mut self.members {
            member.weigh();
            for partition in &member.owned {
                if let Some(other) = self.owners.insert(partition.clone(), id.clone()) {
                    let why = format!("{partition} is owned by {other} and by {id}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(())
    }
}

impl GroupState {
    /// Its name, as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Assigning => "assigning",
            Self::Reconciling => "reconciling",
            Self::Stable => "stable",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
