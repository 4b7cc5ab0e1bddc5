//! One proposal from its proposer to the log and back. What each ending means stands in `outcome`.

use crate::adapter::config::{Answer, Data, Types};
use crate::adapter::ticket::{Completion, Early, Held, Place, Ticket, Turn, Witness};
use crate::group::Inner;
use crate::{Acks, Appended, GroupHealth, NodeId, NotAppended, Outcome, Role};
use bytes::Bytes;
use futures::future::FutureExt;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::raft::ClientWriteResult;
use std::sync::Arc;
use std::time::Duration;
use storage::{EntryKind, Offset, Term, planted};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a proposal waits for room before it is told `Busy`.
const BUSY_AFTER: Duration = Duration::from_millis(100);
/// Between two tries while the leader's lease is stale (right after an election, or its disk stalled).
const LEASE_RETRY: Duration = Duration::from_millis(20);

/// Something to append.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// `Data` (one checked record batch), `Trim` (encoded by [`crate::Group::trim`]) or `Command`.
    pub kind: EntryKind,
    /// The payload.
    pub payload: Bytes,
    /// When it is answered.
    pub acks: Acks,
    /// Append only if the next record would get exactly this offset.
    pub expected_end: Option<Offset>,
}

/// The order that a proposal keeps among others of its floor.
pub struct Ordered {
    /// Append only in this term: what was known when the order was made holds no longer than that.
    pub term: Term,
    /// Hears of it. The next in the order may be proposed once this one is placed, not earlier: one
    /// that was only handed to openraft can still be refused, for a stale lease say, and another that
    /// came later taken.
    pub witness: Arc<dyn Witness>,
}

/// The bytes of proposals that openraft is not done with, over all groups of a node.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let permits = usize::try_from(bytes_max).expect("usize has at least 32 bits");
        Self { bytes: Arc::new(Semaphore::new(permits)), bytes_max }
    }

    /// Waits a little for room. A proposal larger than all of it takes all of it.
    async fn take(&self, len: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, Refused> {
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(self.bytes_max);
        let until = deadline.min(Instant::now() + BUSY_AFTER);
        match timeout_at(until, Arc::clone(&self.bytes).acquire_many_owned(len)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Refused(NotAppended::ShuttingDown)),
            Err(_elapsed) => Err(Refused(NotAppended::Busy)),
        }
    }
}

/// It is certainly not in the log.
struct Refused(NotAppended);

impl From<Refused> for Outcome {
    fn from(Refused(why): Refused) -> Self {
        Self::NotAppended(why)
    }
}

/// How openraft ended one try.
enum Ended {
    For(Outcome),
    /// The lease was stale; what the proposal held comes back for another try.
    LeaseStale(Held),
}

type Ending = (ClientWriteResult<Types>, Held);

/// Proposes; answers by `deadline`.
pub(crate) async fn propose(
    group: &Arc<Inner>,
    proposal: Proposal,
    ordered: Option<Ordered>,
    deadline: Instant,
) -> Outcome {
    let admitted = match admit(group, &proposal, deadline).await {
        Ok(admitted) => admitted,
        Err(refused) => return refused.into(),
    };
    let Admitted { term, bytes, turn } = admitted;
    let witness = match ordered {
        Some(ordered) if ordered.term != term => return not_leader(None).into(),
        Some(ordered) => Some(ordered.witness),
        None => None,
    };
    append(group, proposal, term, Held { bytes, turn, witness }, deadline).await
}

/// What a proposal has once nothing speaks against it.
struct Admitted {
    term: Term,
    bytes: OwnedSemaphorePermit,
    turn: Option<Turn>,
}

