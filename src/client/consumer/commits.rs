//! The way of commits to the group's coordinator: one after the other, so that offsets never go back
//! because a request overtook another.

use crate::client::groups::{Commit, Committer};
use crate::client::{Client, Error};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// Commits that wait for those before them; who comes then waits for room.
pub(super) const WAITING_MAX: usize = 16;

/// What a consumer commits with. Clones are the same.
#[derive(Debug, Clone)]
pub struct Commits {
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
pub(super) struct Job {
    offsets: Vec<Commit>,
    done: oneshot::Sender<Result<(), Error>>,
}

/// The end of a commit. It happens whether this is awaited or not.
#[derive(Debug)]
pub struct Committing(oneshot::Receiver<Result<(), Error>>);

impl Future for Committing {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = Pin::new(&mut self.0).poll(context);
        done.map(|done| done.unwrap_or(Err(Error::Closed)))
    }
}

impl Commits {
    pub(super) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(WAITING_MAX);
        (Self { queue }, jobs)
    }

    /// Commits offsets, all or none, and waits for the answer.
    ///
    /// # Errors
    /// A partition may have gone to another member; that one goes on at what was committed before.
    pub async fn commit(&self, offsets: Vec<Commit>) -> Result<(), Error> {
        self.begin(offsets).await?.await
    }

    /// Begins to commit offsets; waits only for room among the commits that wait.
    ///
    /// # Errors
    /// [`Error::Closed`] after the consumer's end.
    pub async fn begin(&self, offsets: Vec<Commit>) -> Result<Committing, Error> {
        let (done, committing) = oneshot::channel();
        let sent = self.queue.send(Job { offsets, done }).await;
        sent.map(|()| Committing(committing)).map_err(|_closed| Error::Closed)
    }

    /// Begins to commit if there is room.
    pub(super) fn offer(&self, offsets: Vec<Commit>) -> bool {
        let (done, _unheard) = oneshot::channel();
        self.queue.try_send(Job { offsets, done }).is_ok()
    }
}

/// Makes the commits, until nobody can ask for one.
pub(super) struct Clerk {
    pub(super) client: Client,
    pub(super) group: String,
    /// Who the consumer is in its group, if it is a member.
    pub(super) member: Member,
    pub(super) jobs: mpsc::Receiver<Job>,
}

/// The member that a consumer is, while it is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Member(Arc<Mutex<Option<Committer>>>);

impl Member {
    pub(super) fn set(&self, member: Option<String>) {
        // A member commits what it owns; which generation it has acknowledged adds nothing to that,
        // and may not be known here where an answer was lost.
        let committer = member.map(|member| Committer { member, generation: None });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = committer;
    }

    fn get(&self) -> Option<Committer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Clerk {
    pub(super) async fn run(mut self) {
        while let Some(Job { offsets, done }) = self.jobs.recv().await {
            let committed = if offsets.is_empty() {
                Ok(())
            } else {
                self.client.commit(&self.group, self.member.get().as_ref(), &offsets).await
            };
            if let Err(Err(error)) = done.send(committed) {
                tracing::warn!(group = self.group, %error, "offsets were not committed");
            }
        }
    }
}
