//! What the leader of a coordinator keeps beside what is replicated: who was heard when, what members
//! were given, since when a target is due. It is of one term; the next leader begins with nothing, so
//! everybody has a full session, and reading goes on at the committed offsets.
//!
//! | a group | is given |
//! |---|---|
//! | has no target for what its members want of what there is, for `rebalance_delay` | `Assign` |
//! | has offsets of topics that are gone | `DropOffsets` |
//! | was not used for [`IDLE_MAX`] | `Abandon` |
//!
//! What is due for single members is in [`Attendance`].

use super::deliveries::Deliveries;
use crate::coordinator::{
    Attendance, Command, Group, GroupName, Groups, MemberId, MemberSpec, Target, Topics, target,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a group without members keeps its offsets after the last commit (Kafka's
/// `offsets.retention.minutes`).
const IDLE_MAX: Duration = Duration::from_hours(24 * 7);
/// Between two looks for groups that nobody uses.
const IDLE_LOOK: Duration = Duration::from_mins(1);
/// Orphaned offsets in one command.
const ORPHANS_MAX: usize = 1000;

/// What one leader knows.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    term: u64,
    attendance: Attendance,
    /// Members that are read for.
    readers: BTreeMap<GroupName, BTreeMap<MemberId, Reader>>,
    judgements: BTreeMap<GroupName, Judgement>,
    /// The revision of the metadata as of which no offset is an orphan.
    orphans_at: Option<u64>,
    idle_look: Option<Instant>,
}

/// A member that is read for.
#[derive(Debug)]
pub(super) struct Reader {
    /// Its join: another one under the id is another member.
    attempt: Uuid,
    /// What it was given.
    pub(super) deliveries: Deliveries,
    /// When what it has received was committed last.
    pub(super) committed: Option<Instant>,
}

/// Whether a group needs a target.
#[derive(Debug, Default)]
struct Judgement {
    /// It needed none as of these revisions, of the group and of the metadata.
    fine_at: Option<(u64, u64)>,
    /// It needs one since.
    due_since: Option<Instant>,
}

/// What is to be done about a group's target.
enum Verdict {
    Fine,
    Later(Instant),
    Now(Target),
}

/// The time, both ways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// For waiting.
    pub(super) now: Instant,
    /// For what is stored, in milliseconds since 1970.
    pub(super) ms: i64,
}

/// What is to be proposed, and when to look again though nothing changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) commands: Vec<Command>,
    pub(super) next: Option<Instant>,
}

impl Due {
    fn look_at(&mut self, time: Instant) {
        self.next = Some(self.next.map_or(time, |next| next.min(time)));
    }
}

impl Leadership {
    /// Forgets what another term's leader knew.
    pub(super) fn enter(&mut self, term: u64) {
        if self.term < term {
            *self = Self { term, ..Self::default() };
        }
    }

    /// A member gave a sign of life.
    pub(super) fn hear(&mut self, group: &GroupName, member: &MemberId) {
        self.attendance.heard(group, member, Instant::now().into_std());
    }

    /// What a member was given that is read for.
    pub(super) fn reader(&mut self, group: &GroupName, spec: &MemberSpec) -> &mut Reader {
        let (term, attempt) = (self.term, spec.attempt);
        let fresh = || Reader { attempt, deliveries: Deliveries::new(term), committed: None };
        let readers = self.readers.entry(group.clone()).or_default();
        let reader = readers.entry(spec.id.clone()).or_insert_with(fresh);
        if reader.attempt != attempt {
            *reader = fresh();
        }
        reader
    }

    /// What is due.
    pub(super) fn due(
        &mut self,
        groups: &Groups,
        topics: &Topics,
        at: Moment,
        rebalance_delay: Duration,
    ) -> Due {
        self.forget(groups);
        let absent = self.attendance.due(groups, at.now.into_std(), at.ms);
        let mut due = Due { commands: absent.commands, next: absent.next.map(Instant::from_std) };
        for (name, group, _) in groups.iter() {
            let judgement = self.judgements.entry(name.clone()).or_default();
            match judgement.on(group, topics, at.now, rebalance_delay) {
                Verdict::Fine => {}
                Verdict::Later(time) => due.look_at(time),
                Verdict::Now(target) => {
                    due.commands.push(Command::Assign { group: name.clone(), target });
                    // If it is proposed in vain it is still due then.
                    due.look_at(at.now + rebalance_delay);
                }
            }
        }
        self.orphans_due(groups, topics, &mut due);
        self.idle_due(groups, at, &mut due);
        due
    }

