//! When the process of a leader is gone its groups need not wait for a timeout.
//!
//! A hint, nothing more: it never weakens a vote. A follower that hears that its leader's process is
//! gone gives up its own lease on that leader (so that it would grant a vote) and stands with a
//! pre-vote; peers that still hear the leader refuse, as they refuse anyone. A wrong hint costs a
//! message.
//!
//! The followers of a group take turns, so that they do not split the vote, and each group begins with
//! another one, so that the leaderships of a dead node spread over the living.

use crate::group::Inner;
use crate::transport::PeerEvent;
use crate::{Group, NodeId, Role};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use storage::GroupId;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two followers that stand: a pre-vote, and a vote on both disks.
const TURN: Duration = Duration::from_millis(100);
/// Before the first stands: until its peers have noticed too, and would grant.
const NOTICE: Duration = Duration::from_millis(50);
/// How often each follower stands before it leaves it to the election timeout.
const ROUNDS: u32 = 3;

/// Listens for peers whose process is gone.
pub(crate) async fn watch(
    mut events: Receiver<PeerEvent>,
    groups: impl Fn() -> Vec<Group>,
    tasks: TaskTracker,
    closing: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = closing.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(PeerEvent::Down(gone)) => {
                for group in groups().into_iter().filter(|group| group.leader() == Some(gone)) {
                    tasks.spawn(succeed(group.inner, gone));
                }
            }
            Ok(PeerEvent::Up(_)) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Stands for election when it is our turn, while the group still follows `gone`.
async fn succeed(group: Arc<Inner>, gone: NodeId) {
    let (vote, voters) = {
        let metrics = group.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let voters: BTreeSet<NodeId> =
            metrics.membership_config.membership().voter_ids().map(NodeId).collect();
        (metrics.vote, voters)
    };
    // Said to be for somebody else, it only ends our lease on this leader of this term.
    let released = TransferLeaderRequest::new(vote, gone.0, None);
    if group.raft.handle_transfer_leader(released).await.is_err() {
        return;
    }
    let Some((turn, turns)) = turn(group.id, group.node, gone, &voters) else { return };
    let start = Instant::now() + NOTICE;
    for round in 0..ROUNDS {
        let due = start + TURN * (turn + round * turns);
        tokio::select! {
            () = group.closing.cancelled() => return,
            () = sleep_until(due) => {}
        }
        let role = *group.role.borrow();
        let follows = matches!(role, Role::Following { leader, .. } if leader == Some(gone));
        if !follows || group.raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}

/// Which turn is ours, of how many; none if we do not vote.
fn turn(
    group: GroupId,
    node: NodeId,
    gone: NodeId,
    voters: &BTreeSet<NodeId>,
) -> Option<(u32, u32)> {
    let living: Vec<NodeId> = voters.iter().copied().filter(|voter| *voter != gone).collect();
    let place = u64::try_from(living.iter().position(|voter| *voter == node)?).ok()?;
    let turns = u64::try_from(living.len()).ok()?;
    let turn = (place + group.get()) % turns;
    Some((u32::try_from(turn).ok()?, u32::try_from(turns).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(group: u64, gone: u64) -> Vec<Option<(u32, u32)>> {
        let voters = [1, 2, 3].map(NodeId).into();
        let nodes = [1, 2, 3].map(NodeId).into_iter();
        nodes.map(|node| turn(GroupId::new(group), node, NodeId(gone), &voters)).collect()
    }

    #[test]
    fn every_living_voter_has_a_turn_of_its_own() {
        assert_eq!(turns(0, 3), [Some((0, 2)), Some((1, 2)), None]);
    }

    #[test]
    fn the_next_group_begins_with_another_voter() {
        assert_eq!(turns(1, 3), [Some((1, 2)), Some((0, 2)), None]);
    }

    #[test]
    fn who_does_not_vote_has_no_turn() {
        let voters = [1, 2].map(NodeId).into();
        assert_eq!(turn(GroupId::ZERO, NodeId(3), NodeId(1), &voters), None);
    }
}
