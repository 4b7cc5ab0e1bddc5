//! Changes of the metadata: asked for anywhere, planned and proposed by the metadata group's leader,
//! then awaited on every broker that can be reached, so that any of them answers right afterwards.

use super::Inner;
use super::request::{Created, NewTopic};
use super::route::Errand;
use super::views::TopicSummary;
use super::wire::{Ask, Change, Changed, Miss, Reply};
use crate::error::{Error, ErrorKind};
use crate::metadata::command::Answer;
use crate::metadata::{Command, Image, METADATA_GROUP, Refusal, Topic, placement, settings};
use crate::topic::{PARTITIONS_MAX, TopicName};
use futures::future::join_all;
use raft::{Acks, EntryKind, GroupId, NodeId, Proposal, Role};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// The replication factors there are: odd, so that a majority is worth its cost.
const REPLICATION_FACTORS: &[u32] = &[1, 3, 5];
/// The replication factor of a topic that does not say one, where there are as many brokers.
const REPLICATION_FACTOR_DEFAULT: u32 = 3;
/// When a consumer group that came before its cluster was whole may come again.
const COORDINATORS_RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long a change waits for a broker that answers but is slow to follow.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// What a change comes to on an image.
#[derive(Debug)]
enum Plan {
    /// Propose this.
    Propose { command: Command, created: Option<Created> },
    /// Nothing to do.
    Done { created: Option<Created>, groups: Vec<GroupId> },
}

impl Inner {
    /// Asks the metadata group's leader for a change.
    pub(super) async fn change(&self, change: Change, deadline: Instant) -> Result<Changed, Error> {
        let errand = Errand {
            group: METADATA_GROUP,
            name: "the metadata".into(),
            candidates: self.metadata_candidates(),
            ask: Ask::Administer(change),
            payload: None,
            deadline,
        };
        match self.route(errand).await? {
            Reply::Changed(changed) => Ok(changed),
            other @ (Reply::Produced(_)
            | Reply::Fetched(_)
            | Reply::Tail(_)
            | Reply::Status(_)
            | Reply::Settled
            | Reply::Group(_)) => Err(super::unexpected(&other)),
        }
    }

    /// Asks for a change and waits until every broker that can be reached has followed.
    pub(super) async fn change_and_settle(
        &self,
        change: Change,
        deadline: Instant,
    ) -> Result<Changed, Error> {
        let changed = self.change(change, deadline).await?;
        self.settle(changed.revision, changed.groups.clone(), deadline).await;
        Ok(changed)
    }

