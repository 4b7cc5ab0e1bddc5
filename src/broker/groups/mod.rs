//! Consumer groups, through any node: each is coordinated by the leader of one coordinator, whose state
//! machine is [`crate::coordinator`].
//!
//! ```text
//!   any node                                   the coordinator's leader
//!   ────────                                   ────────────────────────
//!   mod: join, commit, …  ──── ask ──────────► serve ──► Command ──► its Raft group
//!   poll: draw, read, deliver                    │
//!   reset, describe: ask partitions too        coordinator: the clock ── leadership: who was heard,
//!                                                           what is due ── deliveries: what was given
//! ```
//!
//! What is replicated survives everything; what the leader alone keeps (who was heard when, where a member
//! that is read for is) the next leader begins anew, so that nothing is lost and something may come twice.

mod ask;
mod coordinator;
mod deliveries;
mod describe;
mod leadership;
mod poll;
mod request;
mod reset;
mod serve;

pub(super) use ask::{GroupAsk, GroupReply};
pub(super) use coordinator::Coordinator;
pub(super) use poll::WAITING_BEATS_MAX;
pub use request::{
    AUTO_COMMIT, AUTO_OFFSET_RESET, CommitOffsets, CommittedOffset, GroupSummary, GroupView,
    Heartbeat, JoinGroup, Joined, LagView, MemberView, NewOffset, OffsetReset, PlaceView, Poll,
    Polled, PolledPartition, ResetOffsets, ResetRow, ResetTo, SeekTo,
};

use super::route::Errand;
use super::wire::{Ask, Change, Reply};
use super::{Broker, FetchFrom, Inner, READ_DEADLINE};
use crate::coordinator::limits::{REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS};
use crate::coordinator::{
    Allotment, Committed, Committer, Delivery, GroupName, MemberId, MemberSpec, OffsetCommit,
    Subscription, TopicPartition, name,
};
use crate::error::{Error, ErrorKind};
use crate::metadata::Placed;
use describe::is_of;
use futures::future::try_join_all;
use raft::{Offset, Term};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long a heartbeat waits that finds too many waiting for news: others may hear of it late.
const WAIT_HERE_MAX: Duration = Duration::from_secs(1);

impl Broker {
    /// A member joins its group; the group is made if there is none.
    pub async fn join_group(&self, join: JoinGroup, deadline: Instant) -> Result<Joined, Error> {
        let group = join.group.clone();
        let spec = spec_of(join)?;
        let (member, session_timeout_ms) = (spec.id.clone(), spec.session_timeout_ms);
        let ask = GroupAsk::Join { group: group.clone(), spec };
        let allotment = allotment(self.ask_group(&group, ask, deadline).await?)?;
        Ok(Joined {
            member,
            allotment,
            session_timeout: Duration::from_millis(session_timeout_ms.into()),
            heartbeat_interval: serve::beat_every(session_timeout_ms),
        })
    }

    /// A member lives, acknowledges what it was told, and is told what it has.
    pub async fn heartbeat(&self, beat: Heartbeat, deadline: Instant) -> Result<Allotment, Error> {
        let Heartbeat { group, member, generation, mut wait } = beat;
        let place = self.inner.waiting_beats.try_acquire();
        if !wait.is_zero() && place.is_err() {
            // It waits here, where it takes no place among the calls between two nodes.
            sleep(wait.min(WAIT_HERE_MAX)).await;
            wait = Duration::ZERO;
        }
        let ask = GroupAsk::Beat { group: group.clone(), member, generation, wait };
        allotment(self.ask_group(&group, ask, deadline).await?)
    }

    /// A member wants other topics.
    pub async fn subscribe(
        &self,
        group: &GroupName,
        member: &MemberId,
        subscription: Subscription,
        deadline: Instant,
    ) -> Result<(), Error> {
        subscription.check()?;
        let (group, member) = (group.clone(), member.clone());
        let ask = GroupAsk::Subscribe { group: group.clone(), member, subscription };
        done(&self.ask_group(&group, ask, deadline).await?)
    }

    /// A member goes. If it commits automatically, what it has received is committed: everything that it
    /// was given, unless its polls said which deliveries they had received.
    pub async fn leave_group(
        &self,
        group: &GroupName,
        member: &MemberId,
        deadline: Instant,
    ) -> Result<(), Error> {
        let ask = GroupAsk::Leave { group: group.clone(), member: member.clone() };
        done(&self.ask_group(group, ask, deadline).await?)
    }

    /// A member, as it is shown.
    pub async fn member(&self, group: &GroupName, member: &MemberId) -> Result<MemberView, Error> {
        self.described(group).await?.1.member(member)
    }

    /// Stores offsets, all or none.
    pub async fn commit_offsets(
        &self,
        commit: CommitOffsets,
        deadline: Instant,
    ) -> Result<(), Error> {
        let CommitOffsets { group, by, offsets } = commit;
        self.store_offsets(&group, by, offsets, deadline).await
    }

