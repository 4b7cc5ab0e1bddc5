//! What the leader of a coordinator answers about its consumer groups.

use super::ask::{Drawn, GroupAsk, GroupReply};
use super::coordinator::{Coordinator, LOOK_AGAIN, now_ms};
use super::deliveries::Move;
use super::describe::{Described, Row};
use super::leadership::Reader;
use super::request::{AUTO_COMMIT, AUTO_OFFSET_RESET, OffsetReset};
use crate::broker::Inner;
use crate::broker::route::Errand;
use crate::broker::wire::{Miss, Reply};
use crate::coordinator::{
    Allotment, Applied, Beat, Command, CommitRule, Committed, Committer, Delivery, Group,
    GroupName, Groups, MemberId, MemberSpec, OffsetCommit, Offsets, Partitions, TopicPartition,
    offsets,
};
use crate::error::{Error, ErrorKind};
use raft::Offset;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often what a member has received is committed for it, at most.
const AUTO_COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The longest time between two signs of life of a member: how soon it learns of a rebalance.
const BEAT_EVERY_MAX: Duration = Duration::from_secs(3);

/// How often a member is to be heard: a third of what its session lasts, so that two can be lost.
pub(super) fn beat_every(session_timeout_ms: u32) -> Duration {
    (Duration::from_millis(u64::from(session_timeout_ms)) / 3).min(BEAT_EVERY_MAX)
}

/// One request about one group, at the coordinator of that group.
struct Serving<'a> {
    broker: &'a Inner,
    errand: &'a Errand,
    coordinator: &'a Coordinator,
    name: &'a GroupName,
}

impl Inner {
    /// Answers from the coordinator on this node, if it leads.
    pub(in crate::broker) async fn perform_group(
        &self,
        errand: &Errand,
        ask: &GroupAsk,
    ) -> Result<Reply, Miss> {
        let coordinator = self.coordinator(errand)?;
        let of = |name| Serving { broker: self, errand, coordinator: &coordinator, name };
        let reply = match ask {
            GroupAsk::Join { group, spec } => of(group).join(spec).await?,
            GroupAsk::Beat { group, member, generation, wait } => {
                of(group).beat(member, *generation, *wait).await?
            }
            GroupAsk::Subscribe { group, member, subscription } => {
                subscription.check()?;
                let (group, member) = (group.clone(), member.clone());
                let subscription = subscription.clone();
                self.leads(&coordinator)?;
                let command = Command::Subscribe { group, member, subscription };
                self.decide(errand, &coordinator, &command).await?;
                GroupReply::Done
            }
            GroupAsk::Leave { group, member } => of(group).leave(member).await?,
            GroupAsk::Commit { group, by, offsets, metadata_revision } => {
                let rows = offsets.clone();
                of(group)
                    .commit(by.clone(), rows, CommitRule::Explicit, *metadata_revision)
                    .await?;
                GroupReply::Done
            }
            GroupAsk::CommitReceived { group, member } => of(group).commit_received(member).await?,
            GroupAsk::DeleteOffsets { group, partitions } => {
                let (group, partitions) = (group.clone(), partitions.clone());
                let command = Command::DeleteOffsets { group, partitions };
                self.decide(errand, &coordinator, &command).await?;
                GroupReply::Done
            }
            GroupAsk::DeleteGroup { group } => {
                let command = Command::DeleteGroup { group: group.clone() };
                self.decide(errand, &coordinator, &command).await?;
                GroupReply::Done
            }
            GroupAsk::List => {
                self.confirm(errand, &coordinator).await?;
                let rows = coordinator.groups.look(|groups| {
                    groups.iter().map(|(name, group, _)| Row::of(name, group)).collect()
                });
                GroupReply::Groups { leader: self.node.id(), rows }
            }
            GroupAsk::Describe { group } => {
                self.confirm(errand, &coordinator).await?;
                let described = coordinator.groups.look(|groups| Described::of(groups, group));
                GroupReply::Group { leader: self.node.id(), described: Box::new(described?) }
            }
            GroupAsk::Committed { group, partitions } => {
                self.confirm(errand, &coordinator).await?;
                let partitions = partitions.as_deref();
                let look = |groups: &Groups| committed(groups, group, partitions);
                GroupReply::Committed(coordinator.groups.look(look))
            }
            GroupAsk::Draw { group, member, received } => of(group).draw(member, *received).await?,
            GroupAsk::Deliver { group, member, ticket, moves } => {
                of(group).deliver(member, *ticket, moves).await?
            }
            GroupAsk::Seek { group, member, to } => of(group).seek(member, to).await?,
            GroupAsk::Positions { group, member } => of(group).positions(member).await?,
        };
        Ok(Reply::Group(reply))
    }
}

