//! Members of a consumer group that fetch by themselves.
//!
//! ```text
//!   join ──► heartbeat ──► what is assigned ──► where the group has come ──► poll, poll, commit
//!               ▲  │
//!               └──┴─ a newer generation: commit what is revoked, stop reading it, say the generation
//! ```
//!
//! A member says a generation once it has let go of what that revoked. Now and then it leaves, vanishes without
//! a word, or sleeps until it must have been expelled and commits as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use rand::seq::IteratorRandom;
use tokio::time::{Instant, sleep};

use super::GROUP;
use super::actor::Actor;
use super::load::Pace;
use super::writer::{polled, with};
use crate::client::{Failure, Share, Wanted};
use crate::cluster::name_of;
use crate::history::{
    Commit, Committed, Detail, GroupView, Key, Kind, Membership, Micro, Operation, ReadMode,
};

/// How long a member may be silent, and keep what it is to give away. An election must fit into it.
const SESSION: Duration = Duration::from_secs(5);
/// Between two signs of life.
const BEAT_EVERY: Duration = Duration::from_millis(700);
/// How long a member sleeps that is to be expelled meanwhile.
const NAP: Duration = Duration::from_millis(6500);
/// The most records of one poll.
const POLL_MAX: u32 = 200;
/// The longest a poll waits for its first record.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// One member after the other.
pub(super) struct Consumer {
    actor: Actor,
    keys: Vec<Key>,
    member: Option<Member>,
}

/// What a member knows.
struct Member {
    name: String,
    /// The generation whose revocations it has followed: it says this one.
    generation: u64,
    /// What it reads, and from where on; `None` until it has asked where the group has come.
    held: BTreeMap<Key, Option<u64>>,
    /// How far it was given records that it has not committed.
    given: BTreeMap<Key, u64>,
    /// What came and went since its last poll.
    rebalanced: BTreeSet<Key>,
    beat_at: Instant,
}

impl Member {
    fn membership(&self) -> Membership {
        Membership {
            group: GROUP.to_owned(),
            member: self.name.clone(),
            generation: Some(self.generation),
            assigned: Vec::new(),
        }
    }

    fn commit_of(&self, offsets: BTreeMap<Key, u64>) -> Commit {
        Commit {
            group: GROUP.to_owned(),
            member: self.name.clone(),
            generation: Some(self.generation),
            offsets,
            reset: false,
        }
    }
}

fn granted(said: Membership, share: &Share) -> Membership {
    Membership { generation: Some(share.generation), assigned: share.assigned.clone(), ..said }
}

impl Consumer {
    pub(super) fn new(actor: Actor, keys: &[Key]) -> Self {
        Self { actor, keys: keys.to_vec(), member: None }
    }

    pub(super) async fn work(mut self, mut pace: Pace) {
        while pace.next().await {
            let Some(member) = &self.member else {
                self.join().await;
                continue;
            };
            if Instant::now() >= member.beat_at {
                self.heartbeat().await;
                continue;
            }
            match self.actor.dice.random_range(0..1000) {
                0..700 => self.poll().await,
                700..850 => self.commit().await,
                850..930 => self.ask_where().await,
                930..980 => self.describe().await,
                980..990 => self.leave().await,
                990..996 => self.vanish(),
                _ => self.nap().await,
            }
        }
    }