    /// Forgets groups and members that are no more.
    fn forget(&mut self, groups: &Groups) {
        self.judgements.retain(|name, _| groups.group(name).is_ok());
        self.readers.retain(|name, readers| {
            let Ok(group) = groups.group(name) else { return false };
            readers.retain(|id, _| group.member(id).is_ok());
            !readers.is_empty()
        });
    }

    fn orphans_due(&mut self, groups: &Groups, topics: &Topics, due: &mut Due) {
        if self.orphans_at == Some(topics.revision) {
            return;
        }
        let orphans = groups.orphans(topics);
        if orphans.is_empty() {
            self.orphans_at = Some(topics.revision);
        } else {
            // Looked for again, until there are none.
            due.look_at(Instant::now());
        }
        let commands = orphans.chunks(ORPHANS_MAX);
        due.commands.extend(commands.map(|some| Command::DropOffsets { orphans: some.to_vec() }));
    }

    fn idle_due(&mut self, groups: &Groups, at: Moment, due: &mut Due) {
        if groups.iter().len() == 0 {
            return;
        }
        let look = self.idle_look.filter(|look| at.now < *look).unwrap_or_else(|| {
            let idle_max = i64::try_from(IDLE_MAX.as_millis()).unwrap_or(i64::MAX);
            due.commands.extend(groups.abandoned(at.ms, idle_max));
            at.now + IDLE_LOOK
        });
        self.idle_look = Some(look);
        due.look_at(look);
    }
}