/// All that comes before the core has it: whatever ends it here is definite.
async fn admit(
    group: &Arc<Inner>,
    proposal: &Proposal,
    deadline: Instant,
) -> Result<Admitted, Refused> {
    if proposal.kind == EntryKind::Data {
        // A batch the log cannot number would stop the group on every replica.
        storage::batch::summary(&proposal.payload).expect("the doors check record batches");
    }
    leading(group, deadline).await?;
    let bytes = group.room.take(proposal.payload.len(), deadline).await?;
    let turn = match (proposal.kind, proposal.expected_end) {
        (_, Some(_)) => Some(alone(group, deadline).await?),
        (EntryKind::Data, None) => Some(shared(group, deadline).await?),
        (_, None) => None,
    };
    // The term before the end: what another leader appends after the comparison moves the term, and
    // the core then refuses the proposal.
    let term = leading(group, deadline).await?;
    if let Some(expected) = proposal.expected_end {
        ends_at(group, expected)?;
    }
    Ok(Admitted { term, bytes, turn })
}

/// The term this replica leads; waits while it is taking leadership.
pub(crate) async fn leading_term(
    group: &Arc<Inner>,
    deadline: Instant,
) -> Result<Term, NotAppended> {
    leading(group, deadline).await.map_err(|Refused(why)| why)
}

async fn leading(group: &Arc<Inner>, deadline: Instant) -> Result<Term, Refused> {
    if let GroupHealth::Broken(why) = group.health() {
        return Err(Refused(NotAppended::Broken(why)));
    }
    if group.closing.is_cancelled() {
        return Err(Refused(NotAppended::ShuttingDown));
    }
    let mut roles = group.role.subscribe();
    let settled = roles.wait_for(|role| !matches!(role, Role::Taking { .. }));
    let role = match timeout_at(deadline, settled).await {
        Ok(Ok(role)) => *role,
        Ok(Err(_)) => return Err(Refused(NotAppended::ShuttingDown)),
        Err(_elapsed) => return Err(not_leader(None)),
    };
    match role {
        Role::Leading { term } => Ok(term),
        Role::Following { leader, .. } => Err(not_leader(leader)),
        Role::Electing { .. } | Role::Taking { .. } => Err(not_leader(None)),
    }
}

fn not_leader(leader: Option<NodeId>) -> Refused {
    Refused(NotAppended::NotLeader { leader })
}

async fn shared(group: &Arc<Inner>, deadline: Instant) -> Result<Turn, Refused> {
    match timeout_at(deadline, Arc::clone(&group.turns).read_owned()).await {
        Ok(turn) => Ok(Turn::Shared(turn)),
        Err(_elapsed) => Err(Refused(NotAppended::Busy)),
    }
}

/// Waits until no data is on its way, so that the log's end is the end.
async fn alone(group: &Arc<Inner>, deadline: Instant) -> Result<Turn, Refused> {
    match timeout_at(deadline, Arc::clone(&group.turns).write_owned()).await {
        Ok(turn) => Ok(Turn::Alone(turn)),
        Err(_elapsed) => Err(Refused(NotAppended::Busy)),
    }
}

fn ends_at(group: &Inner, expected: Offset) -> Result<(), Refused> {
    let end = group.log.state().next_offset;
    if end == expected { Ok(()) } else { Err(Refused(NotAppended::Conflict { end })) }
}

/// Hands it to the core until it is taken or the deadline passes.
async fn append(
    group: &Arc<Inner>,
    proposal: Proposal,
    term: Term,
    mut held: Held,
    deadline: Instant,
) -> Outcome {
    loop {
        match attempt(group, &proposal, term, held, deadline).await {
            Ended::For(outcome) => return outcome,
            Ended::LeaseStale(back) => held = back,
        }
        // A beat that a majority answers renews it; at rest the next one may be far.
        drop(group.raft.trigger().heartbeat().now_or_never());
        if Instant::now() + LEASE_RETRY >= deadline {
            return not_leader(None).into();
        }
        sleep_until(Instant::now() + LEASE_RETRY).await;
    }
}

