//! A consumer group that does right: a partition has a new owner only when its old one has let go or is expelled.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{GroupView, Key};

/// The coordinator's state.
#[derive(Default)]
pub(super) struct Group {
    pub(super) generation: u64,
    /// Members, and the generation that each has acknowledged.
    pub(super) members: BTreeMap<String, u64>,
    pub(super) committed: BTreeMap<Key, u64>,
    keys: Vec<Key>,
    target: BTreeMap<Key, String>,
    owner: BTreeMap<Key, String>,
    positions: BTreeMap<Key, u64>,
}

impl Group {
    pub(super) fn new(keys: Vec<Key>) -> Group {
        Group { keys, ..Group::default() }
    }

    fn rebalance(&mut self) {
        self.generation += 1;
        let members: Vec<&String> = self.members.keys().collect();
        let cycle = members.iter().cycle().copied();
        self.target = self.keys.iter().copied().zip(cycle.cloned()).collect();
        let members = &self.members;
        self.owner.retain(|_, owner| members.contains_key(owner));
    }

    pub(super) fn join(&mut self, member: &str) {
        self.members.insert(member.to_owned(), 0);
        self.rebalance();
    }

    /// A member goes, or is expelled.
    pub(super) fn remove(&mut self, member: &str) {
        if self.members.remove(member).is_some() {
            self.rebalance();
        }
    }

    /// A heartbeat that says a generation; the current one is acknowledged by it. Returns what the member may
    /// read from now on.
    pub(super) fn beat(
        &mut self,
        member: &str,
        says: u64,
        start: impl Fn(Key) -> u64,
    ) -> Option<Vec<Key>> {
        let acknowledged = self.members.get_mut(member)?;
        if says == self.generation {
            *acknowledged = says;
            let target = &self.target;
            self.owner.retain(|key, owner| owner != member || target.get(key) == Some(owner));
            for (key, meant) in target.iter().filter(|(_, meant)| *meant == member) {
                if !self.owner.contains_key(key) {
                    self.owner.insert(*key, meant.clone());
                    let position = self.committed.get(key).copied().unwrap_or_else(|| start(*key));
                    self.positions.insert(*key, position);
                }
            }
        }
        let held = self.keys.iter().filter(|key| self.owns(member, **key));
        Some(
            held.filter(|key| self.target.get(key).is_some_and(|meant| meant == member))
                .copied()
                .collect(),
        )
    }

    pub(super) fn owns(&self, member: &str, key: Key) -> bool {
        self.owner.get(&key).is_some_and(|owner| owner == member)
    }

    /// The positions of what a member owns.
    pub(super) fn positions(&mut self, member: &str) -> BTreeMap<Key, u64> {
        let owned: BTreeSet<Key> =
            self.keys.iter().copied().filter(|key| self.owns(member, *key)).collect();
        let positions = self.positions.iter().filter(|(key, _)| owned.contains(key));
        positions.map(|(key, position)| (*key, *position)).collect()
    }

    pub(super) fn advance(&mut self, key: Key, position: u64) {
        self.positions.insert(key, position);
    }

    /// Whether the commit was taken.
    pub(super) fn commit(&mut self, member: &str, offsets: &BTreeMap<Key, u64>) -> bool {
        let may =
            self.members.contains_key(member) && offsets.keys().all(|key| self.owns(member, *key));
        if may {
            self.committed.extend(offsets.iter().map(|(key, offset)| (*key, *offset)));
        }
        may
    }

    pub(super) fn view(&self) -> GroupView {
        let mut members: BTreeMap<String, Vec<Key>> =
            self.members.keys().map(|member| (member.clone(), Vec::new())).collect();
        for (key, member) in &self.target {
            members.entry(member.clone()).or_default().push(*key);
        }
        if self.members.is_empty() {
            members.clear();
        }
        GroupView {
            group: "g".to_owned(),
            generation: Some(self.generation),
            stable: self.target == self.owner,
            members,
            subscribed: self.keys.clone(),
        }
    }
}