    /// Waits until every broker that can be reached is settled, or the deadline. Not an error: the
    /// change is committed all the same.
    async fn settle(&self, revision: u64, groups: Vec<GroupId>, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + SETTLE_PATIENCE);
        let brokers: Vec<NodeId> = self.image().brokers().map(|broker| broker.id).collect();
        let errand = Errand {
            group: METADATA_GROUP,
            name: "the metadata".into(),
            candidates: brokers.clone(),
            ask: Ask::Settle { revision, groups: groups.clone() },
            payload: None,
            deadline,
        };
        let here = self.settle_here(revision, &groups, deadline);
        let others = brokers.iter().filter(|broker| **broker != self.node.id());
        let others = join_all(others.map(|broker| self.ask(*broker, &errand)));
        let (here, others) = futures::future::join(here, others).await;
        let unsettled = others.iter().filter(|answer| !matches!(answer, Ok(Ok(_)))).count();
        if here.is_err() || unsettled > 0 {
            tracing::debug!(revision, unsettled, here = here.is_ok(), "not settled everywhere");
        }
    }

    /// Waits until the image is at `revision` here, and each group as it says: if it has a replica
    /// here, open with a known leader; else gone.
    pub(super) async fn settle_here(
        &self,
        revision: u64,
        groups: &[GroupId],
        deadline: Instant,
    ) -> Result<(), Error> {
        let late = |_elapsed| {
            Error::new(ErrorKind::ReadTimedOut, format!("not settled at revision {revision}"))
        };
        let gone = || Error::new(ErrorKind::ShuttingDown, "this broker is shutting down");
        let mut images = self.images.clone();
        let seen = images.wait_for(|image| image.revision() >= revision);
        drop(timeout_at(deadline, seen).await.map_err(late)?.map_err(|_closed| gone())?);
        for group in groups {
            let mut held = self.held.subscribe();
            let hosted = |image: &Image| {
                let placed = image.placed(*group);
                placed.is_some_and(|placed| placed.replicas.contains(&self.node.id()))
            };
            let settled = held.wait_for(|held| {
                if hosted(&self.image()) {
                    self.node.group(*group).is_some()
                } else {
                    !held.contains_key(group)
                }
            });
            drop(timeout_at(deadline, settled).await.map_err(late)?.map_err(|_closed| gone())?);
            let Some(open) = self.node.group(*group) else { continue };
            let mut roles = open.watch_role();
            let led = roles.wait_for(|role| match role {
                Role::Leading { .. } | Role::Following { leader: Some(_), .. } => true,
                Role::Following { leader: None, .. }
                | Role::Electing { .. }
                | Role::Taking { .. } => false,
            });
            drop(timeout_at(deadline, led).await.map_err(late)?.map_err(|_closed| gone())?);
        }
        Ok(())
    }

    /// Plans and proposes a change, as the metadata group's leader.
    pub(super) async fn administer(
        &self,
        change: &Change,
        deadline: Instant,
    ) -> Result<Changed, Miss> {
        // One at a time: each placement sees the ones before it.
        let busy = |_elapsed| Error::new(ErrorKind::NotReady, "many changes wait for their turn");
        let turn = timeout_at(deadline, self.turn.acquire()).await.map_err(busy)?;
        let _turn = turn.map_err(|_closed| Miss::nobody())?;
        loop {
            self.leads_metadata()?;
            let image = self.image();
            let (command, created) = match self.plan(&image, change)? {
                Plan::Propose { command, created } => (command, created),
                Plan::Done { created, groups } => {
                    return Ok(Changed { revision: image.revision(), groups, created });
                }
            };
            let deleted = groups_of(&image, &command);
            match self.propose(&command, deadline).await? {
                Ok(revision) => {
                    tell(change, revision);
                    let groups = if deleted.is_empty() {
                        groups_of(&self.image(), &command)
                    } else {
                        deleted
                    };
                    return Ok(Changed { revision, groups, created });
                }
                Err(Refusal::Stale) => {}
                Err(Refusal::Rejected(error)) => return Err(error.into()),
            }
        }
    }

    /// Proposes a command to the metadata group.
    pub(super) async fn propose(
        &self,
        command: &Command,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let proposal = Proposal {
            kind: EntryKind::Command,
            payload: storage::codec::encode(command).into(),
            acks: Acks::Quorum,
            expected_end: None,
        };
        let errand = Errand {
            group: METADATA_GROUP,
            name: "the metadata".into(),
            candidates: Vec::new(),
            ask: Ask::Status { groups: None },
            payload: None,
            deadline,
        };
        let outcome = self.metadata.propose(proposal, deadline).await;
        let appended = self.appended(&errand, outcome)?;
        storage::codec::decode(&appended.answer).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the metadata's answer: {error}")).into()
        })
    }

    fn plan(&self, image: &Image, change: &Change) -> Result<Plan, Error> {
        match change {
            Change::Register { broker, founders } => {
                self.check_founders(broker.id, founders)?;
                let command = Command::Register(broker.clone());
                Ok(Plan::Propose { command, created: None })
            }
            Change::Create(topic) => plan_create(image, topic),
            Change::Delete(name) => {
                let id = image.topic(name)?.id;
                let command = Command::DeleteTopic { name: name.clone(), id };
                Ok(Plan::Propose { command, created: None })
            }
            Change::Alter { name, changes } => {
                image.topic(name)?;
                settings::check(changes.iter().map(|(name, value)| (name, value.as_ref())))?;
                let (name, changes) = (name.clone(), changes.clone());
                Ok(Plan::Propose { command: Command::AlterTopic { name, changes }, created: None })
            }
            Change::AddPartitions { name, count } => plan_growth(image, name, *count),
            Change::CreateCoordinators => self.plan_coordinators(image),
            Change::ReserveProducerIds => {
                Ok(Plan::Propose { command: Command::ReserveProducerIds, created: None })
            }
        }
    }

    /// The coordinators of consumer groups, as many as this node was told. Their number and places
    /// stay, so they wait until every node that founds the cluster is there.
    fn plan_coordinators(&self, image: &Image) -> Result<Plan, Error> {
        if image.coordinators().next().is_some() {
            let groups = image.coordinators().map(|(_, placed)| placed.group).collect();
            return Ok(Plan::Done { created: None, groups });
        }
        if let Some(node) = self.absent(image).first() {
            let message = format!("there are no coordinators before node {node} has registered");
            let error = Error::new(ErrorKind::NotReady, message);
            return Err(error.with_retry_after(COORDINATORS_RETRY_AFTER));
        }
        let factor = default_replication_factor(image);
        let sites = placement::sites(image, None);
        let placement = placement::place(sites, count(self.coordinators_wanted), count(factor));
        let command = Command::CreateCoordinators { placed_at: image.revision(), placement };
        Ok(Plan::Propose { command, created: None })
    }

    /// A node that was told to found a cluster has a log of its own: it must not join another.
    fn check_founders(&self, node: NodeId, founders: &[NodeId]) -> Result<(), Error> {
        let (voters, learners) = self.metadata.members();
        if founders.is_empty() || voters.contains(&node) || learners.contains(&node) {
            return Ok(());
        }
        let message = format!(
            "node {node} was started to found a cluster, but this cluster was founded without it: \
             start it with --join and an empty data directory"
        );
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }
}

