//! Finding the leader of a group and asking it: here if this node leads, else over there, one hop.
//!
//! | answer | a write | a write that may come twice | a read |
//! |---|---|---|---|
//! | a reply, or a definite error | the answer | the answer | the answer |
//! | not the leader, never sent | asked again elsewhere | asked again elsewhere | asked again elsewhere |
//! | sent, no answer; outcome unknown | never asked again | asked again; unknown if nobody ever answers | asked again elsewhere |
//!
//! An idempotent producer's batch may come twice: who has it already says where it is. So the answer is
//! exact once there is one: a reply, or a gap before the batch (there were none, had it been appended).
//! Another error is about this copy and not about the one before: if it can pass it is waited for, else
//! the outcome stays unknown.
//!
//! Every target is asked once a round; between two rounds there is a pause, which ends early when the
//! local replica learns of a leader. The deadline bounds all of it.

use super::Inner;
use super::wire::{self, Ask, Miss, Repeat, Reply};
use crate::error::{Due, Error, ErrorKind};
use bytes::Bytes;
use raft::{CallError, GroupId, NodeId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use storage::batch::Sequenced;
use storage::planted;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The pause after the first round in vain; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: how late a new leader can be noticed by polling.
const PAUSE_MAX: Duration = Duration::from_millis(160);
/// How long one broker may take to answer what may be asked again, beyond the wait asked for, before
/// another is asked.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// Groups whose leader is remembered though no replica is here; beyond it all are forgotten.
const HINTS_MAX: usize = 16 * 1024;

/// Who led, of groups that have no replica here.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<BTreeMap<GroupId, NodeId>>);

impl Hints {
    fn get(&self, group: GroupId) -> Option<NodeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&group).copied()
    }

    fn note(&self, group: GroupId, leader: NodeId) {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hints.len() >= HINTS_MAX && !hints.contains_key(&group) {
            hints.clear();
        }
        hints.insert(group, leader);
    }

    fn forget(&self, group: GroupId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
    }
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// The group it is about.
    pub(super) group: GroupId,
    /// What the group is called in messages.
    pub(super) name: String,
    /// Who may lead it.
    pub(super) candidates: Vec<NodeId>,
    /// What is asked.
    pub(super) ask: Ask,
    /// The batch that goes with it.
    pub(super) payload: Option<Bytes>,
    /// Answered by then.
    pub(super) deadline: Instant,
}

impl Errand {
    /// The batch of an idempotent producer, if that is what is to be appended.
    fn sequenced(&self) -> Option<Sequenced> {
        self.payload.as_deref().and_then(Sequenced::of)
    }

    /// What asking again may do when no answer came.
    fn repeat(&self) -> Repeat {
        let may_repeat = self.sequenced().is_some() || planted!(RetryUnknown);
        if may_repeat { Repeat::DoesOnce } else { self.ask.repeat() }
    }

    /// The errand for one broker. It may not take all the time there is for a batch that another can be
    /// asked for: one that was cut off from the others would.
    fn for_one(&self) -> Cow<'_, Self> {
        let until = Instant::now() + READ_PATIENCE;
        if until < self.deadline && self.sequenced().is_some() {
            Cow::Owned(Self { deadline: until, ..self.clone() })
        } else {
            Cow::Borrowed(self)
        }
    }
}

/// What is known while looking for the leader.
#[derive(Debug, Default)]
struct Search {
    /// Asked in this round.
    asked: Vec<NodeId>,
    /// Who is said to lead, by the last one asked.
    told: Option<NodeId>,
    /// Rounds in vain.
    rounds: u32,
    /// The reason that says most.
    last: Option<Vain>,
    /// Why it is unknown what a write did that was asked again.
    doubt: Option<String>,
}

/// Why asking was in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Vain {
    /// Somebody else leads, or nobody.
    NotLeader,
    /// It could not be reached.
    NotSent(String),
    /// It was reached but did not answer.
    Unanswered(String),
}

