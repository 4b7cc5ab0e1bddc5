//! Makes this node hold what the image gives it: opens, removes and re-tunes replica groups, and keeps
//! the addresses of peers. Follows the image; one pass at a time, groups within a pass in parallel.

use super::Inner;
use super::groups::Coordinator;
use crate::coordinator::CoordinatorMachine;
use crate::metadata::identity;
use crate::metadata::reconcile::{Held, Plan};
use crate::metadata::settings::Tuning;
use crate::partition::PartitionMachine;
use futures::StreamExt;
use futures::stream;
use raft::{GroupId, GroupSpec};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Groups that are opened or removed at once: each waits for the disk, and a node may have hundreds.
const GROUPS_AT_ONCE: usize = 16;
/// When a removal that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Inner {
    /// Runs for as long as the broker.
    pub(super) async fn reconcile(self: Arc<Self>) {
        let mut images = self.images.clone();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            self.keep_peers(&image);
            let whole = self.pass(&image).await;
            self.reconciled.send_replace(image.revision());
            let again = Instant::now() + RETRY_AFTER;
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = sleep_until(again), if !whole => {}
            }
        }
    }

    /// One comparison and what follows from it; false if something is to be tried again.
    async fn pass(self: &Arc<Self>, image: &crate::metadata::Image) -> bool {
        let commands = Tuning::of_commands(self.store.segment_bytes());
        let plan = Plan::new(image, self.node.id(), &self.held.borrow(), commands);
        for (group, tuning) in plan.tune {
            if let Some(open) = self.node.group(group) {
                open.log().set_flush(tuning.flush);
                open.log().set_roll(tuning.roll);
                self.note(group, Some(Held::Open(tuning)));
            }
        }
        let opening = plan.open.into_iter().map(|spec| {
            let is_coordinator = image.is_coordinator(spec.id);
            async move {
                if is_coordinator {
                    self.open_coordinator(spec).await;
                } else {
                    self.open_group(spec).await;
                }
            }
        });
        stream::iter(opening).for_each_concurrent(GROUPS_AT_ONCE, |opening| opening).await;
        let removing = plan.remove.into_iter().map(|group| self.remove_group(group));
        let removed = stream::iter(removing).buffer_unordered(GROUPS_AT_ONCE);
        removed.all(|removed| async move { removed }).await
    }

    async fn open_group(&self, spec: GroupSpec) {
        let (group, tuning) = (spec.id, Tuning { flush: spec.flush, roll: spec.roll });
        // The same for as long as it is open: a node that has the group drops another machine unused.
        let kept = self.replicated().entry(group).or_default().clone();
        let machine = Box::new(PartitionMachine::new(kept));
        let held = if self.node.open(spec, machine).await.is_ok() {
            Held::Open(tuning)
        } else {
            // The node lists it as broken and has told why.
            self.replicated().remove(&group);
            Held::Broken
        };
        self.note(group, Some(held));
    }

    async fn open_coordinator(self: &Arc<Self>, spec: GroupSpec) {
        let (id, tuning) = (spec.id, Tuning { flush: spec.flush, roll: spec.roll });
        let (machine, groups) = CoordinatorMachine::new();
        let held = match self.node.open(spec, Box::new(machine)).await {
            Ok(group) => {
                let coordinator = Arc::new(Coordinator::new(group, groups));
                let mut open = self.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(id, Arc::clone(&coordinator));
                self.tasks.spawn("coordinator", Arc::clone(self).keep_time(coordinator));
                Held::Open(tuning)
            }
            // The node lists it as broken and has told why.
            Err(_) => Held::Broken,
        };
        self.note(id, Some(held));
    }

    async fn remove_group(&self, group: GroupId) -> bool {
        match self.node.remove(group).await {
            Ok(()) => {
                self.replicated().remove(&group);
                self.note(group, None);
            }
            Err(error) => {
                tracing::warn!(%group, %error, "a deleted group's files are still here");
                return false;
            }
        }
        true
    }

    fn note(&self, group: GroupId, held: Option<Held>) {
        self.held.send_modify(|all| {
            match held {
                Some(held) => all.insert(group, held),
                None => all.remove(&group),
            };
        });
    }

    /// Tells the transport where peers are, and notes it for the next start.
    fn keep_peers(&self, image: &crate::metadata::Image) {
        for broker in image.brokers().filter(|broker| broker.id != self.node.id()) {
            if self.gate.note(broker) {
                self.node.set_peer_with_disk(broker.id, &broker.peer, broker.disk);
                self.complain(identity::note_peer(self.store.state(), broker));
            }
        }
        if let Some(identity) = self.gate.join(image.cluster()) {
            self.node.set_cluster(image.cluster());
            self.complain(identity.write(self.store.state()));
            tracing::info!(cluster = %image.cluster(), "belongs to the cluster");
        }
    }

    fn complain(&self, written: io::Result<()>) {
        if let Err(error) = written {
            // What is not noted now is learned again; a disk that is gone ends the node elsewhere.
            tracing::warn!(node = %self.node.id(), %error, "the node's own rows cannot be written");
        }
    }
}