fn plan_create(image: &Image, new: &NewTopic) -> Result<Plan, Error> {
    settings::check(new.config.iter().map(|(name, value)| (name, Some(value))))?;
    if let Ok(topic) = image.topic(&new.name) {
        let summary = summary(&new.name, topic);
        return if agrees(new, topic) {
            let groups = topic.partitions.iter().map(|placed| placed.group).collect();
            Ok(Plan::Done { created: Some(Created::Existed(summary)), groups })
        } else {
            let message = format!(
                "topic {} exists with {} partitions, {} replicas each, or with other settings",
                new.name, summary.partitions, summary.replication_factor
            );
            Err(Error::new(ErrorKind::TopicExists, message))
        };
    }
    let partitions = new.partitions.unwrap_or(1);
    check_partitions(&new.name, partitions)?;
    let factor = replication_factor(image, new)?;
    let id = Uuid::new_v4();
    let created = Created::New(TopicSummary {
        name: new.name.to_string(),
        id,
        partitions,
        replication_factor: factor,
    });
    if new.validate_only {
        return Ok(Plan::Done { created: Some(created), groups: Vec::new() });
    }
    let command = Command::CreateTopic {
        name: new.name.clone(),
        id,
        placed_at: image.revision(),
        placement: placement::place(
            placement::sites(image, None),
            count(partitions),
            count(factor),
        ),
        settings: new.config.clone(),
    };
    Ok(Plan::Propose { command, created: Some(created) })
}

fn plan_growth(image: &Image, name: &TopicName, wanted: u32) -> Result<Plan, Error> {
    let topic = image.topic(name)?;
    check_partitions(name, wanted)?;
    let have = topic.partition_count();
    if wanted <= have {
        let message =
            format!("topic {name} has {have} partitions; it can only grow, not to {wanted}");
        return Err(Error::new(ErrorKind::InvalidSettings, message));
    }
    let sites = placement::sites(image, Some(topic));
    let command = Command::AddPartitions {
        name: name.clone(),
        placed_at: image.revision(),
        placement: placement::place(sites, count(wanted - have), count(topic.replication_factor())),
    };
    Ok(Plan::Propose { command, created: None })
}

/// Whether everything that `new` says is so.
fn agrees(new: &NewTopic, topic: &Topic) -> bool {
    new.partitions.is_none_or(|partitions| partitions == topic.partition_count())
        && new.replication_factor.is_none_or(|factor| factor == topic.replication_factor())
        && topic.settings.agrees_with(&new.config)
}

fn check_partitions(name: &TopicName, partitions: u32) -> Result<(), Error> {
    if (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(());
    }
    let message =
        format!("topic {name}: {partitions} partitions; 1 to {PARTITIONS_MAX} are allowed");
    Err(Error::new(ErrorKind::InvalidSettings, message))
}

fn replication_factor(image: &Image, new: &NewTopic) -> Result<u32, Error> {
    let brokers = u32::try_from(image.brokers().count()).unwrap_or(u32::MAX);
    let factor = new.replication_factor.unwrap_or_else(|| default_replication_factor(image));
    let refuse = |why: String| {
        let message = format!("topic {}: replication factor {factor}: {why}", new.name);
        Err(Error::new(ErrorKind::InvalidSettings, message))
    };
    if !REPLICATION_FACTORS.contains(&factor) {
        return refuse("1, 3 and 5 are allowed".into());
    }
    if factor > brokers {
        return refuse(format!("the cluster has {brokers} brokers"));
    }
    Ok(factor)
}

fn default_replication_factor(image: &Image) -> u32 {
    let enough = count(REPLICATION_FACTOR_DEFAULT);
    if image.brokers().count() >= enough { REPLICATION_FACTOR_DEFAULT } else { 1 }
}

/// The groups that a command creates, or of the topic that it grows or deletes, as of `image`.
fn groups_of(image: &Image, command: &Command) -> Vec<GroupId> {
    if matches!(command, Command::CreateCoordinators { .. }) {
        return image.coordinators().map(|(_, placed)| placed.group).collect();
    }
    let (Command::CreateTopic { name, .. }
    | Command::AddPartitions { name, .. }
    | Command::DeleteTopic { name, .. }) = command
    else {
        return Vec::new();
    };
    let topic = image.topic(name);
    topic.map_or_else(|_| Vec::new(), |topic| topic.partitions.iter().map(|p| p.group).collect())
}

/// One line for each change that an operator asked for.
fn tell(change: &Change, revision: u64) {
    match change {
        Change::Create(topic) => tracing::info!(topic = %topic.name, revision, "topic created"),
        Change::Delete(topic) => tracing::info!(%topic, revision, "topic deleted"),
        Change::Alter { name, .. } => tracing::info!(topic = %name, revision, "topic altered"),
        Change::AddPartitions { name, count } => {
            tracing::info!(topic = %name, count, revision, "partitions added");
        }
        Change::CreateCoordinators => tracing::info!(revision, "coordinators created"),
        Change::ReserveProducerIds => tracing::debug!(revision, "producer ids reserved"),
        Change::Register { broker, .. } => {
            tracing::info!(broker = %broker.id, http = broker.http, revision, "broker registered");
        }
    }
}

/// A topic in a list.
pub(super) fn summary(name: &TopicName, topic: &Topic) -> TopicSummary {
    TopicSummary {
        name: name.to_string(),
        id: topic.id,
        partitions: topic.partition_count(),
        replication_factor: topic.replication_factor(),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits")
}