impl Serving<'_> {
    fn members(&self) -> Result<Arc<Group>, Error> {
        self.coordinator.members(self.name)
    }

    fn hear(&self, term: u64, member: &MemberId) {
        self.coordinator.leadership(term).hear(self.name, member);
    }

    /// Works on what a member that is read for was given.
    fn reader<T>(&self, term: u64, spec: &MemberSpec, work: impl FnOnce(&mut Reader) -> T) -> T {
        work(self.coordinator.leadership(term).reader(self.name, spec))
    }

    async fn decide(&self, command: &Command) -> Result<Applied, Miss> {
        self.broker.decide(self.errand, self.coordinator, command).await
    }

    async fn join(&self, spec: &MemberSpec) -> Result<GroupReply, Miss> {
        spec.check()?;
        let (group, spec, at_ms) = (self.name.clone(), spec.clone(), now_ms());
        let term = self.broker.leads(self.coordinator)?;
        let applied = self.decide(&Command::Join { group, spec: spec.clone(), at_ms }).await?;
        let (Applied::Joined(allotment) | Applied::Acknowledged(allotment)) = applied else {
            return Err(unexpected(&applied).into());
        };
        self.hear(term, &spec.id);
        Ok(GroupReply::Allotment(allotment))
    }

    /// A sign of life; waits for news up to `wait`, and up to when the next sign is due.
    async fn beat(
        &self,
        member: &MemberId,
        generation: Option<u32>,
        wait: Duration,
    ) -> Result<GroupReply, Miss> {
        let mut term = self.broker.confirm(self.errand, self.coordinator).await?;
        let mut memberships = self.coordinator.groups.changes();
        let mut roles = self.coordinator.group.watch_role();
        let began = Instant::now();
        loop {
            roles.borrow_and_update();
            memberships.borrow_and_update();
            let group = self.members()?;
            let spec = group.member(member)?.spec();
            self.hear(term, member);
            let allotment = match group.beat(member, generation)? {
                Beat::Steady(allotment) => allotment,
                Beat::Acknowledge => {
                    let allotment = self.acknowledge(member, group.generation()).await?;
                    return Ok(GroupReply::Allotment(allotment));
                }
            };
            let until = began + wait.min(beat_every(spec.session_timeout_ms));
            let until = until.min(self.errand.deadline);
            let is_news = generation != Some(allotment.generation) || !allotment.revoke.is_empty();
            if is_news || Instant::now() >= until {
                return Ok(GroupReply::Allotment(allotment));
            }
            tokio::select! {
                changed = memberships.changed() => if changed.is_err() {
                    return Err(Miss::nobody());
                },
                changed = roles.changed() => if changed.is_err() { return Err(Miss::nobody()) },
                () = sleep_until(until) => {}
            }
            sleep_until((Instant::now() + LOOK_AGAIN).min(until)).await;
            term = self.broker.leads(self.coordinator)?;
        }
    }

    async fn acknowledge(&self, member: &MemberId, generation: u32) -> Result<Allotment, Miss> {
        let (group, member) = (self.name.clone(), member.clone());
        match self.decide(&Command::Acknowledge { group, member, generation }).await? {
            Applied::Acknowledged(allotment) | Applied::Joined(allotment) => Ok(allotment),
            other @ (Applied::Done | Applied::Stale) => Err(unexpected(&other).into()),
        }
    }

    async fn leave(&self, member: &MemberId) -> Result<GroupReply, Miss> {
        let term = self.broker.leads(self.coordinator)?;
        let group = self.members()?;
        let spec = group.member(member)?.spec();
        if spec.delivery == Delivery::Server && commits_itself(spec) {
            self.reader(term, spec, |reader| reader.deliveries.part());
            self.store_received(term, spec, CommitRule::Forward).await?;
        }
        let (group, member, at_ms) = (self.name.clone(), member.clone(), now_ms());
        self.decide(&Command::Leave { group, member, at_ms }).await?;
        Ok(GroupReply::Done)
    }

    async fn commit(
        &self,
        by: Committer,
        rows: Vec<OffsetCommit>,
        rule: CommitRule,
        metadata_revision: u64,
    ) -> Result<(), Miss> {
        offsets::check(&rows)?;
        let term = self.broker.leads(self.coordinator)?;
        if let Committer::Member { id, .. } = &by {
            self.hear(term, id);
        }
        let (group, at_ms) = (self.name.clone(), now_ms());
        let command = Command::Commit { group, by, offsets: rows, rule, metadata_revision, at_ms };
        #[cfg(feature = "sabotage")]
        if storage::planted!(CommitInMemory) {
            return self.coordinator.groups.fold_alone(command).map(drop).map_err(Miss::Failed);
        }
        self.decide(&command).await.map(drop)
    }

    /// Commits for a member that is read for what it has received, if that is news.
    async fn store_received(
        &self,
        term: u64,
        spec: &MemberSpec,
        rule: CommitRule,
    ) -> Result<(), Miss> {
        let received = self.reader(term, spec, |reader| reader.deliveries.received().clone());
        if received.is_empty() {
            return Ok(());
        }
        self.store(spec, received.iter().map(|(at, next)| (at.clone(), *next)), rule).await?;
        self.reader(term, spec, |reader| {
            reader.deliveries.committed(&received);
            reader.committed = Some(Instant::now());
        });
        Ok(())
    }

    /// Commits offsets in the name of a member that is read for.
    async fn store(
        &self,
        spec: &MemberSpec,
        offsets: impl Iterator<Item = (TopicPartition, u64)>,
        rule: CommitRule,
    ) -> Result<(), Miss> {
        let image = self.broker.image();
        let row = |(partition, offset): (TopicPartition, u64)| {
            // One that was deleted meanwhile needs no offset.
            let topic_id = image.topic(&partition.topic).ok()?.id;
            let offset = Offset::new(offset);
            let metadata = String::new();
            Some(OffsetCommit { partition, topic_id, offset, leader_epoch: None, metadata })
        };
        let by = Committer::Member { id: spec.id.clone(), generation: None };
        self.commit(by, offsets.filter_map(row).collect(), rule, image.revision()).await
    }

    async fn commit_received(&self, member: &MemberId) -> Result<GroupReply, Miss> {
        let (term, group) = self.read_for(member).await?;
        let spec = group.member(member)?.spec();
        let owned = group.member(member)?.owned();
        self.reader(term, spec, |reader| {
            reader.deliveries.keep(owned);
            reader.deliveries.hear(None);
        });
        self.store_received(term, spec, CommitRule::Explicit).await?;
        Ok(GroupReply::Done)
    }

    /// The group's members as of now, if this one is read for. It is a sign of life.
    async fn read_for(&self, member: &MemberId) -> Result<(u64, Arc<Group>), Miss> {
        let term = self.broker.confirm(self.errand, self.coordinator).await?;
        let group = self.members()?;
        let delivery = group.member(member)?.spec().delivery;
        match delivery {
            Delivery::Server => {
                self.hear(term, member);
                Ok((term, group))
            }
            Delivery::Client => {
                let message = format!("member {member} fetches by itself: it joined so");
                Err(Error::new(ErrorKind::InvalidRequest, message).into())
            }
        }
    }

    /// Begins a poll: what was received is noted, what is revoked is let go, what is new is taken.
    async fn draw(&self, member: &MemberId, received: Option<u64>) -> Result<GroupReply, Miss> {
        let (term, group) = self.read_for(member).await?;
        let known = group.member(member)?;
        let spec = known.spec();
        let commit_now = self.reader(term, spec, |reader| {
            let deliveries = &mut reader.deliveries;
            deliveries.keep(known.owned());
            let is_idle = !deliveries.hear(received);
            let is_due = reader.committed.is_none_or(|last| last.elapsed() >= AUTO_COMMIT_EVERY);
            is_idle || is_due
        });
        let beat = group.beat(member, Some(group.generation()))?;
        if commits_itself(spec) && (commit_now || beat == Beat::Acknowledge) {
            match self.store_received(term, spec, CommitRule::Forward).await {
                Err(Miss::Failed(error)) => {
                    // It comes again with the next poll, or to the next owner: twice, not never.
                    tracing::debug!(group = %self.name, %member, %error, "not committed for it");
                }
                done => done?,
            }
        }
        let allotment = match beat {
            Beat::Steady(allotment) => allotment,
            Beat::Acknowledge => self.acknowledge(member, group.generation()).await?,
        };
        let stored = self.stored(&allotment.assigned);
        let draw = self.reader(term, spec, |reader| {
            reader.deliveries.draw(&allotment.assigned, |at| stored.get(at).copied())
        });
        let (reset, beat_every) = (reset_of(spec), beat_every(spec.session_timeout_ms));
        Ok(GroupReply::Drawn(Drawn { allotment, draw, reset, beat_every }))
    }

    /// Ends a poll.
    async fn deliver(
        &self,
        member: &MemberId,
        ticket: u64,
        moves: &[Move],
    ) -> Result<GroupReply, Miss> {
        let (term, group) = self.read_for(member).await?;
        let spec = group.member(member)?.spec();
        let begun = moves.iter().filter(|step| step.before.is_none());
        if reset_of(spec) == OffsetReset::Latest && begun.clone().next().is_some() {
            // Where `latest` was found is kept: after a change of the coordinator it would be found
            // anew, beyond what came meanwhile.
            let begun = begun.map(|step| (step.at.clone(), step.from));
            self.store(spec, begun, CommitRule::Forward).await?;
        }
        let assigned: Partitions = group.allotment(member)?.assigned;
        let delivered =
            self.reader(term, spec, |reader| reader.deliveries.deliver(ticket, moves, &assigned));
        Ok(GroupReply::Delivered(delivered))
    }

    /// The committed offsets of partitions, of topics as they are now.
    fn stored(&self, partitions: &Partitions) -> BTreeMap<TopicPartition, u64> {
        let image = self.broker.image();
        self.coordinator.groups.look(|groups| {
            let Ok(offsets) = groups.offsets(self.name) else { return BTreeMap::new() };
            let stored = partitions.iter().filter_map(|at| {
                let stored = offsets.get(at)?;
                let is_of = image.topic(&at.topic).is_ok_and(|topic| topic.id == stored.topic_id);
                is_of.then(|| (at.clone(), stored.offset.get()))
            });
            stored.collect()
        })
    }

    async fn seek(
        &self,
        member: &MemberId,
        to: &[(TopicPartition, u64)],
    ) -> Result<GroupReply, Miss> {
        let (term, group) = self.read_for(member).await?;
        check_owned(&group, member, to.iter().map(|(at, _)| at))?;
        let spec = group.member(member)?.spec();
        self.reader(term, spec, |reader| {
            reader.deliveries.seek(to.iter().cloned());
        });
        Ok(GroupReply::Done)
    }

    async fn positions(&self, member: &MemberId) -> Result<GroupReply, Miss> {
        let (term, group) = self.read_for(member).await?;
        let known = group.member(member)?;
        let stored = self.stored(known.owned());
        let positions = self.reader(term, known.spec(), |reader| {
            let position = |at: &TopicPartition| {
                let stored = || stored.get(at).copied();
                (at.clone(), reader.deliveries.position(at).or_else(stored))
            };
            known.owned().iter().map(position).collect()
        });
        Ok(GroupReply::Positions(positions))
    }
}

