//! Belonging to the cluster: every node registers itself; the metadata group's leader founds the
//! cluster, takes in new brokers, and lets the group's voters grow with the cluster.

use super::Inner;
use super::wire::Change;
use crate::error::{Error, ErrorKind};
use crate::metadata::{Command, Image, Registration};
use raft::{GroupId, NodeId, Role};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// The most voters of the metadata group: two may fail.
pub(super) const VOTERS_MAX: usize = 5;
/// How long one try to register may take.
const REGISTER_PATIENCE: Duration = Duration::from_secs(3);
/// Between two tries.
const REGISTER_RETRY: Duration = Duration::from_millis(250);
/// How often the leader looks whether the group's members are what they should be.
const STEWARD_EVERY: Duration = Duration::from_secs(1);
/// How long a new member may take to catch up before others get their turn.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    /// Registers this node whenever the image does not say what it should. Runs as long as the broker.
    pub(super) async fn keep_registered(self: Arc<Self>) {
        let mut images = self.images.clone();
        let mut joins = self.join.iter().cycle();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            if image.broker(self.me.id) == Some(&self.me) {
                if images.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if image.broker(self.me.id).is_none() {
                if let Some(why) = self.refused_by_peers() {
                    self.refused.send_replace(Some(why));
                }
                if let Some(address) = joins.next() {
                    self.node.set_peer(NodeId::WHOEVER, address);
                }
            }
            let change =
                Change::Register { broker: self.me.clone(), founders: self.founders.clone() };
            match self.change(change, Instant::now() + REGISTER_PATIENCE).await {
                Ok(_) => {}
                Err(error) if is_final(&error) => {
                    self.refused.send_replace(Some(error.message));
                }
                Err(error) => tracing::debug!(node = %self.me.id, %error, "not registered yet"),
            }
            let again = Instant::now() + REGISTER_RETRY;
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = sleep_until(again) => {}
            }
        }
    }

    /// The words of a peer that refuses us.
    fn refused_by_peers(&self) -> Option<String> {
        let others = self.metadata_candidates();
        others.into_iter().filter(|peer| *peer != self.me.id).find_map(|peer| {
            let why = self.node.refused_by(peer)?;
            Some(format!("node {peer} refuses this node: {why}"))
        })
    }

    /// Whom to ask about the metadata, if the replica here knows no leader.
    pub(super) fn metadata_candidates(&self) -> Vec<NodeId> {
        let mut candidates = self.gate.peers();
        candidates.push(self.me.id);
        candidates.extend(&self.founders);
        candidates.sort_unstable();
        candidates.dedup();
        if !self.join.is_empty() {
            candidates.push(NodeId::WHOEVER);
        }
        candidates
    }

    /// Looks after the metadata group while it is led from here. Runs as long as the broker.
    pub(super) async fn look_after_metadata(self: Arc<Self>) {
        let mut images = self.images.clone();
        let mut roles = self.metadata.watch_role();
        loop {
            let leads = matches!(*roles.borrow_and_update(), Role::Leading { .. });
            let image = Arc::clone(&images.borrow_and_update());
            if leads {
                self.tend(&image).await;
            }
            let again = Instant::now() + STEWARD_EVERY;
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                changed = roles.changed() => if changed.is_err() { return },
                () = sleep_until(again), if leads => {}
            }
        }
    }

    async fn tend(&self, image: &Image) {
        let deadline = Instant::now() + CATCH_UP_PATIENCE;
        if image.cluster().is_nil() {
            let command = Command::Found { cluster: Uuid::new_v4() };
            match self.propose(&command, deadline).await {
                Ok(_) => tracing::info!(node = %self.me.id, "founded the cluster"),
                Err(why) => tracing::debug!(?why, "the cluster is not founded yet"),
            }
            return;
        }
        let (voters, learners) = self.metadata.members();
        let brokers: Vec<NodeId> = image.brokers().map(|broker| broker.id).collect();
        let member = |node: &NodeId| voters.contains(node) || learners.contains(node);
        for node in brokers.iter().filter(|node| !member(node)) {
            self.node_told(*node, image.broker(*node));
            match self.metadata.add_learner(*node, deadline).await {
                Ok(()) => tracing::info!(%node, "follows the metadata"),
                Err(why) => tracing::debug!(%node, why, "does not follow the metadata yet"),
            }
        }
        let in_sync: Vec<NodeId> = self
            .metadata
            .replicas()
            .unwrap_or_default()
            .iter()
            .filter(|replica| replica.in_sync && brokers.contains(&replica.node))
            .map(|replica| replica.node)
            .collect();
        if let Some(grown) = grown_voters(&voters, &in_sync) {
            match self.metadata.change_voters(&grown, deadline).await {
                Ok(()) => tracing::info!(?grown, "the metadata has more voters"),
                Err(why) => tracing::debug!(?grown, why, "the metadata's voters stay"),
            }
        }
    }

    fn node_told(&self, node: NodeId, broker: Option<&Registration>) {
        if let Some(broker) = broker {
            self.node.set_peer_with_disk(node, &broker.peer, broker.disk);
        }
    }
}

