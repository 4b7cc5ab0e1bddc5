//! A coordinator of consumer groups on this node: its replica, and the clock that its leader is.
//!
//! Whatever a replica must agree on is a command; the leader alone decides when one is due, by its own
//! clock, and proposes it. A leader that was deposed meanwhile proposes in vain.

use super::leadership::{Leadership, Moment};
use crate::broker::Inner;
use crate::broker::route::Errand;
use crate::broker::wire::{Ask, Miss};
use crate::coordinator::{
    Answer, Applied, Command, Group as Members, GroupName, GroupsReader, Topics,
};
use crate::error::{Error, ErrorKind};
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use raft::{Acks, EntryKind, Group, Proposal, ReadRefused, Role};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Changes are looked at together that come within this time: it bounds what many small commits cost.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a command of the clock may take.
const CLOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Commands of the clock that are proposed at once.
const COMMANDS_AT_ONCE: usize = 16;
/// When something that could not be done is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The replica of one coordinator.
pub(in crate::broker) struct Coordinator {
    pub(super) group: Group,
    /// Its groups, as they are committed.
    pub(super) groups: GroupsReader,
    leadership: Mutex<Leadership>,
}

impl Coordinator {
    pub(in crate::broker) fn new(group: Group, groups: GroupsReader) -> Self {
        Self { group, groups, leadership: Mutex::default() }
    }

    /// A group's members now, or the error that says it is unknown.
    pub(super) fn members(&self, name: &GroupName) -> Result<Arc<Members>, Error> {
        self.groups.group(name)
    }

    /// The term this replica leads.
    fn term(&self) -> Option<u64> {
        match self.group.role() {
            Role::Leading { term } => Some(term.get()),
            Role::Following { .. } | Role::Electing { .. } | Role::Taking { .. } => None,
        }
    }

    /// What the leader of the term keeps.
    pub(super) fn leadership(&self, term: u64) -> MutexGuard<'_, Leadership> {
        let mut leadership = self.leadership.lock().unwrap_or_else(PoisonError::into_inner);
        leadership.enter(term);
        leadership
    }
}

/// The coordinators' time: milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Inner {
    /// The coordinator of the errand's group, if its replica here is open.
    pub(super) fn coordinator(&self, errand: &Errand) -> Result<Arc<Coordinator>, Miss> {
        let coordinators = self.coordinators.lock().unwrap_or_else(PoisonError::into_inner);
        coordinators.get(&errand.group).cloned().ok_or_else(Miss::nobody)
    }

    /// The term in which this node leads the coordinator, or word of who does.
    pub(super) fn leads(&self, coordinator: &Coordinator) -> Result<u64, Miss> {
        coordinator.term().ok_or_else(|| self.elsewhere(coordinator.group.leader()))
    }

    /// Confirms that this node leads the coordinator now, and knows all that was committed before.
    pub(super) async fn confirm(
        &self,
        errand: &Errand,
        coordinator: &Coordinator,
    ) -> Result<u64, Miss> {
        let term = self.leads(coordinator)?;
        match coordinator.group.linearize(errand.deadline).await {
            Ok(_) if coordinator.term() == Some(term) => Ok(term),
            Ok(_) | Err(ReadRefused::NotLeader { .. }) => {
                Err(self.elsewhere(coordinator.group.leader()))
            }
            Err(ReadRefused::TimedOut) => {
                let message = format!("{}: leadership could not be confirmed in time", errand.name);
                Err(Error::new(ErrorKind::ReadTimedOut, message).into())
            }
            Err(ReadRefused::Broken(why)) => Err(self.broken_here(errand, &why)),
        }
    }

    /// Proposes a command to the coordinator's group, and says what it did.
    pub(super) async fn decide(
        &self,
        errand: &Errand,
        coordinator: &Coordinator,
        command: &Command,
    ) -> Result<Applied, Miss> {
        let proposal = Proposal {
            kind: EntryKind::Command,
            payload: storage::codec::encode(command).into(),
            acks: Acks::Quorum,
            expected_end: None,
        };
        let outcome = coordinator.group.propose(proposal, errand.deadline).await;
        let appended = self.appended(errand, outcome)?;
        let answer: Answer = storage::codec::decode(&appended.answer).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("{}: its answer: {error}", errand.name))
        })?;
        answer.map_err(Miss::Failed)
    }

    /// Keeps the time of a coordinator while it is led from here. Runs as long as its replica.
    pub(in crate::broker) async fn keep_time(self: Arc<Self>, coordinator: Arc<Coordinator>) {
        let mut roles = coordinator.group.watch_role();
        let mut memberships = coordinator.groups.changes();
        let mut images = self.images.clone();
        let mut topics = Topics::default();
        loop {
            roles.borrow_and_update();
            memberships.borrow_and_update();
            let image = Arc::clone(&images.borrow_and_update());
            let mut wake = None;
            if let Some(term) = coordinator.term() {
                if topics.revision != image.revision() {
                    topics = Topics::of(&image);
                }
                wake = self.tick(&coordinator, term, &topics).await;
            }
            let looked = Instant::now();
            tokio::select! {
                changed = roles.changed() => if changed.is_err() { return },
                changed = memberships.changed() => if changed.is_err() { return },
                changed = images.changed() => if changed.is_err() { return },
                () = sleep_until(wake.unwrap_or(looked)), if wake.is_some() => {}
            }
            sleep_until(looked + LOOK_AGAIN).await;
        }
    }

    /// Does what is due; says when to look again.
    async fn tick(&self, coordinator: &Coordinator, term: u64, topics: &Topics) -> Option<Instant> {
        let at = Moment { now: Instant::now(), ms: now_ms() };
        let due = coordinator.groups.look(|groups| {
            coordinator.leadership(term).due(groups, topics, at, self.rebalance_delay)
        });
        let group = coordinator.group.id();
        let errand = Errand {
            group,
            name: self.name_of(group),
            candidates: Vec::new(),
            ask: Ask::Status { groups: None },
            payload: None,
            deadline: at.now + CLOCK_PATIENCE,
        };
        let mut done = stream::iter(due.commands)
            .map(|command| {
                let errand = &errand;
                async move { self.decide(errand, coordinator, &command).await }
            })
            .buffer_unordered(COMMANDS_AT_ONCE);
        let mut all_done = true;
        while let Some(done) = done.next().await {
            if let Err(why) = done {
                tracing::debug!(%group, ?why, "a command of the clock was in vain");
                all_done = false;
            }
        }
        let retry = (!all_done).then(|| Instant::now() + RETRY_AFTER);
        due.next.into_iter().chain(retry).min()
    }
}
