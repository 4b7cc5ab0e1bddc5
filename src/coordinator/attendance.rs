//! When the leader of a coordinator last heard of each member: what it forgets with its leadership. A new
//! leader begins with an empty one, so everybody has a full session before it is expelled.
//!
//! What is done to a member at a time, by the first line that fits:
//!
//! | the member | is |
//! |---|---|
//! | was not heard of for its session timeout | expelled |
//! | has to release something, did not acknowledge the generation for its rebalance timeout, and fetches by itself | expelled |
//! | the same, and the server delivers to it | made to release it |
//! | any other | left alone |
//!
//! Both timeouts run on this leader's monotonic clock alone, whose readings are passed in.

use super::command::Command;
use super::group::Group;
use super::groups::Groups;
use super::member::{Delivery, Member};
use super::name::{GroupName, MemberId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// When each member of each group was last heard of.
#[derive(Debug, Default)]
pub struct Attendance {
    groups: BTreeMap<GroupName, Roll>,
}

/// One group's.
#[derive(Debug)]
struct Roll {
    generation: u32,
    /// When this leader first saw that generation.
    generation_seen: Instant,
    members: BTreeMap<MemberId, Heard>,
}

/// A member's last sign of life.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// The join it belongs to: a member of the same id that joined later is another.
    attempt: Uuid,
    at: Instant,
}

/// What is due at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// To be proposed.
    pub commands: Vec<Command>,
    /// When to look again if nothing changes before; what is to be proposed is not waited for.
    pub next: Option<Instant>,
}

/// What the table says of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Expel,
    Revoke,
    /// To be looked at again then.
    Stay(Instant),
}

impl Attendance {
    /// A member was heard of: it beat, polled, committed, or joined.
    pub fn heard(&mut self, group: &GroupName, member: &MemberId, now: Instant) {
        if let Some(heard) =
            self.groups.get_mut(group).and_then(|roll| roll.members.get_mut(member))
        {
            heard.at = heard.at.max(now);
        }
        // One that is not on the roll is new: it has its session from the next look on.
    }

    /// Takes note of who is in which group and of new generations, and says what is due. To be called
    /// whenever membership changed, and at `next`.
    pub fn due(&mut self, groups: &Groups, now: Instant, now_ms: i64) -> Due {
        self.groups.retain(|name, _| groups.group(name).is_ok());
        let mut due = Due { commands: Vec::new(), next: None };
        for (name, group, _) in groups.iter() {
            if group.members().len() == 0 {
                self.groups.remove(name);
                continue;
            }
            let roll = self.groups.entry(name.clone()).or_insert_with(|| Roll::new(group, now));
            roll.note(group, now);
            for (id, member) in group.members() {
                match roll.fate(id, member, now) {
                    Fate::Expel => due.commands.push(expire(name, member, now_ms)),
                    Fate::Revoke => due.commands.push(Command::Revoke {
                        group: name.clone(),
                        member: id.clone(),
                        generation: roll.generation,
                    }),
                    Fate::Stay(until) => {
                        due.next = Some(due.next.map_or(until, |next| next.min(until)));
                    }
                }
            }
        }
        due
    }
}

impl Roll {
    fn new(group: &Group, now: Instant) -> Self {
        Self { generation: group.generation(), generation_seen: now, members: BTreeMap::new() }
    }

    fn note(&mut self, group: &Group, now: Instant) {
        if self.generation != group.generation() {
            self.generation = group.generation();
            self.generation_seen = now;
        }
        self.members.retain(|id, _| group.member(id).is_ok());
        for (id, member) in group.members() {
            let attempt = member.spec().attempt;
            let heard = self.members.entry(id.clone()).or_insert(Heard { attempt, at: now });
            if heard.attempt != attempt {
                *heard = Heard { attempt, at: now };
            }
        }
    }

    fn fate(&self, id: &MemberId, member: &Member, now: Instant) -> Fate {
        let spec = member.spec();
        let heard = self.members.get(id).map_or(now, |heard| heard.at);
        let silent = heard + milliseconds(spec.session_timeout_ms);
        if now >= silent {
            return Fate::Expel;
        }
        if !member.has_to_release() {
            return Fate::Stay(silent);
        }
        let late = self.generation_seen + milliseconds(spec.rebalance_timeout_ms);
        if now < late {
            return Fate::Stay(silent.min(late));
        }
        match spec.delivery {
            Delivery::Client => Fate::Expel,
            Delivery::Server => Fate::Revoke,
        }
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

fn expire(group: &GroupName, member: &Member, at_ms: i64) -> Command {
    Command::Expire {
        group: group.clone(),
        member: member.spec().id.clone(),
        attempt: member.spec().attempt,
        epoch: member.epoch(),
        at_ms,
    }
}

#[cfg(test)]
#[path = "attendance_tests.rs"]
mod tests;
