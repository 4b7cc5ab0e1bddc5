//! Who keeps house while others write: topics of its own come, grow and go, logs are trimmed, and what is kept
//! changes.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::actor::Actor;
use super::load::Pace;
use super::writer::with;
use crate::client::{Done, Failure};
use crate::cluster::name_of;
use crate::history::{Detail, Key, Kind, Operation, Setting, Topic};

/// How many topics all stewards create and delete.
const TOPICS: u32 = 3;
/// The setting that is changed, and what it becomes: from a few segments to all.
const KEPT: &str = "retention.bytes";
const KEPT_BYTES: std::ops::Range<u64> = 256 << 10..8 << 20;
/// How much of a log's end is never trimmed.
const TAIL_RECORDS: u64 = 300;
/// Of so many turns one is used: topics are no stream of records.
const IDLE_TURNS: u32 = 12;

/// A client that changes topics.
pub(super) struct Steward {
    actor: Actor,
    keys: Vec<Key>,
}

impl Steward {
    pub(super) fn new(actor: Actor, keys: &[Key]) -> Self {
        Self { actor, keys: keys.to_vec() }
    }

    pub(super) async fn work(mut self, mut pace: Pace) {
        while pace.next().await {
            if !self.actor.dice.random_ratio(1, IDLE_TURNS) {
                continue;
            }
            match self.actor.dice.random_range(0..100) {
                0..35 => self.create().await,
                35..65 => self.delete().await,
                65..90 => self.trim().await,
                _ => self.keep().await,
            }
        }
    }

    fn topic(&mut self) -> Topic {
        let number = self.actor.dice.random_range(0..TOPICS);
        Topic { topic: format!("side-{number}"), exists: None }
    }

    /// A topic that comes has one partition, and gets more at once.
    async fn create(&mut self) {
        let (topic, node) = (self.topic(), self.actor.node());
        let name = topic.topic.clone();
        let operation = Operation::CreateTopic(topic);
        let detail = self.begins(node, &operation);
        let made = self.actor.client.create_topic(node, &name).await;
        if self.ends(node, operation, detail, made) {
            let partitions = self.actor.dice.random_range(2..5);
            // Not a register: how many there are is not asked for.
            drop(self.actor.client.add_partitions(node, &name, partitions).await);
        }
    }

    async fn delete(&mut self) {
        let (topic, node) = (self.topic(), self.actor.node());
        let name = topic.topic.clone();
        let operation = Operation::DeleteTopic(topic);
        let detail = self.begins(node, &operation);
        let done = self.actor.client.delete_topic(node, &name).await;
        self.ends(node, operation, detail, done);
    }

    async fn keep(&mut self) {
        let node = self.actor.node();
        let bytes = self.actor.dice.random_range(KEPT_BYTES);
        let topic = self.actor.client.topic().to_owned();
        let operation =
            Operation::SetConfig(Setting { topic, name: KEPT.to_owned(), value: Some(bytes) });
        let detail = self.begins(node, &operation);
        let done = self.actor.client.set(node, KEPT, &bytes.to_string()).await;
        self.ends(node, operation, detail, done.map(|()| Done::Now));
    }

    /// Asks where a log ends, and trims it somewhere before.
    async fn trim(&mut self) {
        let node = self.actor.node();
        let Some(key) = self.keys.choose(&mut self.actor.dice).copied() else { return };
        let asked = |end: u64| Operation::Latest(BTreeMap::from([(key, end)]));
        let detail = self.begins(node, &asked(0));
        let told = match self.actor.client.latest(node, key).await {
            Ok(told) => told,
            Err(failure) => {
                self.actor.ended_badly(asked(0), detail, failure);
                return;
            }
        };
        let end = told.high_watermark.unwrap_or(0);
        let start = told.log_start.unwrap_or(0);
        self.actor.record(Kind::Ok, asked(end), with(detail, key, &told));
        let last = end.saturating_sub(TAIL_RECORDS);
        if last <= start {
            return;
        }
        let to = self.actor.dice.random_range(start..last) + 1;
        let operation = Operation::Trim(BTreeMap::from([(key, to)]));
        let detail = self.begins(node, &operation);
        let done = self.actor.client.trim(node, key, to).await;
        self.ends(node, operation, detail, done.map(|()| Done::Now));
    }

    fn begins(&self, node: u8, operation: &Operation) -> Detail {
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, operation.clone(), detail.clone());
        detail
    }

    /// Whether it was done.
    fn ends(
        &mut self,
        node: u8,
        operation: Operation,
        detail: Detail,
        done: Result<Done, Failure>,
    ) -> bool {
        match done {
            Ok(Done::Now) => {
                self.actor.answered = Some(node);
                self.actor.record(Kind::Ok, operation, detail);
                true
            }
            // By somebody else, or by an attempt of the broker whose answer was lost: nobody knows.
            Ok(Done::Before) => {
                let failure = Failure::Info("it was so already".to_owned());
                self.actor.ended_badly(operation, detail, failure);
                false
            }
            Err(failure) => {
                self.actor.ended_badly(operation, detail, failure);
                false
            }
        }
    }
}
