//! Range: topic by topic, the partitions in contiguous ranges over the members that want it, in the order
//! of their ids; the first ones get one more where it does not divide. Topics of the same size are cut
//! alike, so partition 3 of both is with the same member (Kafka's `RangeAssignor`).

use super::{Demand, Share};

pub(super) fn share(demand: Demand<'_>) -> Vec<Share<'_>> {
    let mut shares = Vec::new();
    for (topic, members) in demand.subscribers() {
        let partitions = demand.partitions(topic);
        let (each, more) = (partitions.len() / members.len(), partitions.len() % members.len());
        let mut rest = partitions.iter();
        for (place, member) in members.into_iter().enumerate() {
            let count = each + usize::from(place < more);
            shares.extend(rest.by_ref().take(count).map(|number| (member, topic, *number)));
        }
    }
    shares
}
