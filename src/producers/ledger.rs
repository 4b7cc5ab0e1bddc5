//! Who may append next: the table, and what this leader has proposed and not yet committed.
//!
//! A batch is *claimed* before it is proposed, *placed* when our log has it, *applied* when it is
//! committed (then the table has it), or *released* if it certainly never enters the log.
//!
//! ```text
//!   claim ──► claimed ──► placed ──► applied: in the table
//!                │           └────── the term is over: dropped, the table of the next one knows
//!                └─► released: the next one may come
//! ```
//!
//! Why there is never a second copy. A claim is given in a term that this replica leads, ready to serve:
//! its own blank is applied, so whatever stands in its log from before the term is in the table. Whatever
//! it adds in the term with a producer was claimed, and stays claimed until it is in the table or is
//! known never to be in the log: openraft was done with it and our log was never given it. A proposer
//! that was dropped or whose deadline passed changes nothing of this, since the claim does not hang on
//! the proposer but on the proposal ([`raft::Witness`]). And the proposal says its term: when another
//! leader wrote between the claim and the append, openraft refuses it.
//!
//! Why there is never a hole, nor another order. The next batch is claimed only once the one before it
//! is placed, so it is given to the log after it, in the same term; a leader never cuts its own log in its
//! own term, and whoever commits an entry commits all before it. One that openraft could still refuse (for
//! a stale lease) is not placed, and its successors wait.
//!
//! No lock is held over an await, and none is taken for a batch without a producer.

use super::table::{Stored, Table, Verdict};
use super::{ProducerId, Refusal};
use raft::{Offset, Position, Term, Witness};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::batch::Sequenced;
use storage::planted;
use tokio::sync::oneshot;

/// The producers of a partition, shared by its state machine and by who appends to it.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    table: Table,
    /// The newest term that is known, and in which `pending` was claimed.
    term: Term,
    pending: BTreeMap<ProducerId, Pending>,
    /// Names claims.
    claims: u64,
}

/// What is on its way of one producer, and who waits for it.
#[derive(Default)]
struct Pending {
    /// In the order of the log; all but the last are placed.
    in_flight: VecDeque<InFlight>,
    /// Woken, all at once, by being dropped.
    waiting: Vec<oneshot::Sender<()>>,
}

struct InFlight {
    claim: u64,
    batch: Sequenced,
    placed: bool,
}

/// What came of a try to claim.
pub enum Claimed {
    /// To be proposed now, with this witness.
    Mine(Arc<Claim>),
    /// Committed before, at this offset.
    Duplicate(Offset),
    /// The same batch is on its way: its fate is ours.
    Twin(Change),
    /// The batch before it is not placed yet.
    After(Change),
    /// What should come before it is missing; perhaps it comes yet. It is what it is refused for if not;
    /// a producer that nothing is known of may begin anywhere.
    Early(Change),
    /// Never to be appended, as things stand.
    Refused(Refusal),
    /// The term is over.
    Deposed,
}

/// Whether a batch that comes too early waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It does.
    Left,
    /// It has waited.
    Over,
}

impl Ledger {
    /// Tries to claim the place of a batch, in a term that this replica leads, ready to serve.
    pub fn claim(self: &Arc<Self>, term: Term, batch: &Sequenced, patience: Patience) -> Claimed {
        let Some(id) = ProducerId::new(batch.producer_id) else { return Claimed::Deposed };
        let mut inner = self.lock();
        if term < inner.term {
            return Claimed::Deposed;
        }
        if term > inner.term {
            inner.begin(term);
        }
        let in_flight = inner.pending.get(&id).map(|pending| &pending.in_flight);
        if in_flight.is_some_and(|all| all.iter().any(|one| one.batch == *batch)) {
            return Claimed::Twin(inner.wait(self, id));
        }
        let before = in_flight.and_then(VecDeque::back);
        let verdict = inner.table.judge(batch, before.map(|before| &before.batch));
        let is_new = before.is_none() && !inner.table.knows(id);
        let is_placed = before.is_none_or(|before| before.placed);
        match (verdict, patience) {
            (Verdict::Duplicate(base_offset), _) => Claimed::Duplicate(base_offset),
            (Verdict::Refused(Refusal::Gap { .. }), Patience::Left) => {
                Claimed::Early(inner.wait(self, id))
            }
            (Verdict::Refused(why), _) => Claimed::Refused(why),
            (Verdict::Next, Patience::Left) if is_new && batch.first != 0 => {
                Claimed::Early(inner.wait(self, id))
            }
            (Verdict::Next, _) if !is_placed => Claimed::After(inner.wait(self, id)),
            (Verdict::Next, _) => {
                inner.claims += 1;
                let number = inner.claims;
                let one = InFlight { claim: number, batch: *batch, placed: false };
                inner.pending.entry(id).or_default().in_flight.push_back(one);
                let ledger = Arc::clone(self);
                Claimed::Mine(Arc::new(Claim {
                    ledger,
                    id,
                    number,
                    handed: AtomicBool::new(false),
                }))
            }
        }
    }