/// A refusal that no retry changes: the cluster does not want this node.
fn is_final(error: &Error) -> bool {
    error.kind == ErrorKind::InvalidRequest
}

/// How many of so many brokers should vote on the metadata: an odd number, at most five.
pub(super) fn voters_wanted(brokers: usize) -> usize {
    let most = brokers.min(VOTERS_MAX);
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

/// The voters the metadata group should have instead, if it should: as many as there are in sync, an
/// odd number, at most five. It only grows here; who leaves is an operator's decision.
fn grown_voters(voters: &[NodeId], in_sync: &[NodeId]) -> Option<Vec<NodeId>> {
    let mut new: Vec<NodeId> =
        in_sync.iter().copied().filter(|node| !voters.contains(node)).collect();
    new.sort_unstable();
    let wanted = voters_wanted(voters.len() + new.len());
    if wanted <= voters.len() {
        return None;
    }
    new.truncate(wanted - voters.len());
    Some(voters.iter().copied().chain(new).collect())
}

impl Inner {
    /// Why this node does not yet take part, one sentence each.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let image = self.image();
        let mut reasons = Vec::new();
        if image.broker(self.me.id).is_none() {
            reasons.push("this node has not joined a cluster yet".to_owned());
        }
        if self.metadata.leader().is_none() {
            reasons.push("the metadata group has no leader".to_owned());
        }
        if *self.reconciled.borrow() < image.revision() {
            reasons.push("not all replicas of this node are open yet".to_owned());
        }
        let broken = self.node.broken();
        let stopped = |(group, why): &(GroupId, String)| {
            format!("{} is stopped: {why}", image.name_of(*group))
        };
        reasons.extend(broken.iter().map(stopped));
        reasons.extend(self.store.failure().map(|why| format!("the disk: {why}")));
        if self.tasks.stopping().is_cancelled() {
            reasons.push("shutting down".to_owned());
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn voters_grow_to_an_odd_number_up_to_five() {
        for (voters, in_sync, expected) in [
            (vec![1], vec![], None),
            (vec![1], vec![2], None),
            (vec![1], vec![3, 2], Some(vec![1, 2, 3])),
            (vec![1, 2, 3], vec![2, 3, 4], None),
            (vec![1, 2, 3], vec![4, 5, 6], Some(vec![1, 2, 3, 4, 5])),
            (vec![1, 2], vec![2, 3], Some(vec![1, 2, 3])),
            (vec![1, 2, 3, 4, 5], vec![6, 7], None),
        ] {
            let grown = grown_voters(&nodes(&voters), &nodes(&in_sync));
            assert_eq!(grown, expected.map(|ids: Vec<u64>| nodes(&ids)), "{voters:?} {in_sync:?}");
        }
    }
}
