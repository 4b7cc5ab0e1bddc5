//! A member of a group as long as a connection lives: it is heard whatever its reader does, and goes when
//! the connection is gone.

use crate::broker::Heartbeat;
use crate::coordinator::{GroupName, MemberId};
use crate::error::ErrorKind;
use crate::http::door::Door;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long one sign of life, or the last one, may take.
const CALL_PATIENCE: Duration = Duration::from_secs(5);

/// A member that this node speaks for.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    /// Its group.
    pub(super) group: GroupName,
    /// The member.
    pub(super) member: MemberId,
    /// Whether it goes with its connection, or is expected back within its session.
    pub(super) leaves: bool,
}

impl Membership {
    /// Keeps the member until what this gives is dropped.
    pub(super) fn hold(self, door: &Door, every: Duration) -> DropGuard {
        let held = CancellationToken::new();
        let (until, keeper) = (held.clone(), door.clone());
        door.tasks.spawn_to_end("group connection", async move {
            until.run_until_cancelled(self.live(&keeper, every)).await;
            if self.leaves {
                self.leave(&keeper).await;
            }
        });
        held.drop_guard()
    }

    /// Heartbeats until there is no such member any more; its next poll learns of that.
    async fn live(&self, door: &Door, every: Duration) {
        loop {
            sleep(every).await;
            let beat = Heartbeat {
                group: self.group.clone(),
                member: self.member.clone(),
                generation: None,
                wait: Duration::ZERO,
            };
            let beaten = door.broker.heartbeat(beat, Instant::now() + CALL_PATIENCE).await;
            let is_gone = |kind| {
                matches!(
                    kind,
                    ErrorKind::UnknownMember | ErrorKind::UnknownGroup | ErrorKind::FencedInstance
                )
            };
            if beaten.is_err_and(|error| is_gone(error.kind)) {
                return;
            }
        }
    }

    async fn leave(&self, door: &Door) {
        let Self { group, member, .. } = self;
        let deadline = Instant::now() + CALL_PATIENCE;
        if let Err(error) = door.broker.leave_group(group, member, deadline).await {
            // Its session ends without it.
            tracing::debug!(%group, %member, %error, "a connection's member did not leave");
        }
    }
}
