//! Which brokers get the replicas of new partitions: a pure function.
//!
//! In this order, for each topic:
//!
//! 1. the replicas of a partition lie on distinct brokers, and on as many racks as there are;
//! 2. every broker has equally many replicas of the topic (within 1, as far as racks allow), and
//!    within that the brokers with the fewest replicas overall get the odd ones;
//! 3. every broker is preferred leader of equally many partitions of the topic (within 1), and within
//!    that equally many overall.
//!
//! A topic is balanced first because one hot topic is the common case; totals follow from giving the
//! odd ones to the least loaded.

use super::image::{Image, Placed, Topic};
use raft::NodeId;
use std::collections::{BTreeMap, VecDeque};

/// A broker to place on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The broker.
    pub node: NodeId,
    /// Its rack; brokers without one are each a rack of their own.
    pub rack: Option<String>,
    /// What it has already.
    pub load: Load,
}

/// How much a broker has, of the topic first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Replicas of the topic at hand.
    pub topic_replicas: usize,
    /// Replicas of all topics.
    pub all_replicas: usize,
    /// Partitions of the topic at hand that prefer it as leader.
    pub topic_leaders: usize,
    /// Partitions of all topics that prefer it as leader.
    pub all_leaders: usize,
}

impl Load {
    fn replica_cost(&self) -> (usize, usize) {
        (self.topic_replicas, self.all_replicas)
    }

    fn leader_cost(&self) -> (usize, usize) {
        (self.topic_leaders, self.all_leaders)
    }

    fn add_replica(&mut self) {
        self.topic_replicas += 1;
        self.all_replicas += 1;
    }
}

/// The brokers of an image with what they have; `growing` is the topic that gets more partitions.
pub fn sites(image: &Image, growing: Option<&Topic>) -> Vec<Site> {
    let mut loads: BTreeMap<NodeId, Load> =
        image.brokers().map(|broker| (broker.id, Load::default())).collect();
    let mut note = |placed: &Placed, same: bool| {
        for (place, replica) in placed.replicas.iter().enumerate() {
            let Some(load) = loads.get_mut(replica) else { continue };
            load.all_replicas += 1;
            load.topic_replicas += usize::from(same);
            load.all_leaders += usize::from(place == 0);
            load.topic_leaders += usize::from(same && place == 0);
        }
    };
    for (_, topic) in image.topics() {
        let same = growing.is_some_and(|growing| growing.id == topic.id);
        topic.partitions.iter().for_each(|placed| note(placed, same));
    }
    image.coordinators().for_each(|(_, placed)| note(placed, false));
    let site = |broker: &super::Registration| Site {
        node: broker.id,
        rack: broker.rack.clone(),
        load: loads.get(&broker.id).copied().unwrap_or_default(),
    };
    image.brokers().map(site).collect()
}

/// The replicas of `partitions` new partitions, `factor` each, preferred leader first.
///
/// # Panics
/// If there are fewer sites than `factor`, which the caller has refused before.
pub fn place(mut sites: Vec<Site>, partitions: usize, factor: usize) -> Vec<Vec<NodeId>> {
    assert!(factor >= 1 && factor <= sites.len(), "{factor} replicas on {} brokers", sites.len());
    let sets: Vec<Vec<usize>> =
        (0..partitions).map(|_| choose_replicas(&mut sites, factor)).collect();
    let leaders = choose_leaders(&mut sites, &sets);
    let node = |at: &usize| sites.get(*at).map(|site| site.node);
    let ordered = |(set, leader): (&Vec<usize>, &usize)| {
        let followers = set.iter().filter(|at| *at != leader);
        std::iter::once(leader).chain(followers).filter_map(node).collect()
    };
    sets.iter().zip(&leaders).map(ordered).collect()
}

