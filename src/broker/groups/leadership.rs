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
            let target = judgement.due(group, topics, at.now, rebalance_delay, &mut due);
            let assign = target.map(|target| Command::Assign { group: name.clone(), target });
            due.commands.extend(assign);
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
    /// A new target, if one is due for long enough.
    fn due(
        &mut self,
        group: &Group,
        topics: &Topics,
        now: Instant,
        delay: Duration,
        due: &mut Due,
    ) -> Option<Target> {
        let revisions = (group.revision(), topics.revision);
        if self.fine_at == Some(revisions) {
            return None;
        }
        let Some(target) = target::due(group, topics) else {
            *self = Self { fine_at: Some(revisions), due_since: None };
            return None;
        };
        let since = *self.due_since.get_or_insert(now);
        if now < since + delay {
            due.look_at(since + delay);
            return None;
        }
        // If it is proposed in vain it is still due at the next look.
        self.due_since = None;
        due.look_at(now + delay);
        Some(target)
    }
}