    /// Stores what a member that is read for has received.
    pub async fn commit_received(
        &self,
        group: &GroupName,
        member: &MemberId,
        deadline: Instant,
    ) -> Result<(), Error> {
        let ask = GroupAsk::CommitReceived { group: group.clone(), member: member.clone() };
        done(&self.ask_group(group, ask, deadline).await?)
    }

    /// What a group has stored, everything acknowledged before: for these partitions, in their order, or
    /// all there is. A group that is unknown has stored nothing.
    pub async fn committed_offsets(
        &self,
        group: &GroupName,
        partitions: Option<Vec<TopicPartition>>,
    ) -> Result<Vec<CommittedOffset>, Error> {
        let ask = GroupAsk::Committed { group: group.clone(), partitions };
        let reply = self.ask_group(group, ask, Instant::now() + READ_DEADLINE).await?;
        let GroupReply::Committed(rows) = reply else { return Err(unexpected(&reply)) };
        let image = self.inner.image();
        let row = |(at, stored): (TopicPartition, Option<Committed>)| {
            let stored = stored.filter(|stored| is_of(&image, &at, stored));
            committed_offset(&at, stored.as_ref())
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// Removes stored offsets of partitions that no member owns.
    pub async fn delete_offsets(
        &self,
        group: &GroupName,
        partitions: Vec<TopicPartition>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let partitions = partitions.into_iter().collect();
        let ask = GroupAsk::DeleteOffsets { group: group.clone(), partitions };
        done(&self.ask_group(group, ask, deadline).await?)
    }

    /// Deletes a group without members, and what it has stored.
    pub async fn delete_group(&self, group: &GroupName, deadline: Instant) -> Result<(), Error> {
        let ask = GroupAsk::DeleteGroup { group: group.clone() };
        done(&self.ask_group(group, ask, deadline).await?)
    }

    /// All groups, by name.
    pub async fn groups(&self) -> Result<Vec<GroupSummary>, Error> {
        let image = self.inner.image();
        let deadline = Instant::now() + READ_DEADLINE;
        let errands: Vec<Errand> = image
            .coordinators()
            .map(|(name, placed)| group_errand(name, placed, GroupAsk::List, deadline))
            .collect();
        let asked = errands.into_iter().map(|errand| async move {
            let reply = self.inner.route(errand).await?;
            let Reply::Group(GroupReply::Groups { leader, rows }) = reply else {
                return Err(super::unexpected(&reply));
            };
            Ok(rows.into_iter().map(move |row| row.summary(leader.0)))
        });
        let mut groups: Vec<GroupSummary> =
            try_join_all(asked).await?.into_iter().flatten().collect();
        groups.sort_unstable_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    /// A group, whole; asks the leaders of its partitions.
    pub async fn describe_group(&self, group: &GroupName) -> Result<GroupView, Error> {
        let (leader, described) = self.described(group).await?;
        Ok(self.view(&described, leader).await)
    }

    /// Where a member is that is read for: in what it owns. `None` where nothing was given yet and
    /// nothing is committed.
    pub async fn positions(
        &self,
        group: &GroupName,
        member: &MemberId,
    ) -> Result<Vec<(TopicPartition, Option<u64>)>, Error> {
        let ask = GroupAsk::Positions { group: group.clone(), member: member.clone() };
        let reply = self.ask_group(group, ask, Instant::now() + READ_DEADLINE).await?;
        let GroupReply::Positions(positions) = reply else { return Err(unexpected(&reply)) };
        Ok(positions)
    }

    /// Sends a member that is read for elsewhere, in what it owns.
    pub async fn seek(
        &self,
        group: &GroupName,
        member: &MemberId,
        to: Vec<(TopicPartition, SeekTo)>,
    ) -> Result<(), Error> {
        let found = to.into_iter().map(|(at, to)| async move {
            let from = match to {
                SeekTo::Offset(offset) => return Ok((at, offset)),
                SeekTo::Beginning => FetchFrom::Earliest,
                SeekTo::End => FetchFrom::Latest,
                SeekTo::Timestamp(ms) => FetchFrom::Timestamp(ms),
            };
            let offset = self.find(&at, from).await?;
            Ok::<_, Error>((at, offset))
        });
        let to = try_join_all(found).await?;
        let ask = GroupAsk::Seek { group: group.clone(), member: member.clone(), to };
        done(&self.ask_group(group, ask, Instant::now() + READ_DEADLINE).await?)
    }

    async fn described(&self, group: &GroupName) -> Result<(u64, describe::Described), Error> {
        let ask = GroupAsk::Describe { group: group.clone() };
        let reply = self.ask_group(group, ask, Instant::now() + READ_DEADLINE).await?;
        let GroupReply::Group { leader, described } = reply else {
            return Err(unexpected(&reply));
        };
        Ok((leader.0, *described))
    }

    /// Stores offsets of topics as they are now.
    async fn store_offsets(
        &self,
        group: &GroupName,
        by: Committer,
        offsets: Vec<NewOffset>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let image = self.inner.image();
        let mut rows = Vec::with_capacity(offsets.len());
        for NewOffset { at, offset, metadata, leader_epoch } in offsets {
            let (topic, _) = image.partition(&at.topic, at.partition)?;
            rows.push(OffsetCommit {
                partition: at,
                topic_id: topic.id,
                offset: Offset::new(offset),
                leader_epoch: leader_epoch.map(Term::new),
                metadata,
            });
        }
        crate::coordinator::offsets::check(&rows)?;
        let (group, metadata_revision) = (group.clone(), image.revision());
        let ask = GroupAsk::Commit { group: group.clone(), by, offsets: rows, metadata_revision };
        done(&self.ask_group(&group, ask, deadline).await?)
    }

    /// Asks the leader of the group's coordinator.
    async fn ask_group(
        &self,
        group: &GroupName,
        ask: GroupAsk,
        deadline: Instant,
    ) -> Result<GroupReply, Error> {
        let (name, placed) = self.inner.coordinator_of(group, deadline).await?;
        // Boxed: it is inside of every future of this floor's callers.
        let routed = Box::pin(self.inner.route(group_errand(name, &placed, ask, deadline)));
        match routed.await? {
            Reply::Group(reply) => Ok(reply),
            other @ (Reply::Produced(_)
            | Reply::Fetched(_)
            | Reply::Tail(_)
            | Reply::Changed(_)
            | Reply::Status(_)
            | Reply::Settled) => Err(super::unexpected(&other)),
        }
    }
}

impl Inner {
    /// The coordinator of a group. The first group of a cluster makes all coordinators.
    async fn coordinator_of(
        &self,
        group: &GroupName,
        deadline: Instant,
    ) -> Result<(String, Placed), Error> {
        let known = || {
            let image = self.image();
            let (name, placed) = image.coordinator_of(group.as_str())?;
            Some((name, placed.clone()))
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        Box::pin(self.change_and_settle(Change::CreateCoordinators, deadline)).await?;
        known().ok_or_else(|| {
            Error::new(ErrorKind::NotReady, "the coordinators are made; this node has yet to hear")
        })
    }
}

fn group_errand(name: String, placed: &Placed, ask: GroupAsk, deadline: Instant) -> Errand {
    let candidates = placed.replicas.clone();
    Errand { group: placed.group, name, candidates, ask: Ask::Group(ask), payload: None, deadline }
}

/// What a join says, with what it left out.
fn spec_of(join: JoinGroup) -> Result<MemberSpec, Error> {
    let JoinGroup { member, client, delivery, mut settings, .. } = join;
    let id = match member {
        Some(id) => id,
        None => made_id(&client)?,
    };
    if delivery == Delivery::Server {
        settings.insert(AUTO_OFFSET_RESET.into(), join.auto_offset_reset.as_str().into());
        settings.insert(AUTO_COMMIT.into(), join.auto_commit.to_string());
    }
    let ms = |said: Option<Duration>, default: u32| {
        said.map_or(default, |said| u32::try_from(said.as_millis()).unwrap_or(u32::MAX))
    };
    let spec = MemberSpec {
        id,
        attempt: Uuid::new_v4(),
        instance: join.instance,
        client,
        subscription: join.subscription,
        assignor: join.assignor,
        delivery,
        session_timeout_ms: ms(join.session_timeout, SESSION_TIMEOUT_MS),
        rebalance_timeout_ms: ms(join.rebalance_timeout, REBALANCE_TIMEOUT_MS),
        settings,
    };
    spec.check()?;
    Ok(spec)
}

/// An id that nobody else has, and that people recognize.
fn made_id(client: &str) -> Result<MemberId, Error> {
    let unique = Uuid::new_v4();
    let room = name::NAME_BYTES_MAX - unique.hyphenated().to_string().len() - 1;
    let mut shown = String::new();
    for c in client.chars().filter(|c| !c.is_control()) {
        if shown.len() + c.len_utf8() > room {
            break;
        }
        shown.push(c);
    }
    let shown = if shown.is_empty() { "member" } else { &shown };
    MemberId::new(&format!("{shown}-{unique}"))
}

fn committed_offset(at: &TopicPartition, stored: Option<&Committed>) -> CommittedOffset {
    CommittedOffset {
        topic: at.topic.to_string(),
        partition: at.partition.0,
        offset: stored.map(|stored| stored.offset.get()),
        metadata: stored.map_or_else(String::new, |stored| stored.metadata.clone()),
        committed_at_ms: stored.map(|stored| stored.committed_at_ms),
        leader_epoch: stored.and_then(|stored| stored.leader_epoch).map(Term::get),
    }
}

fn allotment(reply: GroupReply) -> Result<Allotment, Error> {
    if let GroupReply::Allotment(allotment) = reply {
        Ok(allotment)
    } else {
        Err(unexpected(&reply))
    }
}

fn done(reply: &GroupReply) -> Result<(), Error> {
    if *reply == GroupReply::Done { Ok(()) } else { Err(unexpected(reply)) }
}

fn unexpected(reply: &GroupReply) -> Error {
    Error::new(ErrorKind::Internal, format!("a coordinator's answer of the wrong kind: {reply:?}"))
}