/// Takes `factor` sites: rack by rack, the least loaded of each.
fn choose_replicas(sites: &mut [Site], factor: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::with_capacity(factor);
    while chosen.len() < factor {
        let cost = |at: usize, site: &Site| {
            let in_rack = chosen.iter().filter(|other| {
                site.rack.is_some() && sites.get(**other).is_some_and(|o| o.rack == site.rack)
            });
            (in_rack.count(), site.load.replica_cost(), at)
        };
        let free = sites.iter().enumerate().filter(|(at, _)| !chosen.contains(at));
        let best = free.map(|(at, site)| cost(at, site)).min();
        let (.., at) = best.expect("there are at least as many sites as replicas");
        chosen.push(at);
        if let Some(site) = sites.get_mut(at) {
            site.load.add_replica();
        }
    }
    chosen
}

/// Chooses the preferred leader of each set: greedily, then improved until no chain of hand-overs
/// makes it more even. Each broker is in `k` or `k + 1` sets, so a choice within 1 exists, and a
/// choice that no augmenting chain improves is one (the integrality of flows).
fn choose_leaders(sites: &mut [Site], sets: &[Vec<usize>]) -> Vec<usize> {
    let mut balance = Balance { leaders: Vec::with_capacity(sets.len()), sets, sites };
    for set in sets {
        let cost = |at: &&usize| balance.sites.get(**at).map(|s| (s.load.leader_cost(), **at));
        let leader = *set.iter().min_by_key(cost).expect("a partition has a replica");
        balance.leaders.push(leader);
        balance.shift(leader, 1);
    }
    while balance.improve() {}
    balance.leaders
}

struct Balance<'a> {
    sites: &'a mut [Site],
    sets: &'a [Vec<usize>],
    leaders: Vec<usize>,
}

impl Balance<'_> {
    fn shift(&mut self, at: usize, by: isize) {
        if let Some(site) = self.sites.get_mut(at) {
            site.load.topic_leaders = site.load.topic_leaders.saturating_add_signed(by);
            site.load.all_leaders = site.load.all_leaders.saturating_add_signed(by);
        }
    }

    /// Whether taking one partition from `from` and giving one to `to` is more even: of the topic,
    /// else equally even there and more even overall.
    fn better(&self, from: usize, to: usize) -> bool {
        let cost = |at: usize| self.sites.get(at).map_or((0, 0), |site| site.load.leader_cost());
        let ((from_topic, from_all), (to_topic, to_all)) = (cost(from), cost(to));
        from_topic > to_topic + 1 || (from_topic == to_topic + 1 && from_all > to_all + 1)
    }

    /// Hands one partition on along a chain of brokers, if that is better.
    fn improve(&mut self) -> bool {
        (0..self.sites.len()).any(|from| {
            let Some(chain) = self.chain(from) else { return false };
            let last = chain.last().map_or(from, |(_, to)| *to);
            for (partition, to) in chain {
                if let Some(leader) = self.leaders.get_mut(partition) {
                    *leader = to;
                }
            }
            self.shift(from, -1);
            self.shift(last, 1);
            true
        })
    }

    /// The shortest chain of (partition, its new leader) from `from` to a broker that should have
    /// one more. Breadth first, so each broker is visited once.
    fn chain(&self, from: usize) -> Option<Vec<(usize, usize)>> {
        let mut came_by: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for (partition, set) in self.sets.iter().enumerate() {
                if self.leaders.get(partition) != Some(&at) {
                    continue;
                }
                for to in set {
                    if *to == from || came_by.contains_key(to) {
                        continue;
                    }
                    came_by.insert(*to, (partition, at));
                    if self.better(from, *to) {
                        return Some(walk_back(&came_by, from, *to));
                    }
                    queue.push_back(*to);
                }
            }
        }
        None
    }
}

