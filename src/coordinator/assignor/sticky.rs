//! Sticky: members keep what they have; what nobody has goes to those that have least; then partitions
//! move from those that have most, as long as that makes the counts more even and no further.
//!
//! Topics that the same members want are one *class*: within it any member can have any partition. With one
//! class, which is the usual case, the first two steps never give to a member that must give up later, so
//! the moves of the third are the fewest there can be. With several, a move in one class can make room for
//! one in another, so the classes are gone through until none moves: each move lowers the sum of the
//! squares of the counts, so that ends.

use super::{Demand, Share};
use crate::coordinator::name::MemberId;
use crate::coordinator::topic_partition::TopicPartition;
use crate::topic::{PartitionId, TopicName};
use std::collections::{BTreeMap, BTreeSet};

/// A partition on its way.
type Piece<'a> = (&'a TopicName, PartitionId);

/// A member's place in the order of ids.
type Place = usize;

/// What a member has of one class; what it was given last moves on first.
#[derive(Default)]
struct Hand<'a> {
    kept: Vec<Piece<'a>>,
    given: Vec<Piece<'a>>,
}

impl<'a> Hand<'a> {
    fn pop(&mut self) -> Option<Piece<'a>> {
        self.given.pop().or_else(|| self.kept.pop())
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.given.is_empty()
    }
}

/// The topics that the same members want.
#[derive(Default)]
struct Class<'a> {
    /// Those members.
    members: Vec<Place>,
    /// What nobody has.
    open: Vec<Piece<'a>>,
    hands: BTreeMap<Place, Hand<'a>>,
}

/// How many partitions each member has, of all classes.
struct Loads(Vec<usize>);

impl Loads {
    fn of(&self, member: Place) -> usize {
        self.0.get(member).copied().unwrap_or(0)
    }

    fn set(&mut self, member: Place, load: usize) {
        if let Some(slot) = self.0.get_mut(member) {
            *slot = load;
        }
    }
}

pub(super) fn share(demand: Demand<'_>) -> Vec<Share<'_>> {
    let ids: Vec<&MemberId> = demand.members.keys().collect();
    let mut loads = Loads(vec![0; ids.len()]);
    let mut classes = classes(demand, &ids, &mut loads);
    // The fewer can have it the less choice there is, so they come first.
    classes.sort_by_key(|class| class.members.len());
    for class in &mut classes {
        class.fill(&mut loads);
    }
    while classes.iter_mut().fold(false, |moved, class| class.even(&mut loads) | moved) {}

    let mut shares = Vec::new();
    for (place, hand) in classes.into_iter().flat_map(|class| class.hands) {
        let Some(id) = ids.get(place) else { continue };
        let pieces = hand.kept.into_iter().chain(hand.given);
        shares.extend(pieces.map(|(topic, partition)| (*id, topic, partition)));
    }
    shares
}

/// The classes, with what their members have and may keep.
fn classes<'a>(demand: Demand<'a>, ids: &[&'a MemberId], loads: &mut Loads) -> Vec<Class<'a>> {
    let places: BTreeMap<&MemberId, Place> = ids.iter().copied().zip(0..).collect();
    let mut by_members: BTreeMap<Vec<Place>, Class<'_>> = BTreeMap::new();
    for (topic, members) in demand.subscribers() {
        let members: Vec<Place> =
            members.into_iter().filter_map(|id| places.get(id).copied()).collect();
        let class = by_members.entry(members.clone()).or_default();
        class.members = members;
        for partition in demand.partitions(topic) {
            let key = TopicPartition::new(topic.clone(), *partition);
            let prior = demand.prior.get(&key).and_then(|id| places.get(id).copied());
            match prior.filter(|place| class.members.binary_search(place).is_ok()) {
                Some(place) => {
                    class.hands.entry(place).or_default().kept.push((topic, *partition));
                    loads.set(place, loads.of(place) + 1);
                }
                None => class.open.push((topic, *partition)),
            }
        }
    }
    by_members.into_values().collect()
}

impl Class<'_> {
    /// Gives what nobody has to those that have least.
    fn fill(&mut self, loads: &mut Loads) {
        let mut by_load = self.by_load(loads);
        for piece in std::mem::take(&mut self.open) {
            let Some((load, place)) = by_load.pop_first() else { return };
            self.hands.entry(place).or_default().given.push(piece);
            by_load.insert((load + 1, place));
            loads.set(place, load + 1);
        }
    }

    /// Moves partitions from those that have most to those that have least, as long as they differ by two
    /// or more. Whether any moved.
    fn even(&mut self, loads: &mut Loads) -> bool {
        let mut takers = self.by_load(loads);
        let mut givers: BTreeSet<(usize, Place)> = self
            .hands
            .iter()
            .filter(|(_, hand)| !hand.is_empty())
            .map(|(place, _)| (loads.of(*place), *place))
            .collect();
        let mut has_moved = false;
        while let (Some(most), Some(least)) = (givers.last().copied(), takers.first().copied()) {
            if most.0 < least.0 + 2 {
                break;
            }
            let Some(piece) = self.hands.get_mut(&most.1).and_then(Hand::pop) else { break };
            let hand = self.hands.entry(least.1).or_default();
            hand.given.push(piece);
            has_moved = true;

            let (less, more) = ((most.0 - 1, most.1), (least.0 + 1, least.1));
            loads.set(less.1, less.0);
            loads.set(more.1, more.0);
            takers.remove(&most);
            takers.remove(&least);
            takers.extend([less, more]);
            givers.remove(&most);
            givers.remove(&least);
            givers.insert(more);
            if self.hands.get(&less.1).is_some_and(|hand| !hand.is_empty()) {
                givers.insert(less);
            }
        }
        has_moved
    }

    fn by_load(&self, loads: &Loads) -> BTreeSet<(usize, Place)> {
        self.members.iter().map(|place| (loads.of(*place), *place)).collect()
    }
}