impl Search {
    /// Whom to ask next in this round: who is said to lead, then the candidates in their order.
    fn next(&mut self, likely: &[Option<NodeId>], candidates: &[NodeId]) -> Option<NodeId> {
        let told = self.told.take();
        let order = std::iter::once(&told).chain(likely).flatten().chain(candidates);
        let next = order.copied().find(|node| !self.asked.contains(node))?;
        self.asked.push(next);
        Some(next)
    }

    /// Remembers why it was in vain. A replica that was reached and does not lead says more than one
    /// that was not reached.
    fn note(&mut self, vain: Vain, repeat: Repeat) {
        if let (Vain::Unanswered(why), Repeat::DoesOnce) = (&vain, repeat) {
            self.doubt = Some(why.clone());
        }
        let says_less = matches!(vain, Vain::NotSent(_)) && self.last == Some(Vain::NotLeader);
        if !says_less {
            self.last = Some(vain);
        }
    }

    /// Begins another round; gives the pause before it.
    fn round(&mut self) -> Duration {
        self.asked.clear();
        let pause = PAUSE_MIN.saturating_mul(1 << self.rounds.min(8)).min(PAUSE_MAX);
        self.rounds += 1;
        pause
    }

    /// What an answer says of everything that was asked; `None` to ask again.
    fn settle(
        &self,
        errand: &Errand,
        answer: Result<Reply, Error>,
    ) -> Option<Result<Reply, Error>> {
        let (Err(error), Some(doubt), Some(batch)) = (&answer, &self.doubt, errand.sequenced())
        else {
            return Some(answer);
        };
        let is_missing = match error.due {
            Some(Due::Sequence(due)) => batch.is_ahead_of(due),
            Some(Due::Epoch(_)) | None => false,
        };
        if is_missing {
            Some(answer)
        } else if error.row().retriable {
            None
        } else {
            let message = format!("{}: {doubt}; asked again: {}", errand.name, error.message);
            Some(Err(Error::new(ErrorKind::OutcomeUnknown, message)))
        }
    }

    /// The deadline passed: what is said then. Nothing was appended, unless there is doubt.
    fn failure(self, errand: &Errand) -> Error {
        let name = &errand.name;
        if let Some(why) = self.doubt {
            return Error::new(ErrorKind::OutcomeUnknown, format!("{name}: {why}"));
        }
        let (kind, why) = match self.last {
            _ if errand.group == crate::metadata::METADATA_GROUP => {
                (ErrorKind::NotReady, "the cluster has no metadata leader".to_owned())
            }
            None | Some(Vain::NotLeader) => (ErrorKind::NoLeader, format!("{name} has no leader")),
            Some(Vain::NotSent(why)) => (ErrorKind::BrokerUnavailable, format!("{name}: {why}")),
            Some(Vain::Unanswered(why)) => (ErrorKind::ReadTimedOut, format!("{name}: {why}")),
        };
        Error::new(kind, why).with_retry_after(PAUSE_MAX * 2)
    }
}

impl Inner {
    /// Asks the leader of the group, wherever it is.
    pub(super) async fn route(&self, errand: Errand) -> Result<Reply, Error> {
        let mut search = Search::default();
        loop {
            let likely = [self.local_leader(errand.group), self.hints.get(errand.group)];
            if let Some(target) = search.next(&likely, &errand.candidates) {
                match self.attempt(&errand.for_one(), target).await {
                    Ok(answer) => {
                        if let Some(settled) = search.settle(&errand, answer) {
                            return settled;
                        }
                    }
                    Err((vain, told)) => {
                        search.told = told;
                        search.note(vain, errand.repeat());
                        self.hints.forget(errand.group);
                    }
                }
            } else {
                let until = Instant::now() + search.round();
                if until >= errand.deadline {
                    return Err(search.failure(&errand));
                }
                self.pause(errand.group, until).await;
            }
            if Instant::now() >= errand.deadline {
                return Err(search.failure(&errand));
            }
        }
    }