fn walk_back(
    came_by: &BTreeMap<usize, (usize, usize)>,
    from: usize,
    to: usize,
) -> Vec<(usize, usize)> {
    let mut chain = Vec::new();
    let mut at = to;
    while at != from {
        let Some((partition, before)) = came_by.get(&at) else { break };
        chain.push((*partition, at));
        at = *before;
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn plain(brokers: u64) -> Vec<Site> {
        (1..=brokers)
            .map(|id| Site { node: NodeId(id), rack: None, load: Load::default() })
            .collect()
    }

    fn counts(brokers: u64, nodes: impl Iterator<Item = NodeId>) -> Vec<usize> {
        let mut counts: BTreeMap<NodeId, usize> = (1..=brokers).map(|id| (NodeId(id), 0)).collect();
        for node in nodes {
            *counts.get_mut(&node).unwrap() += 1;
        }
        counts.into_values().collect()
    }

    fn spread(counts: &[usize]) -> usize {
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    #[test]
    fn six_partitions_on_three_brokers_have_two_leaders_each() {
        let placed = place(plain(3), 6, 3);
        assert_eq!(counts(3, placed.iter().map(|set| set[0])), [2, 2, 2]);
    }

    #[test]
    fn topics_of_one_partition_go_round() {
        let mut sites = plain(3);
        let mut leaders = Vec::new();
        for _ in 0..6 {
            let set = place(sites.clone(), 1, 3).remove(0);
            for (place, node) in set.iter().enumerate() {
                let site = sites.iter_mut().find(|site| site.node == *node).unwrap();
                site.load.all_replicas += 1;
                site.load.all_leaders += usize::from(place == 0);
            }
            leaders.push(set[0]);
        }
        assert_eq!(counts(3, leaders.into_iter()), [2, 2, 2]);
    }

    #[test]
    fn replicas_lie_on_all_racks() {
        let mut sites = plain(6);
        for (site, rack) in sites.iter_mut().zip(["a", "a", "b", "b", "c", "c"]) {
            site.rack = Some(rack.into());
        }
        let racks: BTreeMap<NodeId, Option<String>> =
            sites.iter().map(|site| (site.node, site.rack.clone())).collect();
        for set in place(sites, 60, 3) {
            let distinct: BTreeSet<_> = set.iter().map(|node| racks.get(node)).collect();
            assert_eq!(distinct.len(), 3, "{set:?}");
        }
    }

    proptest! {
        #[test]
        fn placement_is_complete_distinct_and_balanced_within_one(
            brokers in 1..9_u64,
            factor in 1..9_usize,
            partitions in 1..60_usize,
        ) {
            let factor = factor.min(usize::try_from(brokers).unwrap());
            let placed = place(plain(brokers), partitions, factor);
            prop_assert_eq!(placed.len(), partitions);
            for set in &placed {
                prop_assert_eq!(set.iter().collect::<BTreeSet<_>>().len(), factor);
            }
            let leaders = counts(brokers, placed.iter().map(|set| set[0]));
            let replicas = counts(brokers, placed.iter().flatten().copied());
            prop_assert!(spread(&leaders) <= 1, "leaders {:?}", leaders);
            prop_assert!(spread(&replicas) <= 1, "replicas {:?}", replicas);
        }

        #[test]
        fn equal_racks_do_not_cost_balance(
            racks in 1..5_u64, each in 1..4_u64, partitions in 1..40_usize,
        ) {
            let mut sites = plain(racks * each);
            for (at, site) in (0..).zip(&mut sites) {
                site.rack = Some(format!("rack-{}", at % racks));
            }
            let factor = usize::try_from(racks).unwrap();
            let placed = place(sites, partitions, factor);
            let replicas = counts(racks * each, placed.iter().flatten().copied());
            prop_assert!(spread(&replicas) <= 1, "replicas {:?}", replicas);
        }

        #[test]
        fn totals_stay_even_over_many_topics(
            brokers in 1..7_u64,
            topics in prop::collection::vec((1..10_usize, 1..6_usize), 1..12),
        ) {
            let mut sites = plain(brokers);
            for (partitions, factor) in topics {
                let factor = factor.min(usize::try_from(brokers).unwrap());
                for set in place(sites.clone(), partitions, factor) {
                    for node in &set {
                        let site = sites.iter_mut().find(|site| site.node == *node).unwrap();
                        site.load.all_replicas += 1;
                    }
                }
            }
            let totals: Vec<usize> = sites.iter().map(|site| site.load.all_replicas).collect();
            prop_assert!(spread(&totals) <= 1, "totals {:?}", totals);
        }
    }
}