async fn attempt(
    group: &Arc<Inner>,
    proposal: &Proposal,
    term: Term,
    held: Held,
    deadline: Instant,
) -> Ended {
    let alone = planted!(AckOnLeaderAlone) && proposal.kind == EntryKind::Data;
    let acks = if alone { Acks::Leader } else { proposal.acks };
    let (ticket, heard) = match acks {
        Acks::Quorum => (Ticket::new(), None),
        Acks::Leader => with_some(Ticket::early(Early::Flushed)),
        Acks::None => with_some(Ticket::early(Early::Appended)),
    };
    let ticket = Arc::new(ticket.with_witness(held.witness.clone()));
    let (completion, ended) = Completion::new(held);
    let data = Data {
        kind: proposal.kind,
        payload: proposal.payload.clone(),
        placed: None,
        ticket: Some(Arc::clone(&ticket)),
    };
    let write = group.raft.write(data).with_leader(term.get()).responder(completion);
    match timeout_at(deadline, write.into_future()).await {
        Ok(Ok(())) => {}
        Ok(Err(_fatal)) => return Ended::For(group.stopped().into_outcome()),
        // Its queue was full all the time: the core never saw it.
        Err(_elapsed) => return Ended::For(Outcome::NotAppended(NotAppended::Busy)),
    }
    let deadline_passed = sleep_until(deadline);
    tokio::select! {
        biased;
        ended = ended => ending(group, ended, &ticket),
        place = early(heard) => Ended::For(Outcome::Appended(appended(place, Vec::new()))),
        () = deadline_passed => Ended::For(match ticket.placed() {
            Some(place) if planted!(AckTruncated) => Outcome::Appended(appended(place, Vec::new())),
            _ => Outcome::Unknown("the deadline passed".into()),
        }),
    }
}

fn with_some<A, B>((first, second): (A, B)) -> (A, Option<B>) {
    (first, Some(second))
}

/// The early place; never, if it was not asked for or the ticket is gone (then `ended` says why).
async fn early(heard: Option<oneshot::Receiver<Place>>) -> Place {
    match heard {
        Some(heard) => match heard.await {
            Ok(place) => place,
            Err(_gone) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

fn appended(place: Place, answer: Vec<u8>) -> Appended {
    Appended { position: place.position, base_offset: place.base_offset, answer }
}

/// What openraft's ending, and the ticket, say together.
fn ending(
    group: &Arc<Inner>,
    ended: Result<Ending, oneshot::error::RecvError>,
    ticket: &Ticket,
) -> Ended {
    let outcome = match ended {
        Ok((Ok(written), _)) => {
            let position = crate::adapter::config::position(&written.log_id);
            let Answer { base_offset, answer } = written.data;
            Outcome::Appended(appended(Place { position, base_offset }, answer))
        }
        // openraft says this of a proposal without an index only. Were it ever to say it of one that
        // the log has seen, neither "not appended" nor a second try would be right.
        Ok((Err(ClientWriteError::ForwardToLeader(forward)), held)) if !ticket.handed() => {
            return refused(&forward, held);
        }
        Ok((Err(error), _)) => match ticket.placed() {
            Some(place) if planted!(AckTruncated) => Outcome::Appended(appended(place, Vec::new())),
            _ => Outcome::Unknown(error.to_string()),
        },
        Err(_dropped) if ticket.handed() => {
            Outcome::Unknown("the group stopped before it was committed".into())
        }
        Err(_dropped) => group.stopped().into_outcome(),
    };
    Ended::For(outcome)
}

/// Refused before it got an index.
fn refused(forward: &ForwardToLeader<Types>, held: Held) -> Ended {
    match forward.reason {
        ForwardReason::LeaseExpired => Ended::LeaseStale(held),
        ForwardReason::NotLeader | ForwardReason::LeadershipTransfer => {
            Ended::For(not_leader(forward.leader_id.map(NodeId)).into())
        }
    }
}

impl NotAppended {
    fn into_outcome(self) -> Outcome {
        Outcome::NotAppended(self)
    }
}
