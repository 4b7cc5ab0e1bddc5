//! Who is to have what, as the leader computes it, and when it has to be computed again.
//!
//! The leader computes and proposes it, the fold takes it as it is: replicas of different versions never
//! disagree on it. It names what it was computed from, so one that came too late changes nothing.
//!
//! | the group | |
//! |---|---|
//! | has no members | nothing is due |
//! | has a target computed from newer metadata than ours | nothing is due: we are behind |
//! | has no target yet, or members or subscriptions changed since | a target is due |
//! | has a target, but the topics its members want changed since: made, deleted, made anew, grown | a target is due |
//! | else | nothing is due |

use super::assignor::{Assignment, Assignor, Demand};
use super::group::Group;
use super::member::Member;
use super::name::MemberId;
use super::subscription::{Resolver, Subscription};
use super::topic_partition::TopicPartition;
use crate::metadata::Image;
use crate::topic::{PartitionId, TopicName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a group has to know of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicShape {
    /// Its identity.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: u32,
}

/// What a topic takes encoded, beside its name.
const SHAPE_BYTES_MAX: usize = 48;

/// Topics as of one revision of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topics {
    /// The revision.
    pub revision: u64,
    /// The topics.
    pub shapes: BTreeMap<TopicName, TopicShape>,
}

/// A group's new target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The group's revision that it was computed from.
    pub based_on: u64,
    /// How it was computed.
    pub assignor: Assignor,
    /// The topics that some member wants, as they were.
    pub topics: Topics,
    /// Who is to have what; a member that is not named is to have nothing.
    pub members: BTreeMap<MemberId, Share>,
}

/// What one member is to have; a type of its own for how it is encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(#[serde(with = "super::topic_partition::by_topic")] pub super::Partitions);

impl Topics {
    /// The topics of an image.
    pub fn of(image: &Image) -> Self {
        let shape = |(name, topic): (&TopicName, &std::sync::Arc<crate::metadata::Topic>)| {
            (name.clone(), TopicShape { id: topic.id, partitions: topic.partition_count() })
        };
        Self { revision: image.revision(), shapes: image.topics().map(shape).collect() }
    }

    /// The most bytes they take encoded.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        self.shapes.keys().map(|name| name.as_str().len() + SHAPE_BYTES_MAX).sum()
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        self.shapes
            .get(&partition.topic)
            .is_some_and(|shape| partition.partition.0 < shape.partitions)
    }
}

/// The target that is due, if one is.
pub fn due(group: &Group, topics: &Topics) -> Option<Target> {
    if group.members().len() == 0 {
        return None;
    }
    let wanted = Wanted::of(group, topics);
    let relevant = wanted.relevant(topics);
    if let Some(basis) = group.basis() {
        let is_behind = topics.revision < basis.topics.revision;
        let is_same = basis.revision == group.revision() && basis.topics.shapes == relevant.shapes;
        if is_behind || is_same {
            return None;
        }
    }
    let assignor =
        Assignor::elected(group.members().filter_map(|(_, member)| member.spec().assignor));
    let assignment = wanted.assign(assignor, group, &relevant);
    let members = assignment.into_iter().map(|(member, set)| (member, Share(set))).collect();
    Some(Target { based_on: group.revision(), assignor, topics: relevant, members })
}

/// What the members of a group want of what there is.
struct Wanted<'a> {
    shared: BTreeMap<MemberId, BTreeSet<TopicName>>,
    /// Partitions claimed by hand, each with who claims it.
    claimed: BTreeMap<&'a TopicPartition, Vec<&'a Member>>,
}

impl<'a> Wanted<'a> {
    fn of(group: &'a Group, topics: &'a Topics) -> Self {
        let mut resolver = Resolver::new(&topics.shapes);
        let mut wanted = Self { shared: BTreeMap::new(), claimed: BTreeMap::new() };
        for (id, member) in group.members() {
            wanted.shared.insert(id.clone(), resolver.shared(&member.spec().subscription));
            if let Subscription::Manual(claims) = &member.spec().subscription {
                for claim in claims.iter().filter(|claim| topics.has(claim)) {
                    wanted.claimed.entry(claim).or_default().push(member);
                }
            }
        }
        wanted
    }

    /// The topics that some member wants.
    fn relevant(&self, topics: &Topics) -> Topics {
        let names = self.shared.values().flatten().chain(self.claimed.keys().map(|tp| &tp.topic));
        // Mostly the same few names: a set of references first.
        let names: BTreeSet<&TopicName> = names.collect();
        let shape = |name: &TopicName| topics.shapes.get(name).map(|it| (name.clone(), *it));
        Topics { revision: topics.revision, shapes: names.into_iter().filter_map(shape).collect() }
    }

    fn assign(&self, assignor: Assignor, group: &Group, relevant: &Topics) -> Assignment {
        let prior = prior(group);
        let open = |(name, shape): (&TopicName, &TopicShape)| {
            let numbers = (0..shape.partitions).map(PartitionId).filter(|number| {
                self.claimed.is_empty()
                    || !self.claimed.contains_key(&TopicPartition::new(name.clone(), *number))
            });
            (name.clone(), numbers.collect::<Vec<_>>())
        };
        let topics = relevant.shapes.iter().map(open).collect();
        let demand = Demand { members: &self.shared, topics: &topics, prior: &prior };
        let mut assignment = assignor.assign(demand);
        for (claim, claimants) in &self.claimed {
            // Who has it keeps it; else who came first.
            let has = |member: &&&Member| prior.get(*claim) == Some(&member.spec().id);
            let first = || claimants.iter().min_by_key(|it| (it.joined_at_ms(), &it.spec().id));
            if let Some(member) = claimants.iter().find(has).or_else(first) {
                assignment
                    .entry(member.spec().id.clone())
                    .or_default()
                    .insert(TopicPartition::clone(claim));
            }
        }
        assignment
    }
}

/// Who has a partition, or else was to have it: what it costs least to leave so.
fn prior(group: &Group) -> BTreeMap<TopicPartition, MemberId> {
    let mut prior = BTreeMap::new();
    for (id, member) in group.members() {
        for partition in member.target() {
            prior.insert(partition.clone(), id.clone());
        }
    }
    for (partition, owner) in group.owners() {
        prior.insert(partition.clone(), owner.clone());
    }
    prior
}
