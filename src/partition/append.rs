//! The way of a batch into the partition's log.
//!
//! A batch without a producer goes straight to the log, past any lock of ours. One with a producer is claimed first, see
//! [`crate::producers::Ledger`]; what it waits for meanwhile:
//!
//! | claim | waits for | and at the deadline | and when leadership is lost |
//! |---|---|---|---|
//! | twin: the same batch is on its way | its fate, which is ours | unknown | unknown |
//! | after: the one before is not placed | its place | not appended | not appended |
//! | early: the one before is missing | its coming, [`GAP_PATIENCE`] | refused | not appended |
//!
//! A refusal is definite, so it is given only by a replica that has confirmed that it leads: one that
//! was deposed without knowing may lack what the new leader's log has.

use super::Partition;
use crate::producers::{Change, Claimed, Ledger, Patience, Refusal};
use raft::{Acks, EntryKind, NotAppended, Offset, Ordered, Outcome, Proposal, ReadRefused, Term};
use std::sync::Arc;
use std::time::Duration;
use storage::batch::{RecordBatch, Sequenced};
use tokio::time::{Instant, sleep_until};

/// How long a batch waits for those before it. Requests of one producer come over several connections and
/// may overtake each other; they are then this far apart, not more.
const GAP_PATIENCE: Duration = Duration::from_millis(250);

/// A batch to append.
#[derive(Debug, Clone)]
pub struct Append {
    /// It.
    pub batch: RecordBatch,
    /// When it is answered.
    pub acks: Acks,
    /// Only if the next record would get this offset.
    pub expected_end: Option<Offset>,
    /// By when.
    pub deadline: Instant,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// As the log says.
    Outcome(Outcome),
    /// Its producer had it appended before: it is committed.
    Duplicate {
        /// The offset of its first record, from back then.
        base_offset: Offset,
        /// The term in which that was found.
        term: Term,
    },
    /// Its producer's sequence does not allow it: not appended.
    Refused(Refusal),
}

impl From<NotAppended> for Receipt {
    fn from(why: NotAppended) -> Self {
        Self::Outcome(Outcome::NotAppended(why))
    }
}

impl Partition {
    /// Appends a batch without a producer.
    pub async fn append(&self, append: Append) -> Outcome {
        let deadline = append.deadline;
        self.group.propose(proposal(append), deadline).await
    }

    /// Appends a batch of an idempotent producer, at most once, and in its order; `producers` are those
    /// of this partition's machine.
    pub async fn append_once(
        &self,
        append: Append,
        batch: Sequenced,
        producers: &Arc<Ledger>,
    ) -> Receipt {
        let deadline = append.deadline;
        let mut roles = self.group.watch_role();
        let patient_until = deadline.min(Instant::now() + GAP_PATIENCE);
        let mut patience = Patience::Left;
        let mut confirmed = None;
        let mut twin = false;
        loop {
            roles.borrow_and_update();
            let term = match self.group.leading(deadline).await {
                Ok(term) => term,
                Err(_) if twin => return lost_twin(),
                Err(why) => return why.into(),
            };
            let claimed = producers.claim(term, &batch, patience);
            // Once the twin is released, or committed, or its term over and ours exact, it is none.
            twin = match claimed {
                Claimed::Twin(_) => true,
                Claimed::Deposed => twin,
                Claimed::Mine(_)
                | Claimed::Duplicate(_)
                | Claimed::After(_)
                | Claimed::Early(_)
                | Claimed::Refused(_) => false,
            };
            let (mut change, until) = match claimed {
                Claimed::Mine(witness) => {
                    let ordered = Ordered { term, witness };
                    let proposed = self.group.propose_ordered(proposal(append), ordered, deadline);
                    return Receipt::Outcome(proposed.await);
                }
                Claimed::Duplicate(base_offset) => return Receipt::Duplicate { base_offset, term },
                Claimed::Refused(why) if confirmed == Some(term) => return Receipt::Refused(why),
                Claimed::Refused(_) => {
                    if let Err(why) = self.confirm(deadline).await {
                        return why;
                    }
                    confirmed = Some(term);
                    continue;
                }
                Claimed::Deposed if twin => return lost_twin(),
                Claimed::Deposed => return NotAppended::NotLeader { leader: None }.into(),
                Claimed::Twin(change) | Claimed::After(change) => (change, deadline),
                Claimed::Early(change) => (change, patient_until),
            };
            tokio::select! {
                () = change.heard() => {}
                // Failing to hear of roles means that the group is closing: `leading` says so.
                _ = roles.changed() => {}
                () = sleep_until(until) => {
                    patience = Patience::Over;
                    if Instant::now() >= deadline {
                        return late(twin);
                    }
                }
            }
            drop::<Change>(change);
        }
    }

    /// Makes sure that no other replica leads that may know more.
    async fn confirm(&self, deadline: Instant) -> Result<(), Receipt> {
        let Err(refused) = self.group.linearize(deadline).await else { return Ok(()) };
        Err(match refused {
            ReadRefused::NotLeader { leader } => NotAppended::NotLeader { leader },
            ReadRefused::TimedOut => NotAppended::NotLeader { leader: None },
            ReadRefused::Broken(why) => NotAppended::Broken(why),
        }
        .into())
    }
}

fn proposal(append: Append) -> Proposal {
    let Append { batch, acks, expected_end, .. } = append;
    Proposal { kind: EntryKind::Data, payload: batch.into_bytes(), acks, expected_end }
}

/// The deadline passed in waiting.
fn late(twin: bool) -> Receipt {
    if twin {
        let why = "the deadline passed; the same batch came before and is not committed yet";
        return Receipt::Outcome(Outcome::Unknown(why.into()));
    }
    NotAppended::NotLeader { leader: None }.into()
}

/// This copy is not in the log, but another may be.
fn lost_twin() -> Receipt {
    let why = "leadership was lost before the same batch, which came before, was committed";
    Receipt::Outcome(Outcome::Unknown(why.into()))
}
