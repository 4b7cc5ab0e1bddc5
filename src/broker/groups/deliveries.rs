//! What a member that is read for has been given: volatile, at the coordinator's leader. When that one
//! dies reading goes on at the committed offsets, so a record is given at least once.
//!
//! ```text
//!   received ≤ given (the last delivery's begin) ≤ position     per partition
//!   ────────┬──────────────────┬─────────────────┬────────►
//!   commit what is here        may be lost       comes next
//! ```
//!
//! | the next poll says it has received | the last delivery |
//! |---|---|
//! | nothing in particular | counts as received |
//! | its number | was received |
//! | another number | was lost on the way: its records are given again |
//!
//! Only the newest poll of a member gives something: each has a ticket, and a delivery for an older one
//! is refused. Numbers hold the term of the leader that gave them, so those of two leaders never meet.

use crate::coordinator::{Partitions, TopicPartition};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many deliveries a leader numbers before it would reach the next term's: one a microsecond for
/// an hour. JavaScript's numbers are exact up to 2^53, which leaves two million terms.
const PER_TERM: u64 = 1 << 32;

/// One member's deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deliveries {
    /// The next offset to give; absent where it is not known yet where to begin.
    positions: BTreeMap<TopicPartition, u64>,
    /// The number of the last delivery.
    number: u64,
    /// Where the last delivery began in each partition that it moved; empty once it was received.
    given: BTreeMap<TopicPartition, u64>,
    /// What was received, and may be committed for the member.
    received: BTreeMap<TopicPartition, u64>,
    /// The newest poll.
    ticket: u64,
    /// The ticket that the last delivery was for.
    delivered: u64,
    /// Whether the member says which deliveries it has received.
    says: bool,
}

/// What one poll may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Draw {
    /// Names the poll.
    pub(super) ticket: u64,
    /// The number of the delivery before.
    pub(super) number: u64,
    /// Where to read each partition; `None` where it is not known where to begin.
    pub(super) positions: Vec<(TopicPartition, Option<u64>)>,
}

/// How far one partition is moved by a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) struct Move {
    /// The partition.
    pub(super) at: TopicPartition,
    /// Where the draw said it was.
    pub(super) before: Option<u64>,
    /// Where reading began: `before`, or what was found where that could not be read.
    pub(super) from: u64,
    /// Up to where its records are in the delivery.
    pub(super) next: u64,
}

/// Why nothing was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::broker) enum Denied {
    /// The member polled again meanwhile, or went elsewhere.
    Overtaken,
    /// What was read is not the member's own any more.
    Revoked,
}

impl Deliveries {
    /// A member that was given nothing by the leader of `term`.
    pub(super) fn new(term: u64) -> Self {
        let first = term.saturating_mul(PER_TERM);
        Self {
            positions: BTreeMap::new(),
            number: first,
            given: BTreeMap::new(),
            received: BTreeMap::new(),
            ticket: first,
            delivered: first,
            says: false,
        }
    }

    /// Hears which delivery the member has received, if it says so; whether there was one to hear of.
    pub(super) fn hear(&mut self, received: Option<u64>) -> bool {
        let is_news = !self.given.is_empty();
        self.says = received.is_some();
        let lost = received.is_some_and(|number| number != self.number);
        for (at, from) in std::mem::take(&mut self.given) {
            if lost {
                self.positions.insert(at, from);
            } else if let Some(next) = self.positions.get(&at) {
                self.received.insert(at, *next);
            }
        }
        is_news
    }

    /// The member goes: the last delivery counts as received, unless it would have said so.
    pub(super) fn part(&mut self) {
        if !self.says {
            self.hear(None);
        }
    }

    /// What may be committed for the member: it has received everything before these offsets.
    pub(super) fn received(&self) -> &BTreeMap<TopicPartition, u64> {
        &self.received
    }

    /// These are committed.
    pub(super) fn committed(&mut self, offsets: &BTreeMap<TopicPartition, u64>) {
        self.received.retain(|at, next| offsets.get(at) != Some(next));
    }

    /// Forgets what is not the member's own.
    pub(super) fn keep(&mut self, owned: &Partitions) {
        self.positions.retain(|at, _| owned.contains(at));
        self.given.retain(|at, _| owned.contains(at));
        self.received.retain(|at, _| owned.contains(at));
    }

