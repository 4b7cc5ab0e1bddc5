//! Round-robin: all partitions, by topic and number, are dealt out in turn to the members in the order of
//! their ids; who does not want the topic is passed over (Kafka's `RoundRobinAssignor`).

use super::{Demand, Share};
use std::collections::BTreeMap;

pub(super) fn share(demand: Demand<'_>) -> Vec<Share<'_>> {
    let places: BTreeMap<_, usize> = demand.members.keys().zip(0..).collect();
    let mut shares = Vec::new();
    // The place of the member whose turn it is, among all members.
    let mut turn = 0;
    for (topic, members) in demand.subscribers() {
        let members: Vec<_> =
            members.into_iter().map(|id| (places.get(id).copied().unwrap_or(0), id)).collect();
        for partition in demand.partitions(topic) {
            let at = members.partition_point(|(place, _)| *place < turn);
            let Some((place, member)) = members.get(at).or(members.first()) else { continue };
            shares.push((*member, topic, *partition));
            turn = place + 1;
        }
    }
    shares
}