    /// Asks one node; the error says that nothing was done, or that it does not matter.
    async fn attempt(
        &self,
        errand: &Errand,
        target: NodeId,
    ) -> Result<Result<Reply, Error>, (Vain, Option<NodeId>)> {
        let answer = if target == self.node.id() {
            // Boxed: whoever asks would carry the depth of all that can be asked.
            Ok(Box::pin(self.perform(errand)).await)
        } else {
            self.ask(target, errand).await
        };
        match answer {
            Ok(Ok(reply)) => {
                self.hints.note(errand.group, target);
                Ok(Ok(reply))
            }
            Ok(Err(Miss::Failed(error)))
                if error.kind == ErrorKind::OutcomeUnknown
                    && errand.repeat() == Repeat::DoesOnce =>
            {
                Err((Vain::Unanswered(error.message), None))
            }
            Ok(Err(Miss::Failed(error))) => Ok(Err(error)),
            Ok(Err(Miss::NotLeader { leader, address })) => {
                if let (Some(leader), Some(address)) = (leader, address)
                    && leader != self.node.id()
                {
                    self.node.set_peer(leader, &address);
                }
                Err((Vain::NotLeader, leader))
            }
            Err(CallError::NotSent { to, why }) => {
                Err((Vain::NotSent(format!("broker {to} cannot be reached: {why}")), None))
            }
            Err(CallError::Unanswered { to, why }) if errand.repeat() == Repeat::Harms => {
                let message = format!("{}: broker {to} gave no answer: {why}", errand.name);
                Ok(Err(Error::new(ErrorKind::OutcomeUnknown, message)))
            }
            Err(CallError::Unanswered { to, why }) => {
                Err((Vain::Unanswered(format!("broker {to} gave no answer: {why}")), None))
            }
        }
    }

    /// Asks another broker.
    pub(super) async fn ask(
        &self,
        to: NodeId,
        errand: &Errand,
    ) -> Result<Result<Reply, Miss>, CallError> {
        let Errand { group, ask, payload, deadline, .. } = errand;
        let now = Instant::now();
        let deadline = match errand.repeat() {
            Repeat::Harms => *deadline,
            Repeat::DoesOnce | Repeat::ChangesNothing => {
                (*deadline).min(now + ask.wait() + READ_PATIENCE)
            }
        };
        let body = wire::encode_ask(ask, deadline.saturating_duration_since(now), payload.clone());
        let answer = self.node.call(to, wire::CALL, *group, body, deadline).await?;
        wire::decode_answer(answer)
            .map_err(|error| CallError::Unanswered { to, why: format!("its answer: {error}") })
    }

    /// Who leads, as the replica here knows it.
    fn local_leader(&self, group: GroupId) -> Option<NodeId> {
        self.node.group(group)?.leader()
    }