    /// Begins a poll of everything that is `owned`; older polls give nothing from now on.
    pub(super) fn draw(
        &mut self,
        owned: &Partitions,
        committed: impl Fn(&TopicPartition) -> Option<u64>,
    ) -> Draw {
        self.keep(owned);
        self.ticket += 1;
        let position = |at: &TopicPartition| {
            let position = self.positions.get(at).copied().or_else(|| committed(at));
            (at.clone(), position)
        };
        let positions: Vec<_> = owned.iter().map(position).collect();
        let known = positions.iter().filter_map(|(at, position)| Some((at.clone(), (*position)?)));
        self.positions.extend(known);
        Draw { ticket: self.ticket, number: self.number, positions }
    }

    /// Where the member is.
    pub(super) fn position(&self, at: &TopicPartition) -> Option<u64> {
        self.positions.get(at).copied()
    }

    /// Goes elsewhere: what is on its way counts no more.
    pub(super) fn seek(&mut self, to: impl IntoIterator<Item = (TopicPartition, u64)>) {
        self.ticket += 1;
        for (at, offset) in to {
            self.given.remove(&at);
            self.positions.insert(at, offset);
        }
    }

    /// Gives what a poll has read, all or nothing, and the delivery's number. One that is repeated,
    /// because its answer was lost, is one delivery.
    pub(super) fn deliver(
        &mut self,
        ticket: u64,
        moves: &[Move],
        owned: &Partitions,
    ) -> Result<u64, Denied> {
        if ticket != self.ticket {
            return Err(Denied::Overtaken);
        }
        if ticket == self.delivered {
            return Ok(self.number);
        }
        let valid = |step: &Move| {
            owned.contains(&step.at) && self.positions.get(&step.at).copied() == step.before
        };
        if !moves.iter().all(valid) {
            return Err(Denied::Revoked);
        }
        self.delivered = ticket;
        if moves.iter().any(|step| step.next > step.from) {
            self.number += 1;
        }
        for step in moves {
            self.positions.insert(step.at.clone(), step.next);
            if step.next > step.from {
                self.given.insert(step.at.clone(), step.from);
            }
        }
        Ok(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{PartitionId, TopicName};

    fn at(partition: u32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), PartitionId(partition))
    }

    fn owned(partitions: &[u32]) -> Partitions {
        partitions.iter().map(|partition| at(*partition)).collect()
    }

    fn step(partition: u32, from: u64, next: u64) -> Move {
        Move { at: at(partition), before: Some(from), from, next }
    }

    fn draw(deliveries: &mut Deliveries) -> Draw {
        deliveries.draw(&owned(&[0]), |_| Some(10))
    }

    fn position(draw: &Draw) -> Option<u64> {
        draw.positions[0].1
    }

    /// Polls 10..20 and gives it.
    fn delivered() -> (Deliveries, u64) {
        let mut deliveries = Deliveries::new(3);
        let ticket = draw(&mut deliveries).ticket;
        let number = deliveries.deliver(ticket, &[step(0, 10, 20)], &owned(&[0])).unwrap();
        (deliveries, number)
    }

    #[test]
    fn a_received_delivery_is_followed_by_the_next_and_may_be_committed() {
        for said in [true, false] {
            let (mut deliveries, number) = delivered();
            assert!(deliveries.received().is_empty(), "nobody has said that it came");
            deliveries.hear(said.then_some(number));
            assert_eq!(deliveries.received(), &BTreeMap::from([(at(0), 20)]));
            assert_eq!(position(&draw(&mut deliveries)), Some(20));
            deliveries.committed(&BTreeMap::from([(at(0), 20)]));
            assert!(deliveries.received().is_empty());
        }
    }

    #[test]
    fn a_lost_delivery_is_given_again_under_another_number() {
        let (mut deliveries, lost) = delivered();
        deliveries.hear(Some(lost - 1));
        assert!(deliveries.received().is_empty());
        let again = draw(&mut deliveries);
        assert_eq!(position(&again), Some(10));
        let number = deliveries.deliver(again.ticket, &[step(0, 10, 15)], &owned(&[0])).unwrap();
        assert!(number > lost);
        deliveries.hear(Some(number));
        assert_eq!(deliveries.received(), &BTreeMap::from([(at(0), 15)]));
    }