fn check_owned<'a>(
    group: &Group,
    member: &MemberId,
    mut partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<(), Error> {
    match partitions.find(|at| group.owner(at) != Some(member)) {
        None => Ok(()),
        Some(at) => {
            let message = format!("{at} does not belong to member {member}");
            Err(Error::new(ErrorKind::NotOwner, message))
        }
    }
}

/// What a group has stored. One that is unknown has stored nothing.
fn committed(
    groups: &Groups,
    name: &GroupName,
    partitions: Option<&[TopicPartition]>,
) -> Vec<(TopicPartition, Option<Committed>)> {
    let offsets = groups.offsets(name).ok();
    match partitions {
        None => {
            let rows = offsets.into_iter().flat_map(Offsets::iter);
            rows.map(|(at, stored)| (at.clone(), Some(stored.clone()))).collect()
        }
        Some(partitions) => {
            let stored = |at: &TopicPartition| offsets?.get(at).cloned();
            partitions.iter().map(|at| (at.clone(), stored(at))).collect()
        }
    }
}

/// Whether what a member has received is committed for it.
fn commits_itself(spec: &MemberSpec) -> bool {
    spec.settings.get(AUTO_COMMIT).is_none_or(|value| value != "false")
}

fn reset_of(spec: &MemberSpec) -> OffsetReset {
    let said = spec.settings.get(AUTO_OFFSET_RESET);
    said.and_then(|name| OffsetReset::named(name).ok()).unwrap_or_default()
}

fn unexpected(applied: &Applied) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("a coordinator's answer of the wrong kind: {applied:?}"),
    )
}
