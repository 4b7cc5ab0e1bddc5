//! A consumer's place in its group: joins, is heard, tells what comes and goes, and joins again when it
//! was expelled. A task of its own, so that the member lives while records are worked on.
//!
//! ```text
//!   join ── share ──► revoked? told, and waited for (heard meanwhile) ──► assigned? told
//!             ▲                                                              │
//!             └──── heartbeat: "I have done what generation g asks" ◄────────┘
//! ```

use super::commits::Member;
use crate::client::groups::{Heartbeat, Joined, NewMember, Share};
use crate::client::{Backoff, Client, Error};
use crate::coordinator::TopicPartition;
use crate::error::ErrorKind;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long leaving may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// What a member is told.
#[derive(Debug)]
pub(super) enum News {
    /// To read from now on.
    Assigned(BTreeSet<TopicPartition>),
    /// To be given up; the answer says that it is.
    Revoked(BTreeSet<TopicPartition>, oneshot::Sender<()>),
    /// Gone.
    Lost(BTreeSet<TopicPartition>),
    /// The consumer cannot be a member.
    Failed(Error),
}

/// A consumer's place in its group.
pub(super) struct Membership {
    pub(super) client: Client,
    pub(super) group: String,
    pub(super) wish: NewMember,
    /// For commits.
    pub(super) member: Member,
    /// Bounded by what can come and go: a revocation waits for its answer.
    pub(super) news: mpsc::UnboundedSender<News>,
    pub(super) stopping: CancellationToken,
}

impl Membership {
    /// Runs until it is told to stop, then leaves; a member with a name of its own stays, to come back.
    pub(super) async fn run(self) {
        let mut joined = None;
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.be_member(&mut joined)).await;
        if let (Some(member), None) = (joined, &self.wish.instance_id) {
            let left = timeout(LEAVE_PATIENCE, self.client.leave_group(&self.group, &member)).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::debug!(group = self.group, member, "did not leave; its session ends");
            }
        }
    }

    async fn be_member(&self, member: &mut Option<String>) {
        let mut backoff = Backoff::default();
        loop {
            let joined = match self.client.join_group(&self.group, &self.wish).await {
                Ok(joined) => joined,
                Err(error) if error.is_passing() => {
                    sleep(backoff.next(error.retry_after())).await;
                    continue;
                }
                Err(error) => return self.tell(News::Failed(error)),
            };
            *member = Some(joined.member_id.clone());
            self.member.set(member.clone());
            let mut held = BTreeSet::new();
            let error = self.live(joined, &mut held).await;
            self.member.set(None);
            *member = None;
            if !is_expelled(&error) {
                return self.tell(News::Failed(error));
            }
            tracing::warn!(group = self.group, %error, "joins again");
            self.tell(News::Lost(held));
        }
    }

    /// Heartbeats until that fails; `held` is what the consumer reads.
    async fn live(&self, joined: Joined, held: &mut BTreeSet<TopicPartition>) -> Error {
        let Joined { member_id, heartbeat_interval_ms, mut share } = joined;
        let every = Duration::from_millis(heartbeat_interval_ms);
        // Until the first answer to it, the generation of the join is not acknowledged.
        let mut acknowledged = None;
        loop {
            let revoked: BTreeSet<_> = held.difference(&share.assigned).cloned().collect();
            if !revoked.is_empty() {
                held.retain(|at| share.assigned.contains(at));
                if let Err(error) = self.revoke(revoked, &member_id, every).await {
                    return error;
                }
            }
            let assigned: BTreeSet<_> = share.assigned.difference(held).cloned().collect();
            if !assigned.is_empty() {
                held.extend(assigned.iter().cloned());
                self.tell(News::Assigned(assigned));
            }
            // What is new is acknowledged at once, which may bring more.
            let wait = if acknowledged == Some(share.generation) { every } else { Duration::ZERO };
            let said = share.generation;
            share = match self.beat(&member_id, Some(said), wait, every).await {
                Ok(share) => share,
                Err(error) => return error,
            };
            acknowledged = Some(said);
        }
    }

    /// Waits until partitions are given up; is heard meanwhile, without acknowledging anything.
    async fn revoke(
        &self,
        revoked: BTreeSet<TopicPartition>,
        member: &str,
        every: Duration,
    ) -> Result<(), Error> {
        let (done, mut heard) = oneshot::channel();
        self.tell(News::Revoked(revoked, done));
        loop {
            match timeout(every, &mut heard).await {
                Ok(_done_or_dropped) => return Ok(()),
                Err(_elapsed) => {
                    self.beat(member, None, Duration::ZERO, every).await?;
                }
            }
        }
    }

    /// One heartbeat, made again until it is answered or refused.
    async fn beat(
        &self,
        member: &str,
        generation: Option<u32>,
        wait: Duration,
        every: Duration,
    ) -> Result<Share, Error> {
        let mut backoff = Backoff::default();
        loop {
            let sign = Heartbeat { group: &self.group, member, generation, wait };
            match self.client.heartbeat(sign, wait + every).await {
                Err(error) if error.is_passing() => sleep(backoff.next(error.retry_after())).await,
                answer => return answer,
            }
        }
    }

    /// If nobody listens, the consumer is gone, and this soon is.
    fn tell(&self, news: News) {
        self.news.send(news).ok();
    }
}

/// Whether the member is gone, so that another can be made.
fn is_expelled(error: &Error) -> bool {
    [ErrorKind::UnknownMember, ErrorKind::UnknownGroup, ErrorKind::StaleGeneration]
        .iter()
        .any(|kind| error.code() == Some(kind.row().code))
}
