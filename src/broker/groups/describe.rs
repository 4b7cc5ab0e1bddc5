//! Consumer groups as they are shown: what the coordinator knows, with what the partitions' leaders say.

use super::request::{GroupSummary, GroupView, LagView, MemberView, PlaceView};
use crate::broker::Broker;
use crate::coordinator::{
    Committed, Delivery, Group, GroupName, GroupState, Groups, Member, MemberId, Partitions,
    Subscription, TopicPartition,
};
use crate::error::Error;
use crate::metadata::Image;
use crate::partition::{Freshness, Tail};
use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Partitions whose leaders are asked at the same time.
const TAILS_AT_ONCE: usize = 16;

/// A group in a list, as its coordinator tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Row {
    name: GroupName,
    state: GroupState,
    members: u32,
    generation: u32,
    assignor: String,
}

/// A group, whole, as its coordinator tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Described {
    row: Row,
    pub(super) group: Arc<Group>,
    pub(super) offsets: Vec<(TopicPartition, Committed)>,
}

impl Row {
    pub(super) fn of(name: &GroupName, group: &Group) -> Self {
        Self {
            name: name.clone(),
            state: group.state(),
            members: u32::try_from(group.members().len()).unwrap_or(u32::MAX),
            generation: group.generation(),
            assignor: group.basis().map(|basis| basis.assignor).unwrap_or_default().name().into(),
        }
    }

    pub(super) fn summary(self, coordinator: u64) -> GroupSummary {
        GroupSummary {
            group: self.name.to_string(),
            state: self.state.name().to_owned(),
            members: self.members,
            generation: self.generation,
            assignor: self.assignor,
            coordinator,
        }
    }
}

impl Described {
    pub(super) fn of(groups: &Groups, name: &GroupName) -> Result<Self, Error> {
        let (group, offsets) = (groups.group(name)?, groups.offsets(name)?);
        let stored = offsets.iter().map(|(at, stored)| (at.clone(), stored.clone()));
        Ok(Self { row: Row::of(name, group), group: Arc::clone(group), offsets: stored.collect() })
    }

    /// A member as it is shown, or the error that says what became of it.
    pub(super) fn member(&self, id: &MemberId) -> Result<MemberView, Error> {
        Ok(member_view(self.group.member(id)?))
    }
}

/// Who is to read what: owners, else those for whom it is meant.
fn readers(group: &Group) -> BTreeMap<&TopicPartition, &MemberId> {
    let mut readers = BTreeMap::new();
    for (id, member) in group.members() {
        readers.extend(member.target().iter().map(|at| (at, id)));
    }
    for (id, member) in group.members() {
        readers.extend(member.owned().iter().map(|at| (at, id)));
    }
    readers
}

fn member_view(member: &Member) -> MemberView {
    let spec = member.spec();
    let places = |partitions: &Partitions| partitions.iter().map(PlaceView::from).collect();
    let (mut topics, mut topic_pattern, mut manual) = (Vec::new(), None, Vec::new());
    match &spec.subscription {
        Subscription::Topics(names) => topics = names.iter().map(ToString::to_string).collect(),
        Subscription::Pattern(pattern) => topic_pattern = Some(pattern.as_str().to_owned()),
        Subscription::Manual(partitions) => manual = places(partitions),
    }
    MemberView {
        member_id: spec.id.to_string(),
        instance_id: spec.instance.as_ref().map(ToString::to_string),
        client_id: spec.client.clone(),
        generation: member.epoch(),
        topics,
        topic_pattern,
        manual,
        assigned: places(member.owned()),
        target: places(member.target()),
        delivery: match spec.delivery {
            Delivery::Client => "client".to_owned(),
            Delivery::Server => "server".to_owned(),
        },
        session_timeout_ms: spec.session_timeout_ms,
        rebalance_timeout_ms: spec.rebalance_timeout_ms,
        settings: spec.settings.clone(),
    }
}

fn lag_view(
    at: &TopicPartition,
    stored: Option<&Committed>,
    tail: Option<Tail>,
    reader: Option<&MemberId>,
) -> LagView {
    let committed = stored.map(|stored| stored.offset.get());
    // What was trimmed before it was read is not waited for any more.
    let next = |tail: Tail| committed.map_or(tail.log_start, |next| next.max(tail.log_start));
    LagView {
        topic: at.topic.to_string(),
        partition: at.partition.0,
        committed,
        metadata: stored.map_or_else(String::new, |stored| stored.metadata.clone()),
        committed_at_ms: stored.map(|stored| stored.committed_at_ms),
        log_start: tail.map(|tail| tail.log_start),
        log_end: tail.map(|tail| tail.high_watermark),
        lag: tail.map(|tail| tail.high_watermark.saturating_sub(next(tail))),
        member_id: reader.map(ToString::to_string),
    }
}

impl Broker {
    /// The group with the ends of everything that it reads or has read.
    pub(super) async fn view(&self, described: &Described, coordinator: u64) -> GroupView {
        let image = self.inner.image();
        // An offset of a topic that was made anew under the name means nothing.
        let stored: BTreeMap<&TopicPartition, &Committed> = described
            .offsets
            .iter()
            .filter(|(at, stored)| is_of(&image, at, stored))
            .map(|(at, stored)| (at, stored))
            .collect();
        let readers = readers(&described.group);
        let places: BTreeSet<&TopicPartition> =
            stored.keys().chain(readers.keys()).copied().collect();
        let tails = self.tails(places.iter().copied()).await;
        let row = |at: &TopicPartition| {
            let tail = tails.get(at).copied();
            lag_view(at, stored.get(at).copied(), tail, readers.get(at).copied())
        };
        let offsets: Vec<LagView> = places.into_iter().map(row).collect();
        let GroupSummary { group, state, generation, assignor, coordinator, .. } =
            described.row.clone().summary(coordinator);
        GroupView {
            group,
            state,
            generation,
            assignor,
            coordinator,
            members: described.group.members().map(|(_, member)| member_view(member)).collect(),
            lag: offsets.iter().filter_map(|row| row.lag).sum(),
            offsets,
        }
    }

    /// The ends of partitions, of those that have a leader.
    pub(super) async fn tails(
        &self,
        partitions: impl Iterator<Item = &TopicPartition>,
    ) -> BTreeMap<TopicPartition, Tail> {
        let asked: Vec<TopicPartition> = partitions.cloned().collect();
        let tails = stream::iter(asked).map(|at| async move {
            let tail = self.tail(&at.topic, at.partition, Freshness::Leader).await;
            tail.ok().map(|tail| (at, tail))
        });
        tails.buffer_unordered(TAILS_AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

/// Whether an offset is of the topic as it is now.
pub(super) fn is_of(image: &Image, at: &TopicPartition, stored: &Committed) -> bool {
    image.topic(&at.topic).is_ok_and(|topic| topic.id == stored.topic_id)
}
