//! The task that stands beside each group: it watches openraft, says the role, purges, starts a new
//! group, and notices when the core stops.

use crate::adapter::config::Types;
use crate::group::{Group, Inner};
use crate::purge::purge_point;
use crate::role::Event;
use crate::{NodeId, Role};
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use storage::Term;
use tokio::time::{Instant, sleep_until};

/// How long the other voters of a new group wait for the preferred leader to start it.
const START_AFTER: Duration = Duration::from_secs(2);
/// Between two tries to purge: a leader puts it off while a follower still reads what would go.
const PURGE_RETRY: Duration = Duration::from_millis(500);
/// "Not now": far enough away to never come.
const FAR: Duration = Duration::from_hours(24);

/// Runs until the group closes or its core stops.
pub(crate) async fn supervise(group: Group, voters: Vec<NodeId>) {
    let group = group.inner;
    let mut metrics = group.raft.server_metrics();
    let mut watermarks = group.replica.watermark.subscribe();
    let mut start_at = start(&group, &voters).await;
    let mut purge_at = None;
    loop {
        let event = observed(&metrics.borrow_watched());
        step(&group, event);
        step(&group, Event::Applied { term: watermarks.borrow_and_update().term });
        let taking = matches!(*group.role.borrow(), Role::Taking { .. });
        let far = Instant::now() + FAR;
        tokio::select! {
            () = group.closing.cancelled() => break,
            changed = metrics.changed() => if changed.is_err() { break },
            changed = watermarks.changed(), if taking => if changed.is_err() { break },
            () = group.replica.purgeable.notified() => purge_at = purge(&group).await,
            () = sleep_until(purge_at.unwrap_or(far)), if purge_at.is_some() => {
                purge_at = purge(&group).await;
            }
            () = sleep_until(start_at.unwrap_or(far)), if start_at.is_some() => {
                initialize(&group, &voters).await;
                start_at = None;
            }
        }
    }
    let term = group.role.borrow().term();
    group.role.send_replace(Role::Following { term, leader: None });
    if !group.closing.is_cancelled() {
        mark_broken(&group);
    }
}

/// Notes why the core stopped, once, loudly.
fn mark_broken(group: &Inner) {
    let why = match &group.raft.metrics().borrow_watched().running_state {
        Err(fatal) => fatal.to_string(),
        Ok(()) => "its core panicked".to_owned(),
    };
    tracing::error!(group = %group.id, node = %group.node, %why, "group stopped");
    *group.broken.lock().expect("nobody panics with it") = Some(why);
}

/// What openraft says of itself.
fn observed(metrics: &RaftServerMetrics<Types>) -> Event {
    let term = Term::new(metrics.vote.leader_id().term);
    match metrics.state {
        ServerState::Leader => Event::Wins { term },
        ServerState::Candidate => Event::Stands { term },
        ServerState::Follower | ServerState::Learner | ServerState::Shutdown => {
            Event::Follows { term, leader: metrics.current_leader.map(NodeId) }
        }
    }
}

fn step(group: &Inner, event: Event) {
    let changed = group.role.send_if_modified(|role| {
        let next = role.on(event);
        let changed = *role != next;
        *role = next;
        changed
    });
    if changed && let Role::Leading { term } = *group.role.borrow() {
        tracing::info!(group = %group.id, node = %group.node, %term, "leads");
    }
}

/// Starts a new group at once if we are its preferred leader; else says when we would.
async fn start(group: &Arc<Inner>, voters: &[NodeId]) -> Option<Instant> {
    match voters.first() {
        Some(preferred) if *preferred == group.node => {
            initialize(group, voters).await;
            None
        }
        Some(_) if voters.contains(&group.node) => Some(Instant::now() + START_AFTER),
        Some(_) | None => None,
    }
}

/// Writes the first membership, unless the group has one.
async fn initialize(group: &Inner, voters: &[NodeId]) {
    let has_one = {
        let metrics = group.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().next().is_some()
    };
    if has_one || group.log.state().last.is_some() {
        return;
    }
    let voters: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
    if let Err(error) = group.raft.initialize(voters).await {
        // Another voter was faster: its membership is the same.
        tracing::debug!(group = %group.id, %error, "not initialized");
    }
}

/// Takes one step towards the purge point; says when to look again, if it is not reached.
async fn purge(group: &Arc<Inner>) -> Option<Instant> {
    let watermark = *group.replica.watermark.borrow();
    let ends = group.log.sealed_ends();
    let target = purge_point(&ends, &group.replica.checkpoints(), watermark)?.position.index;
    let purged = group.log.state().purged.map(|marker| marker.position.index);
    if purged >= Some(target) {
        return None;
    }
    group.replica.want_purge(target);
    let snapshot = group.raft.metrics().borrow_watched().snapshot.map(|last| last.index);
    let asked = if snapshot >= Some(target.get()) {
        group.raft.trigger().purge_log(target.get()).await
    } else {
        group.raft.trigger().snapshot().await
    };
    asked.ok().map(|()| Instant::now() + PURGE_RETRY)
}
