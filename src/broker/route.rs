//! Finding the leader of a group and asking it: here if this node leads, else over there, one hop.
//!
//! | answer | a write | a write that may come twice | a read |
//! |---|---|---|---|
//! | a reply, or a definite error | the answer | the answer | the answer |
//! | not the leader, never sent | asked again elsewhere | asked again elsewhere | asked again elsewhere |
//! | sent, no answer; outcome unknown | never asked again | asked again; unknown if nobody ever answers | asked again elsewhere |
//!
//! Every target is asked once a round; between two rounds there is a pause, which ends early when the
//! local replica learns of a leader. The deadline bounds all of it.

use super::Inner;
use super::wire::{self, Ask, Miss, Repeat, Reply};
use crate::error::{Error, ErrorKind};
use bytes::Bytes;
use raft::{CallError, GroupId, NodeId};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
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
                match self.attempt(&errand, target).await {
                    Ok(answered) => return answered,
                    Err((vain, told)) => {
                        search.told = told;
                        search.note(vain, errand.ask.repeat());
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
            Ok(self.perform(errand).await)
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
                    && errand.ask.repeat() == Repeat::DoesOnce =>
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
            Err(CallError::Unanswered { to, why }) if errand.ask.repeat() == Repeat::Harms => {
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
        let deadline = match ask.repeat() {
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
