//! Leaders go back to where they were placed, gently: a few a second, to replicas that are in sync on
//! brokers that have been up for a while.

use super::Inner;
use crate::metadata::Image;
use raft::{Group, NodeId, ReplicaProgress, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(1);
/// Leaderships handed over in a round: each costs its partition some milliseconds.
const TRANSFERS_PER_ROUND: usize = 4;
/// How long a broker must have been up: one that keeps failing should not keep taking leadership.
const UP_FOR: Duration = Duration::from_secs(5);

impl Inner {
    /// Runs for as long as the broker.
    pub(super) async fn balance(self: Arc<Self>) {
        let mut rounds = interval(EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut up_since: BTreeMap<NodeId, Instant> = BTreeMap::new();
        loop {
            let now = rounds.tick().await;
            let image = self.image();
            let reached = |node: &NodeId| self.node.reachable(*node).is_ok();
            let up: Vec<NodeId> = image.brokers().map(|broker| broker.id).filter(reached).collect();
            up_since.retain(|node, _| up.contains(node));
            for node in up {
                up_since.entry(node).or_insert(now);
            }
            let settled = |node: NodeId| {
                up_since.get(&node).is_some_and(|since| now.duration_since(*since) >= UP_FOR)
            };
            let due = self.node.groups().into_iter().filter_map(|group| {
                let to = due(&image, &group).filter(|to| settled(*to))?;
                Some((group, to))
            });
            for (group, to) in due.take(TRANSFERS_PER_ROUND) {
                if let Err(why) = group.transfer_leader(to).await {
                    tracing::debug!(group = %group.id(), %to, %why, "leadership stays");
                }
            }
        }
    }
}

/// Who should lead the group instead of this node.
fn due(image: &Image, group: &Group) -> Option<NodeId> {
    if !matches!(group.role(), Role::Leading { .. }) {
        return None;
    }
    let placed = image.placed(group.id())?;
    successor(*placed.replicas.first()?, &group.replicas()?)
}

/// The preferred leader, if it is a follower (so not this node) and in sync.
fn successor(preferred: NodeId, followers: &[ReplicaProgress]) -> Option<NodeId> {
    let follower = followers.iter().find(|follower| follower.node == preferred)?;
    (follower.voter && follower.in_sync).then_some(preferred)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(node: u64, in_sync: bool, voter: bool) -> ReplicaProgress {
        ReplicaProgress { node: NodeId(node), voter, matching: None, in_sync }
    }

    #[test]
    fn only_a_preferred_follower_in_sync_takes_over() {
        let two = NodeId(2);
        for (followers, expected) in [
            (vec![follower(2, true, true), follower(3, true, true)], Some(two)),
            (vec![follower(2, false, true), follower(3, true, true)], None),
            (vec![follower(2, true, false)], None),
            (vec![follower(1, true, true), follower(3, true, true)], None),
        ] {
            assert_eq!(successor(two, &followers), expected, "{followers:?}");
        }
    }
}