    async fn join(&mut self) {
        let node = self.actor.node();
        // A process joins once: its number makes the member's name unique.
        let name = format!("m{}", self.actor.process());
        let said =
            Membership { group: GROUP.to_owned(), member: name.clone(), ..Membership::default() };
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Join(said.clone()), detail.clone());
        match self.actor.client.join(node, GROUP, &name, SESSION).await {
            Ok(share) => {
                self.actor.answered = Some(node);
                self.actor.record(Kind::Ok, Operation::Join(granted(said, &share)), detail);
                self.member = Some(Member {
                    name,
                    generation: share.generation,
                    held: share.assigned.into_iter().map(|key| (key, None)).collect(),
                    given: BTreeMap::new(),
                    rebalanced: BTreeSet::new(),
                    beat_at: Instant::now(),
                });
            }
            Err(failure) => {
                let kind = self.actor.ended_badly(Operation::Join(said), detail, failure);
                self.give_up(kind);
            }
        }
    }

    /// A sign of life. Whatever came of it, the member says the same again: it changes nothing twice.
    async fn heartbeat(&mut self) {
        let node = self.actor.node();
        let Some(member) = &mut self.member else { return };
        member.beat_at = Instant::now() + BEAT_EVERY;
        let (said, name, generation) =
            (member.membership(), member.name.clone(), member.generation);
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Heartbeat(said.clone()), detail.clone());
        match self.actor.client.heartbeat(node, GROUP, &name, generation).await {
            Ok(share) => {
                self.actor.answered = Some(node);
                let told = Operation::Heartbeat(granted(said, &share));
                self.actor.record(Kind::Ok, told, detail);
                self.take(share).await;
            }
            Err(failure) => self.member_failed(Operation::Heartbeat(said), detail, failure, true),
        }
    }

    /// Follows what a heartbeat told: what is revoked is committed and let go of before the generation is said.
    async fn take(&mut self, share: Share) {
        let Some(member) = &mut self.member else { return };
        let assigned: BTreeSet<Key> = share.assigned.into_iter().collect();
        let revoked: Vec<Key> =
            member.held.keys().copied().filter(|key| !assigned.contains(key)).collect();
        let mut last: BTreeMap<Key, u64> = BTreeMap::new();
        for key in revoked {
            member.held.remove(&key);
            member.rebalanced.insert(key);
            last.extend(member.given.remove(&key).map(|next| (key, next)));
        }
        for key in assigned {
            member.held.entry(key).or_insert_with(|| {
                member.rebalanced.insert(key);
                None
            });
        }
        if share.generation != member.generation {
            member.beat_at = Instant::now();
        }
        if !last.is_empty() {
            let commit = member.commit_of(last);
            self.commit_these(commit).await;
        }
        if let Some(member) = &mut self.member {
            member.generation = share.generation;
        }
    }

    async fn commit(&mut self) {
        let Some(member) = &mut self.member else { return };
        if member.given.is_empty() {
            return;
        }
        let offsets = std::mem::take(&mut member.given);
        let commit = member.commit_of(offsets);
        self.commit_these(commit).await;
    }

    /// After an unknown commit the member is given up: a late one must not overtake a later one.
    async fn commit_these(&mut self, commit: Commit) {
        let node = self.actor.node();
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Commit(commit.clone()), detail.clone());
        let by = (commit.member.as_str(), commit.generation.unwrap_or(0));
        match self.actor.client.commit(node, GROUP, by, &commit.offsets).await {
            Ok(()) => {
                self.actor.answered = Some(node);
                self.actor.record(Kind::Ok, Operation::Commit(commit), detail);
            }
            Err(failure) => {
                let operation = Operation::Commit(commit);
                self.member_failed(operation, detail, failure, false);
            }
        }
    }

    /// The member is over if it is gone, and after `info` unless what was said may be said again.
    fn member_failed(
        &mut self,
        operation: Operation,
        detail: Detail,
        failure: Failure,
        may_be_said_again: bool,
    ) {
        let is_gone = matches!(failure, Failure::Gone(_));
        let kind = self.actor.ended_badly(operation, detail, failure);
        if is_gone || (kind == Kind::Info && !may_be_said_again) {
            self.give_up(kind);
        }
    }

    /// The member is no more; the next one has a process of its own.
    fn give_up(&mut self, after: Kind) {
        self.member = None;
        if after != Kind::Info {
            self.actor.be_somebody_else();
        }
    }

    async fn poll(&mut self) {
        let node = self.actor.node();
        let Some(member) = &mut self.member else { return };
        let held = member.held.iter().map(|(key, from)| (*key, *from));
        let Some((key, from)) = held.choose(&mut self.actor.dice) else { return };
        let Some(from) = from else { return self.ask_where().await };
        let detail = Detail {
            node: Some(name_of(node)),
            group: Some(GROUP.to_owned()),
            member: Some(member.name.clone()),
            rebalanced: std::mem::take(&mut member.rebalanced).into_iter().collect(),
            ..Detail::default()
        };
        let asked = Operation::Poll(vec![Micro::Poll(None)]);
        self.actor.record(Kind::Invoke, asked.clone(), detail.clone());
        let mode = ReadMode::Linearizable;
        let wanted = Wanted { from, records_max: POLL_MAX, wait: POLL_WAIT, mode };
        match self.actor.client.fetch(node, key, wanted).await {
            Ok(page) => {
                self.actor.answered = Some(node);
                let mut detail = with(detail, key, &page.told);
                let operation = polled(key, &page, &mut detail);
                self.actor.record(Kind::Ok, operation, detail);
                if let Some(member) = &mut self.member {
                    member.held.insert(key, Some(page.next));
                    if page.next > from {
                        member.given.insert(key, page.next);
                    }
                }
            }
            Err(failure) => {
                self.actor.ended_badly(asked, detail, failure);
            }
        }
    }

    /// Where the group has come, of everything; a partition that is new to the member begins there.
    async fn ask_where(&mut self) {
        let node = self.actor.node();
        let asked = Committed { group: GROUP.to_owned(), offsets: BTreeMap::new() };
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Committed(asked.clone()), detail.clone());
        match self.actor.client.committed(node, GROUP, &self.keys).await {
            Ok(offsets) => {
                self.actor.answered = Some(node);
                if let Some(member) = &mut self.member {
                    for (key, from) in member.held.iter_mut().filter(|(_, from)| from.is_none()) {
                        *from = Some(offsets.get(key).copied().flatten().unwrap_or(0));
                    }
                }
                let told = Operation::Committed(Committed { offsets, ..asked });
                self.actor.record(Kind::Ok, told, detail);
            }
            Err(failure) => {
                self.actor.ended_badly(Operation::Committed(asked), detail, failure);
            }
        }
    }

    async fn describe(&mut self) {
        let node = self.actor.node();
        let asked = GroupView { group: GROUP.to_owned(), ..GroupView::default() };
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::DescribeGroup(asked.clone()), detail.clone());
        match self.actor.client.describe_group(node, GROUP, &self.keys).await {
            Ok(view) => {
                self.actor.answered = Some(node);
                self.actor.record(Kind::Ok, Operation::DescribeGroup(view), detail);
            }
            Err(failure) => {
                self.actor.ended_badly(Operation::DescribeGroup(asked), detail, failure);
            }
        }
    }

    async fn leave(&mut self) {
        let node = self.actor.node();
        let Some(member) = &self.member else { return };
        let (said, name) = (member.membership(), member.name.clone());
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Leave(said.clone()), detail.clone());
        let kind = match self.actor.client.leave(node, GROUP, &name).await {
            Ok(()) => {
                self.actor.record(Kind::Ok, Operation::Leave(said), detail);
                Kind::Ok
            }
            Err(failure) => self.actor.ended_badly(Operation::Leave(said), detail, failure),
        };
        self.give_up(kind);
    }

    /// Is gone without a word: the coordinator must notice.
    fn vanish(&mut self) {
        self.actor.record(Kind::Invoke, Operation::Crash, Detail::default());
        self.actor.record(Kind::Info, Operation::Crash, Detail::default());
        self.give_up(Kind::Ok);
    }

    /// Sleeps until others must have what it had, and commits what it was given before.
    async fn nap(&mut self) {
        sleep(NAP).await;
        self.commit().await;
    }
}
