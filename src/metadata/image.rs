//! The cluster's metadata as of one committed command: a pure fold over commands.
//!
//! Invariants:
//!
//! - `revision` grows by one with each command that changed something;
//! - every group id in use is below `next_group`, and `next_group` only grows. So a group that is
//!   below it and not in the image was deleted: a node that slept through the deletion sees that when
//!   it wakes, and no list of deleted groups has to be kept;
//! - the replicas of a partition, or of a coordinator, are distinct brokers, the preferred leader first;
//! - its encoding is at most [`IMAGE_BYTES_MAX`](super::IMAGE_BYTES_MAX) bytes;
//! - there are no coordinators or, from one command on, as many as that command made: never others.

use super::command::{Answer, Command, Refusal};
use super::settings::Settings;
use crate::config::COORDINATORS_MAX;
use crate::error::{Error, ErrorKind};
use crate::partitioner::murmur2;
use crate::topic::{PARTITIONS_MAX, PartitionId, TopicName};
use raft::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use storage::{GroupId, planted};
use uuid::Uuid;

/// A broker as it registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its id.
    pub id: NodeId,
    /// Where its HTTP interface is reached.
    pub http: String,
    /// Where peers reach it.
    pub peer: String,
    /// Its rack.
    pub rack: Option<String>,
    /// The identity of its data directory: the same id on another disk is another node.
    pub disk: Uuid,
}

/// The place of a partition, or of a coordinator of consumer groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Its Raft group.
    pub group: GroupId,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its identity.
    pub id: Uuid,
    /// What was set on it.
    pub settings: Settings,
    /// Its partitions, by number.
    pub partitions: Vec<Placed>,
}

/// All there is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    revision: u64,
    cluster: Uuid,
    brokers: BTreeMap<NodeId, Registration>,
    topics: BTreeMap<TopicName, Arc<Topic>>,
    next_group: GroupId,
    coordinators: Vec<Placed>,
    /// Whose each group is; follows from `topics` and `coordinators`.
    #[serde(skip)]
    groups: BTreeMap<GroupId, Owner>,
}

/// Whose log a group's is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Partition(TopicName, PartitionId),
    Coordinator(usize),
}

impl Default for Image {
    fn default() -> Self {
        Self {
            revision: 0,
            cluster: Uuid::nil(),
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            next_group: super::METADATA_GROUP.next(),
            coordinators: Vec::new(),
            groups: BTreeMap::new(),
        }
    }
}

impl Topic {
    /// A partition's place.
    pub fn partition(&self, partition: PartitionId) -> Option<&Placed> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    /// How many partitions it has; at least 1.
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("at most PARTITIONS_MAX")
    }

    /// How many replicas each partition has.
    pub fn replication_factor(&self) -> u32 {
        let replicas = self.partitions.first().map_or(0, |placed| placed.replicas.len());
        u32::try_from(replicas).expect("at most one replica a broker")
    }
}

impl Image {
    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The cluster's identity; nil before it was founded.
    pub fn cluster(&self) -> Uuid {
        self.cluster
    }

