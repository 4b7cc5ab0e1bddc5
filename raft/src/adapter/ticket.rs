//! What became of one proposal, told by the log itself.
//!
//! openraft says how a proposal ended, but not always whether it entered the log: when the core stops,
//! its responders are simply dropped. So every proposal carries a ticket that the log store marks. The
//! ticket is marked *before* the log is called: `handed` may be too early, never too late.
//!
//! | the responder | ticket | the proposal |
//! |---|---|---|
//! | answers `ForwardToLeader` | – | refused before it got an index: never in the log |
//! | answers `LogEntryDiscarded` | handed | may be committed by another leader: unknown |
//! | is dropped (the core stopped) | not handed | the core can no longer append it: never in the log |
//! | is dropped (the core stopped) | handed | in our log, perhaps on a majority: unknown |
//! | says nothing until the deadline | either | unknown: a proposal in the core's queue cannot be called back |

use openraft::OptionalSend;
use openraft::raft::responder::Responder;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::{Offset, Position};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, oneshot};

/// When the proposer wants to hear, besides at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    /// As soon as the log has it.
    Appended,
    /// As soon as this node's disk has it, by the log's policy.
    Flushed,
}

/// Where the log put a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) base_offset: Offset,
}

/// Who is told what becomes of a proposal, also after its proposer has stopped waiting. It is dropped
/// when openraft is done with the proposal: if it was not handed by then, it never will be.
pub trait Witness: Send + Sync + 'static {
    /// The log is about to take it: from now on it may be there.
    fn handed(&self);
    /// The log has it, here, and its first record at this offset. What is proposed from now on in the
    /// same term comes after it.
    fn placed(&self, base_offset: Offset);
}

#[derive(Debug, Default)]
struct Progress {
    place: Option<Place>,
    flushed: bool,
    waiter: Option<(Early, oneshot::Sender<Place>)>,
}

impl Progress {
    fn tell(&mut self) {
        let Some(place) = self.place else { return };
        let due = match self.waiter {
            Some((Early::Appended, _)) => true,
            Some((Early::Flushed, _)) => self.flushed,
            None => false,
        };
        if due && let Some((_, waiter)) = self.waiter.take() {
            // A proposer that gave up no longer listens.
            waiter.send(place).ok();
        }
    }
}

/// Travels with a proposal from the proposer to the log store.
#[derive(Default)]
pub(crate) struct Ticket {
    handed: AtomicBool,
    progress: Mutex<Progress>,
    witness: Option<Arc<dyn Witness>>,
}

impl Ticket {
    /// A ticket whose proposer waits for the commit alone.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A ticket whose proposer hears early.
    pub(crate) fn early(when: Early) -> (Self, oneshot::Receiver<Place>) {
        let (waiter, heard) = oneshot::channel();
        let progress = Progress { waiter: Some((when, waiter)), ..Progress::default() };
        (Self { progress: Mutex::new(progress), ..Self::default() }, heard)
    }

    /// With someone else who hears of it.
    pub(crate) fn with_witness(mut self, witness: Option<Arc<dyn Witness>>) -> Self {
        self.witness = witness;
        self
    }

    /// The log store is about to append it.
    pub(crate) fn hand(&self) {
        self.handed.store(true, Ordering::Release);
        if let Some(witness) = &self.witness {
            witness.handed();
        }
    }

    /// Whether the log may have it.
    pub(crate) fn handed(&self) -> bool {
        self.handed.load(Ordering::Acquire)
    }

    /// The log has it, here.
    pub(crate) fn place(&self, place: Place) {
        if let Some(witness) = &self.witness {
            witness.placed(place.base_offset);
        }
        self.with(|progress| progress.place = Some(place));
    }

    /// Where the log has it, here, if it was placed.
    pub(crate) fn placed(&self) -> Option<Place> {
        self.progress.lock().expect("no one panics with a ticket in hand").place
    }

    /// This node's disk has it. May come before [`Ticket::place`]: the commit thread is fast.
    pub(crate) fn flush(&self) {
        self.with(|progress| progress.flushed = true);
    }

    fn with(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().expect("no one panics with a ticket in hand");
        change(&mut progress);
        progress.tell();
    }
}

/// The right to append data to a group, by itself or among others.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop alone")]
pub(crate) enum Turn {
    /// Others may append at the same time.
    Shared(OwnedRwLockReadGuard<()>),
    /// Nothing else is on its way: the end of the log stays where it is.
    Alone(OwnedRwLockWriteGuard<()>),
}

/// What a proposal holds until openraft is done with it, even if its proposer gave up earlier: an
/// abandoned proposal may still move the end of the log, and its bytes are still in memory.
#[expect(dead_code, reason = "held for their drop alone")]
pub(crate) struct Held {
    pub(crate) bytes: OwnedSemaphorePermit,
    pub(crate) turn: Option<Turn>,
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

/// Tells a proposer how openraft ended it, and gives back what it held.
pub(crate) struct Completion<T> {
    ended: oneshot::Sender<(T, Held)>,
    held: Held,
}

impl<T> Completion<T> {
    pub(crate) fn new(held: Held) -> (Self, oneshot::Receiver<(T, Held)>) {
        let (ended, hears) = oneshot::channel();
        (Self { ended, held }, hears)
    }
}

impl<T: OptionalSend + 'static> Responder<crate::adapter::config::Types, T> for Completion<T> {
    fn on_complete(self, result: T) {
        // A proposer that gave up no longer listens; what it held is dropped with the message.
        drop(self.ended.send((result, self.held)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Index, Term};

    const PLACE: Place = Place {
        position: Position::new(Term::new(3), Index::new(7)),
        base_offset: Offset::new(40),
    };

    #[test]
    fn a_new_ticket_is_not_handed() {
        let ticket = Ticket::new();
        assert!(!ticket.handed());
        ticket.hand();
        assert!(ticket.handed());
    }

    #[test]
    fn an_early_proposer_hears_when_the_log_has_it() {
        let (ticket, mut heard) = Ticket::early(Early::Appended);
        ticket.hand();
        assert!(heard.try_recv().is_err());
        ticket.place(PLACE);
        assert_eq!(heard.try_recv(), Ok(PLACE));
    }

    #[test]
    fn a_flush_before_the_place_is_not_lost() {
        let (ticket, mut heard) = Ticket::early(Early::Flushed);
        ticket.flush();
        assert!(heard.try_recv().is_err());
        ticket.place(PLACE);
        assert_eq!(heard.try_recv(), Ok(PLACE));
    }

    #[test]
    fn a_place_without_a_flush_is_not_enough_for_a_flushed_answer() {
        let (ticket, mut heard) = Ticket::early(Early::Flushed);
        ticket.place(PLACE);
        assert!(heard.try_recv().is_err());
        ticket.flush();
        assert_eq!(heard.try_recv(), Ok(PLACE));
    }
}
