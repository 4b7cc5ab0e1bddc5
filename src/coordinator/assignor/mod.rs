//! Who is to have which partition: pure functions of who wants what.
//!
//! | assignor | how | for what |
//! |---|---|---|
//! | `range` | each topic in contiguous ranges, members by id | joining topics partition by partition |
//! | `round_robin` | all partitions in turn, members by id | an even spread over all topics |
//! | `sticky` | what a member has it keeps, as far as that is even | few moves; the default |
//!
//! Invariants, which the property tests hold all three to:
//!
//! - complete: a partition of a topic that some member wants is assigned;
//! - exclusive: to one member, and that one wants the topic;
//! - balanced: where all want the same topics, round-robin and sticky give any two members counts that
//!   differ by at most 1; range does so topic by topic. Where they do not, sticky leaves no partition
//!   that another member could have and that is with one that has two or more than that other;
//! - sticky: where all want the same topics, sticky moves no partition more than the balance needs; in any
//!   case, an assignment made from its own result is the same.

mod range;
mod round_robin;
mod sticky;

use super::name::MemberId;
use super::topic_partition::{Partitions, TopicPartition};
use crate::error::{Error, ErrorKind};
use crate::topic::{PartitionId, TopicName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// How a group shares out partitions. The order decides between equal votes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Assignor {
    /// What a member has it keeps, as far as that is even.
    #[default]
    Sticky,
    /// All partitions in turn.
    RoundRobin,
    /// Each topic in contiguous ranges.
    Range,
}

/// Who is to have what.
pub type Assignment = BTreeMap<MemberId, Partitions>;

/// What an assignor works from.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Each member with the topics it wants.
    pub members: &'a BTreeMap<MemberId, BTreeSet<TopicName>>,
    /// Each topic with the partitions that are to be shared out, ascending. A wanted topic that is not
    /// here does not exist.
    pub topics: &'a BTreeMap<TopicName, Vec<PartitionId>>,
    /// Who has a partition now, or was to have it.
    pub prior: &'a BTreeMap<TopicPartition, MemberId>,
}

impl Assignor {
    /// Every assignor.
    pub const ALL: &'static [Self] = &[Self::Sticky, Self::RoundRobin, Self::Range];

    /// Its name, as callers say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::RoundRobin => "roundrobin",
            Self::Range => "range",
        }
    }

    /// The assignor with the most votes; the default without one.
    pub fn elected(votes: impl Iterator<Item = Self>) -> Self {
        let mut counts: BTreeMap<Self, usize> = BTreeMap::new();
        for vote in votes {
            *counts.entry(vote).or_default() += 1;
        }
        // `max_by_key` gives the last of equals, so the first in our order comes last.
        counts.iter().rev().max_by_key(|(_, votes)| **votes).map(|(it, _)| *it).unwrap_or_default()
    }

    /// Shares out what is wanted. Every member has its set, an empty one if need be.
    pub fn assign(self, demand: Demand<'_>) -> Assignment {
        let mut assignment: Assignment =
            demand.members.keys().map(|member| (member.clone(), Partitions::new())).collect();
        let shares = match self {
            Self::Sticky => sticky::share(demand),
            Self::RoundRobin => round_robin::share(demand),
            Self::Range => range::share(demand),
        };
        for (member, topic, partition) in shares {
            if let Some(set) = assignment.get_mut(member) {
                set.insert(TopicPartition::new(topic.clone(), partition));
            }
        }
        assignment
    }
}

/// That a partition goes to a member.
type Share<'a> = (&'a MemberId, &'a TopicName, PartitionId);

impl<'a> Demand<'a> {
    /// Each topic that exists with the members that want it, by id; never an empty list.
    fn subscribers(self) -> BTreeMap<&'a TopicName, Vec<&'a MemberId>> {
        let mut subscribers: BTreeMap<&TopicName, Vec<&MemberId>> = BTreeMap::new();
        for (member, topics) in self.members {
            for topic in topics {
                if let Some((topic, _)) = self.topics.get_key_value(topic) {
                    subscribers.entry(topic).or_default().push(member);
                }
            }
        }
        subscribers
    }

    /// The partitions of a topic.
    fn partitions(self, topic: &TopicName) -> &'a [PartitionId] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Assignor {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|assignor| assignor.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|assignor| assignor.name()).collect();
            let message = format!("no assignor {name:?}; there are {}", names.join(", "));
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }
}

#[cfg(test)]
mod tests;