    /// Every broker that ever registered, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Registration> {
        self.brokers.values()
    }

    /// A broker.
    pub fn broker(&self, id: NodeId) -> Option<&Registration> {
        self.brokers.get(&id)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = (&TopicName, &Arc<Topic>)> {
        self.topics.iter()
    }

    /// A topic, or the error that says it is unknown.
    pub fn topic(&self, name: &TopicName) -> Result<&Arc<Topic>, Error> {
        self.topics
            .get(name)
            .ok_or_else(|| Error::new(ErrorKind::UnknownTopic, format!("no topic {name}")))
    }

    /// A partition's place, or the error that says what is unknown.
    pub fn partition(
        &self,
        name: &TopicName,
        partition: PartitionId,
    ) -> Result<(&Arc<Topic>, &Placed), Error> {
        let topic = self.topic(name)?;
        topic.partition(partition).map(|placed| (topic, placed)).ok_or_else(|| {
            let count = topic.partition_count();
            let message = format!("topic {name} has no partition {partition}; it has {count}");
            Error::new(ErrorKind::UnknownPartition, message)
        })
    }

    /// Which partition's group this is, if it is a partition's.
    pub fn group(&self, group: GroupId) -> Option<(&TopicName, PartitionId, &Topic, &Placed)> {
        let Owner::Partition(name, partition) = self.groups.get(&group)? else { return None };
        let topic = self.topics.get(name)?;
        Some((name, *partition, topic, topic.partition(*partition)?))
    }

    /// Where a group's replicas are, be it a partition's or a coordinator's.
    pub fn placed(&self, group: GroupId) -> Option<&Placed> {
        match self.groups.get(&group)? {
            Owner::Partition(..) => self.group(group).map(|(.., placed)| placed),
            Owner::Coordinator(at) => self.coordinators.get(*at),
        }
    }

    /// What a group is called in messages.
    pub fn name_of(&self, group: GroupId) -> String {
        match self.groups.get(&group) {
            _ if group == super::METADATA_GROUP => "the metadata".to_owned(),
            Some(Owner::Partition(name, partition)) => format!("{name}-{partition}"),
            Some(Owner::Coordinator(at)) => coordinator_name(*at),
            None => format!("group {group}"),
        }
    }

    /// Whether a group's log is a coordinator's.
    pub fn is_coordinator(&self, group: GroupId) -> bool {
        matches!(self.groups.get(&group), Some(Owner::Coordinator(_)))
    }

    /// The coordinators of consumer groups, with what they are called; none before the first use.
    pub fn coordinators(&self) -> impl Iterator<Item = (String, &Placed)> {
        (0..).map(coordinator_name).zip(&self.coordinators)
    }

    /// The coordinator of a consumer group, with what it is called, once there are any.
    pub fn coordinator_of(&self, consumer_group: &str) -> Option<(String, &Placed)> {
        let count = u32::try_from(self.coordinators.len()).expect("at most COORDINATORS_MAX");
        let at = murmur2(consumer_group.as_bytes()).checked_rem(count)?;
        let at = usize::try_from(at).expect("usize has at least 32 bits");
        self.coordinators.get(at).map(|placed| (coordinator_name(at), placed))
    }

    /// Whether the group existed and is no more.
    pub fn is_deleted(&self, group: GroupId) -> bool {
        group != super::METADATA_GROUP
            && group < self.next_group
            && !self.groups.contains_key(&group)
    }

    /// The partitions that have a replica on `node`.
    pub fn hosted_by(&self, node: NodeId) -> impl Iterator<Item = (&Topic, &Placed)> {
        self.topics.values().flat_map(move |topic| {
            let here = topic.partitions.iter().filter(move |p| p.replicas.contains(&node));
            here.map(move |placed| (&**topic, placed))
        })
    }

    /// The coordinators that have a replica on `node`.
    pub fn coordinators_on(&self, node: NodeId) -> impl Iterator<Item = &Placed> {
        self.coordinators.iter().filter(move |placed| placed.replicas.contains(&node))
    }

    /// Folds one command in.
    pub fn apply(&mut self, command: Command) -> Answer {
        self.check_size(&command)?;
        let changed = match command {
            Command::Found { cluster } => self.found(cluster),
            Command::Register(broker) => self.register(broker)?,
            Command::CreateTopic { name, id, placed_at, placement, settings } => {
                self.check_placement(placed_at, &placement, 0, PARTITIONS_MAX)?;
                self.create_topic(&name, id, placement, settings)?
            }
            Command::AddPartitions { name, placed_at, placement } => {
                let have = self.topic(&name).map_err(Refusal::Rejected)?.partitions.len();
                self.check_placement(placed_at, &placement, have, PARTITIONS_MAX)?;
                self.add_partitions(&name, placement)
            }
            Command::AlterTopic { name, changes } => self.alter_topic(&name, &changes)?,
            Command::DeleteTopic { name, id } => self.delete_topic(&name, id)?,
            Command::ReserveProducerIds => true,
            Command::CreateCoordinators { .. } if !self.coordinators.is_empty() => false,
            Command::CreateCoordinators { placed_at, placement } => {
                self.check_placement(placed_at, &placement, 0, COORDINATORS_MAX)?;
                self.create_coordinators(placement);
                true
            }
        };
        if changed {
            self.revision += 1;
        }
        Ok(self.revision)
    }

    /// Reads back what [`storage::codec::encode`] made of an image.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut image: Self = storage::codec::decode(bytes)?;
        for (name, topic) in &image.topics {
            for (number, placed) in (0..).zip(&topic.partitions) {
                let owner = Owner::Partition(name.clone(), PartitionId(number));
                image.groups.insert(placed.group, owner);
            }
        }
        for (at, placed) in image.coordinators.iter().enumerate() {
            image.groups.insert(placed.group, Owner::Coordinator(at));
        }
        Ok(image)
    }

    fn found(&mut self, cluster: Uuid) -> bool {
        let new = self.cluster.is_nil();
        if new {
            self.cluster = cluster;
        }
        new
    }

    fn register(&mut self, broker: Registration) -> Result<bool, Refusal> {
        if let Some(known) = self.brokers.get(&broker.id) {
            if known.disk != broker.disk && !planted!(ReuseWipedId) {
                let message = wiped_disk(broker.id, known.disk, broker.disk);
                return Err(Refusal::Rejected(Error::new(ErrorKind::InvalidRequest, message)));
            }
            if *known == broker {
                return Ok(false);
            }
        }
        self.brokers.insert(broker.id, broker);
        Ok(true)
    }

    /// The structure that no proposer may get wrong; bounds that can change between versions are the
    /// proposer's to check.
    fn check_placement(
        &self,
        placed_at: u64,
        placement: &[Vec<NodeId>],
        have: usize,
        most: u32,
    ) -> Result<(), Refusal> {
        if placed_at != self.revision {
            return Err(Refusal::Stale);
        }
        let rejected = |message: String| {
            Err(Refusal::Rejected(Error::new(ErrorKind::InvalidSettings, message)))
        };
        let count = have + placement.len();
        if placement.is_empty() || u32::try_from(count).is_ok_and(|count| count > most) {
            return rejected(format!("{count} placements; 1 to {most} are allowed"));
        }
        for (number, replicas) in placement.iter().enumerate() {
            let mut distinct = replicas.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if replicas.is_empty()
                || distinct.len() != replicas.len()
                || distinct.iter().any(|node| !self.brokers.contains_key(node))
            {
                return rejected(format!("placement {number} is not a set of known brokers"));
            }
        }
        Ok(())
    }

    fn create_topic(
        &mut self,
        name: &TopicName,
        id: Uuid,
        placement: Vec<Vec<NodeId>>,
        settings: BTreeMap<String, String>,
    ) -> Result<bool, Refusal> {
        if self.topics.contains_key(name) {
            let error = Error::new(ErrorKind::TopicExists, format!("topic {name} exists"));
            return Err(Refusal::Rejected(error));
        }
        let settings = Settings::of(settings);
        self.topics.insert(name.clone(), Arc::new(Topic { id, settings, partitions: Vec::new() }));
        Ok(self.add_partitions(name, placement))
    }

    fn add_partitions(&mut self, name: &TopicName, placement: Vec<Vec<NodeId>>) -> bool {
        let Some(topic) = self.topics.get_mut(name) else { return false };
        let topic = Arc::make_mut(topic);
        for replicas in placement {
            let group = self.next_group;
            self.next_group = group.next();
            let number = PartitionId(topic.partition_count());
            self.groups.insert(group, Owner::Partition(name.clone(), number));
            topic.partitions.push(Placed { group, replicas });
        }
        true
    }

    fn create_coordinators(&mut self, placement: Vec<Vec<NodeId>>) {
        for replicas in placement {
            let group = self.next_group;
            self.next_group = group.next();
            self.groups.insert(group, Owner::Coordinator(self.coordinators.len()));
            self.coordinators.push(Placed { group, replicas });
        }
    }

    fn alter_topic(
        &mut self,
        name: &TopicName,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<bool, Refusal> {
        let settings = self.topic(name).map_err(Refusal::Rejected)?.settings.with(changes);
        let Some(topic) = self.topics.get_mut(name) else { return Ok(false) };
        let is_news = topic.settings != settings;
        if is_news {
            Arc::make_mut(topic).settings = settings;
        }
        Ok(is_news)
    }

    fn delete_topic(&mut self, name: &TopicName, id: Uuid) -> Result<bool, Refusal> {
        let topic = Arc::clone(self.topic(name).map_err(Refusal::Rejected)?);
        if topic.id != id {
            let message = format!("topic {name} was made anew meanwhile");
            return Err(Refusal::Rejected(Error::new(ErrorKind::UnknownTopic, message)));
        }
        for placed in &topic.partitions {
            self.groups.remove(&placed.group);
        }
        self.topics.remove(name);
        Ok(true)
    }
}

fn coordinator_name(at: usize) -> String {
    format!("coordinator {at}")
}

/// What a node is told whose id belongs to another disk.
pub fn wiped_disk(id: NodeId, known: Uuid, came: Uuid) -> String {
    format!(
        "node {id} is registered with disk {known} but came with disk {came}: \
         give the wiped node a new id, or give it its disk back"
    )
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