    /// A batch was committed.
    pub fn applied(&self, at: Position, batch: &Sequenced, base_offset: Offset) {
        let mut inner = self.lock();
        if at.term > inner.term {
            inner.begin(at.term);
        }
        inner.table.apply(batch, base_offset);
        if let Some(id) = ProducerId::new(batch.producer_id) {
            inner.change(id, |pending| pending.in_flight.retain(|one| one.batch != *batch));
        }
    }

    /// The table as it is stored.
    pub fn stored(&self) -> Stored {
        self.lock().table.stored()
    }

    /// Replaces the table; what was on its way is of no term that this replica leads.
    pub fn restore(&self, table: Table) {
        let mut inner = self.lock();
        inner.table = table;
        inner.pending.clear();
    }

    fn placed(&self, id: ProducerId, claim: u64) {
        self.lock().change(id, |pending| {
            if let Some(one) = pending.in_flight.iter_mut().find(|one| one.claim == claim) {
                one.placed = true;
            }
        });
    }

    fn released(&self, id: ProducerId, claim: u64) {
        self.lock().change(id, |pending| pending.in_flight.retain(|one| one.claim != claim));
    }

    /// Forgets who no longer waits.
    fn tidy(&self, id: ProducerId) {
        let mut inner = self.lock();
        let Some(pending) = inner.pending.get_mut(&id) else { return };
        pending.waiting.retain(|waiting| !waiting.is_closed());
        if pending.waiting.is_empty() && pending.in_flight.is_empty() {
            inner.pending.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A term begins: what was proposed in one before is in the log by now, or never will be.
    fn begin(&mut self, term: Term) {
        self.term = term;
        self.pending.clear();
        if planted!(ForgetProducers) {
            self.table = Table::default();
        }
    }

    fn wait(&mut self, ledger: &Arc<Ledger>, id: ProducerId) -> Change {
        let (changed, heard) = oneshot::channel();
        self.pending.entry(id).or_default().waiting.push(changed);
        Change { ledger: Arc::clone(ledger), id, heard }
    }

    /// Changes what is on its way of a producer, and wakes who waits for that.
    fn change(&mut self, id: ProducerId, change: impl FnOnce(&mut Pending)) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        change(pending);
        pending.waiting.clear();
        if pending.in_flight.is_empty() {
            self.pending.remove(&id);
        }
    }
}

/// The place of a batch among its producer's, from the claim to the end of its proposal.
pub struct Claim {
    ledger: Arc<Ledger>,
    id: ProducerId,
    number: u64,
    handed: AtomicBool,
}

impl Witness for Claim {
    fn handed(&self) {
        self.handed.store(true, Ordering::Release);
    }

    fn placed(&self, _base_offset: Offset) {
        self.ledger.placed(self.id, self.number);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Handed, it stays claimed until it is applied, or until the term is over: that our log was given
        // it and openraft is done with it does not say that nobody commits it.
        if !*self.handed.get_mut() {
            self.ledger.released(self.id, self.number);
        }
    }
}

/// Comes when something of the producer changed: claim again.
pub struct Change {
    ledger: Arc<Ledger>,
    id: ProducerId,
    heard: oneshot::Receiver<()>,
}

impl Change {
    /// Waits for it.
    pub async fn heard(&mut self) {
        // Whoever tells of a change does so by dropping the other end.
        drop((&mut self.heard).await);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.heard.close();
        self.ledger.tidy(self.id);
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