impl Judgement {
    /// Whether a new target is due, and for how long.
    fn on(&mut self, group: &Group, topics: &Topics, now: Instant, delay: Duration) -> Verdict {
        let revisions = (group.revision(), topics.revision);
        if self.fine_at == Some(revisions) {
            return Verdict::Fine;
        }
        let Some(target) = target::due(group, topics) else {
            *self = Self { fine_at: Some(revisions), due_since: None };
            return Verdict::Fine;
        };
        let due = *self.due_since.get_or_insert(now) + delay;
        if now < due {
            return Verdict::Later(due);
        }
        self.due_since = None;
        Verdict::Now(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{
        CommitRule, Committer, Delivery, OffsetCommit, Subscription, TopicPartition, TopicShape,
    };
    use crate::topic::{PartitionId, TopicName};
    use raft::Offset;

    const DELAY: Duration = Duration::from_millis(50);

    fn name() -> GroupName {
        GroupName::new("g").unwrap()
    }

    fn topic() -> TopicName {
        TopicName::new("t").unwrap()
    }

    fn spec() -> MemberSpec {
        MemberSpec {
            id: MemberId::new("m").unwrap(),
            attempt: Uuid::from_u128(1),
            instance: None,
            client: String::new(),
            subscription: Subscription::Topics([topic()].into()),
            assignor: None,
            delivery: Delivery::Server,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            settings: BTreeMap::new(),
        }
    }

    fn joined() -> Groups {
        let mut groups = Groups::default();
        groups.apply(Command::Join { group: name(), spec: spec(), at_ms: 0 }).unwrap();
        groups
    }

    fn topics(revision: u64, id: u128, partitions: u32) -> Topics {
        let shape = TopicShape { id: Uuid::from_u128(id), partitions };
        Topics { revision, shapes: [(topic(), shape)].into() }
    }

    /// What is due but members' own timeouts.
    fn due(leadership: &mut Leadership, groups: &Groups, topics: &Topics, now: Instant) -> Due {
        leadership.due(groups, topics, Moment { now, ms: 0 }, DELAY)
    }

    #[test]
    fn a_target_is_due_after_the_delay_and_again_when_topics_change() {
        let (mut groups, mut leadership) = (joined(), Leadership::default());
        let now = Instant::now();
        let first = due(&mut leadership, &groups, &topics(1, 7, 2), now);
        assert_eq!((first.commands, first.next), (Vec::new(), Some(now + DELAY)));
        let mut then = due(&mut leadership, &groups, &topics(1, 7, 2), now + DELAY).commands;
        let [assign @ Command::Assign { .. }] = &mut then[..] else { panic!("{then:?}") };
        groups.apply(assign.clone()).unwrap();
        let later = now + 2 * DELAY;
        assert!(due(&mut leadership, &groups, &topics(1, 7, 2), later).commands.is_empty());
        assert!(due(&mut leadership, &groups, &topics(2, 7, 2), later).commands.is_empty());

        due(&mut leadership, &groups, &topics(3, 7, 3), later);
        let grown = due(&mut leadership, &groups, &topics(3, 7, 3), later + DELAY).commands;
        assert!(matches!(&grown[..], [Command::Assign { .. }]), "{grown:?}");
    }

    #[test]
    fn a_target_that_was_proposed_in_vain_is_due_again() {
        let (groups, mut leadership) = (joined(), Leadership::default());
        let now = Instant::now();
        for round in 0..3 {
            let begin = now + 2 * DELAY * round;
            assert!(due(&mut leadership, &groups, &topics(1, 7, 2), begin).commands.is_empty());
            let then = due(&mut leadership, &groups, &topics(1, 7, 2), begin + DELAY);
            assert_eq!(then.commands.len(), 1);
            assert!(then.next.is_some_and(|next| next <= begin + 2 * DELAY));
        }
    }

    #[test]
    fn offsets_of_a_topic_that_was_made_anew_are_dropped() {
        let mut groups = Groups::default();
        let partition = TopicPartition::new(topic(), PartitionId(0));
        let row = OffsetCommit {
            partition,
            topic_id: Uuid::from_u128(7),
            offset: Offset::new(5),
            leader_epoch: None,
            metadata: String::new(),
        };
        let commit = Command::Commit {
            group: name(),
            by: Committer::Nobody,
            offsets: vec![row],
            rule: CommitRule::Explicit,
            metadata_revision: 1,
            at_ms: 0,
        };
        groups.apply(commit).unwrap();
        let (mut leadership, now) = (Leadership::default(), Instant::now());
        assert!(due(&mut leadership, &groups, &topics(1, 7, 1), now).commands.is_empty());
        let found = due(&mut leadership, &groups, &topics(2, 8, 1), now).commands;
        let [drop @ Command::DropOffsets { .. }] = &found[..] else { panic!("{found:?}") };
        groups.apply(drop.clone()).unwrap();
        assert!(groups.offsets(&name()).unwrap().is_empty());
        assert!(due(&mut leadership, &groups, &topics(2, 8, 1), now).commands.is_empty());
    }

    #[test]
    fn a_group_that_nobody_used_for_a_week_is_abandoned() {
        let mut groups = joined();
        let member = spec().id;
        groups.apply(Command::Leave { group: name(), member, at_ms: 1000 }).unwrap();
        let week = i64::try_from(IDLE_MAX.as_millis()).unwrap();
        let mut leadership = Leadership::default();
        let mut now = Instant::now();
        for (ms, expected) in [(999 + week, 0), (1000 + week, 1)] {
            let at = Moment { now, ms };
            let due = leadership.due(&groups, &Topics::default(), at, DELAY);
            assert_eq!(due.commands.len(), expected, "{due:?}");
            now += IDLE_LOOK;
        }
    }

    #[test]
    fn another_term_knows_nothing_of_what_was_given() {
        let mut leadership = Leadership::default();
        leadership.enter(2);
        let at = TopicPartition::new(topic(), PartitionId(0));
        leadership.reader(&name(), &spec()).deliveries.seek([(at.clone(), 9)]);
        leadership.enter(1);
        assert_eq!(leadership.reader(&name(), &spec()).deliveries.position(&at), Some(9));
        let again = MemberSpec { attempt: Uuid::from_u128(2), ..spec() };
        assert_eq!(leadership.reader(&name(), &again).deliveries.position(&at), None);
        leadership.reader(&name(), &again).deliveries.seek([(at.clone(), 9)]);
        leadership.enter(3);
        assert_eq!(leadership.reader(&name(), &again).deliveries.position(&at), None);
    }
}