    /// Waits until the replica here changes its role, or `until`.
    async fn pause(&self, group: GroupId, until: Instant) {
        match self.node.group(group) {
            Some(group) => {
                let mut roles = group.watch_role();
                // Time out, a role, or the group's end: each is a reason to look again.
                drop(timeout_at(until, roles.changed()).await);
            }
            None => sleep_until(until).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::Acks;
    use storage::batch::{BatchBuilder, Compression};

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    #[test]
    fn who_is_said_to_lead_is_asked_first_and_everyone_once_a_round() {
        let mut search = Search::default();
        let order: Vec<NodeId> =
            std::iter::from_fn(|| search.next(&[Some(B), None], &[A, B, C])).collect();
        assert_eq!(order, [B, A, C]);
        search.round();
        search.told = Some(C);
        assert_eq!(search.next(&[Some(B)], &[A, B, C]), Some(C));
    }

    #[test]
    fn who_was_asked_is_not_asked_again_because_others_name_him() {
        let mut search = Search::default();
        assert_eq!(search.next(&[], &[A, B]), Some(A));
        search.told = Some(A);
        assert_eq!(search.next(&[], &[A, B]), Some(B));
        search.told = Some(A);
        assert_eq!(search.next(&[], &[A, B]), None);
    }

    #[test]
    fn a_replica_that_does_not_lead_says_more_than_one_that_is_gone() {
        let gone = || Vain::NotSent("gone".to_owned());
        let mut search = Search::default();
        search.note(gone(), Repeat::Harms);
        assert_eq!(search.last, Some(gone()));
        search.note(Vain::NotLeader, Repeat::Harms);
        search.note(gone(), Repeat::Harms);
        assert_eq!(search.last, Some(Vain::NotLeader));
    }

    #[test]
    fn a_write_that_was_asked_again_and_never_answered_has_an_unknown_outcome() {
        for (repeat, kind) in [
            (Repeat::DoesOnce, ErrorKind::OutcomeUnknown),
            (Repeat::ChangesNothing, ErrorKind::NoLeader),
        ] {
            let mut search = Search::default();
            search.note(Vain::Unanswered("silence".to_owned()), repeat);
            search.note(Vain::NotLeader, repeat);
            let errand = Errand {
                group: GroupId::new(1),
                name: "t-0".into(),
                candidates: Vec::new(),
                ask: Ask::Status { groups: None },
                payload: None,
                deadline: Instant::now(),
            };
            assert_eq!(search.failure(&errand).kind, kind);
        }
    }

    fn errand(first: i32) -> Errand {
        let mut builder = BatchBuilder::new().producer(7, 0, first);
        builder.push(0, None, Some(b"x"), []);
        Errand {
            group: GroupId::new(3),
            name: "t-0".to_owned(),
            candidates: vec![A, B],
            ask: Ask::Produce { acks: Acks::Quorum, expected_end: None },
            payload: Some(builder.finish(Compression::None).into_bytes()),
            deadline: Instant::now() + Duration::from_mins(1),
        }
    }

    #[test]
    fn of_a_batch_in_doubt_only_what_is_true_of_every_copy_is_told() {
        let due = |due| Error::new(ErrorKind::OutOfOrderSequence, "").with_due(Due::Sequence(due));
        let fenced = Error::new(ErrorKind::ProducerFenced, "").with_due(Due::Epoch(4));
        let busy = Error::new(ErrorKind::Busy, "");
        let errand = errand(5);
        let settled = |search: &Search, error: &Error| {
            let settled = search.settle(&errand, Err(error.clone()));
            settled.map(|settled| settled.unwrap_err().kind)
        };
        let mut search = Search::default();
        for error in [&due(3), &due(9), &fenced, &busy] {
            assert_eq!(settled(&search, error), Some(error.kind));
        }
        search.note(Vain::Unanswered("lost".to_owned()), errand.repeat());
        assert_eq!(settled(&search, &due(3)), Some(ErrorKind::OutOfOrderSequence));
        assert_eq!(settled(&search, &due(9)), Some(ErrorKind::OutcomeUnknown));
        assert_eq!(settled(&search, &fenced), Some(ErrorKind::OutcomeUnknown));
        assert_eq!(settled(&search, &busy), None);
        assert!(matches!(search.settle(&errand, Ok(Reply::Settled)), Some(Ok(_))));
        assert_eq!(search.failure(&errand).kind, ErrorKind::OutcomeUnknown);
    }

    #[test]
    fn what_can_be_asked_for_again_takes_no_broker_all_its_time() {
        let batch = errand(0);
        assert!(batch.for_one().deadline < batch.deadline);
        assert_eq!(batch.repeat(), Repeat::DoesOnce);
        let plain = Errand { payload: None, ..batch };
        assert_eq!(plain.for_one().deadline, plain.deadline);
        assert_eq!(plain.repeat(), Repeat::Harms);
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let mut search = Search::default();
        let pauses: Vec<u128> = (0..7).map(|_| search.round().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 160, 160]);
    }

    #[test]
    fn hints_are_bounded() {
        let hints = Hints::default();
        for group in 0..=u64::try_from(HINTS_MAX).unwrap() {
            hints.note(GroupId::new(group), A);
        }
        assert!(hints.0.lock().unwrap().len() <= HINTS_MAX);
        assert_eq!(hints.get(GroupId::new(u64::try_from(HINTS_MAX).unwrap())), Some(A));
    }
}