    #[test]
    fn who_goes_has_received_the_last_delivery_unless_it_says_what_it_received() {
        let (mut deliveries, number) = delivered();
        deliveries.part();
        assert_eq!(deliveries.received(), &BTreeMap::from([(at(0), 20)]));

        let (mut deliveries, _) = delivered();
        deliveries.hear(Some(number));
        let ticket = draw(&mut deliveries).ticket;
        deliveries.deliver(ticket, &[step(0, 20, 30)], &owned(&[0])).unwrap();
        deliveries.part();
        assert_eq!(deliveries.received(), &BTreeMap::from([(at(0), 20)]));
    }

    #[test]
    fn a_number_of_another_leader_is_never_taken_for_ours() {
        let (_, theirs) = delivered();
        let mut ours = Deliveries::new(4);
        let ticket = draw(&mut ours).ticket;
        let number = ours.deliver(ticket, &[step(0, 10, 20)], &owned(&[0])).unwrap();
        assert_ne!(number, theirs);
        ours.hear(Some(theirs));
        assert_eq!(position(&draw(&mut ours)), Some(10));
    }

    #[test]
    fn only_the_newest_poll_gives_something() {
        let mut deliveries = Deliveries::new(1);
        let old = draw(&mut deliveries).ticket;
        let new = draw(&mut deliveries).ticket;
        let moves = [step(0, 10, 20)];
        assert_eq!(deliveries.deliver(old, &moves, &owned(&[0])), Err(Denied::Overtaken));
        assert!(deliveries.deliver(new, &moves, &owned(&[0])).is_ok());
    }

    #[test]
    fn a_delivery_that_is_repeated_is_one() {
        let (mut deliveries, number) = delivered();
        let (ticket, moves) = (deliveries.ticket, [step(0, 10, 20)]);
        assert_eq!(deliveries.deliver(ticket, &moves, &owned(&[0])), Ok(number));
        assert_eq!(deliveries.position(&at(0)), Some(20));
    }

    #[test]
    fn what_was_revoked_while_it_was_read_is_not_given() {
        let mut deliveries = Deliveries::new(1);
        let ticket = deliveries.draw(&owned(&[0, 1]), |_| Some(0)).ticket;
        let moves = [step(0, 0, 5), step(1, 0, 5)];
        assert_eq!(deliveries.deliver(ticket, &moves, &owned(&[0])), Err(Denied::Revoked));
        assert_eq!(deliveries.position(&at(0)), Some(0), "all or nothing");
    }

    #[test]
    fn what_was_revoked_is_not_committed_and_begins_anew_when_it_returns() {
        let (mut deliveries, _) = delivered();
        deliveries.hear(None);
        deliveries.keep(&owned(&[]));
        assert!(deliveries.received().is_empty());
        let draw = deliveries.draw(&owned(&[0]), |_| Some(17));
        assert_eq!(position(&draw), Some(17), "another member has committed meanwhile");
    }

    #[test]
    fn a_place_that_was_found_is_kept_though_nothing_was_there() {
        let mut deliveries = Deliveries::new(1);
        let first = deliveries.draw(&owned(&[0]), |_| None);
        assert_eq!(position(&first), None);
        let number = first.number;
        let found = Move { at: at(0), before: None, from: 42, next: 42 };
        let delivered = deliveries.deliver(first.ticket, &[found], &owned(&[0]));
        assert_eq!(delivered, Ok(number), "nothing was given");
        assert_eq!(position(&draw(&mut deliveries)), Some(42));
    }

    #[test]
    fn a_seek_goes_before_what_is_on_its_way() {
        let mut deliveries = Deliveries::new(1);
        let ticket = draw(&mut deliveries).ticket;
        deliveries.seek([(at(0), 3)]);
        let moves = [step(0, 10, 20)];
        assert_eq!(deliveries.deliver(ticket, &moves, &owned(&[0])), Err(Denied::Overtaken));
        let (mut deliveries, number) = delivered();
        deliveries.seek([(at(0), 3)]);
        deliveries.hear(Some(number - 1));
        assert_eq!(position(&draw(&mut deliveries)), Some(3), "not where a lost one began");
    }
}
