//! One client of the model: what it believes, and what it wants next.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::cluster::crc_of;
use super::run::{Shape, Workload};
use crate::history::{
    Commit, Committed, Detail, GroupView, Key, Membership, Micro, Operation, ProducerStamp,
    ReadMode, Sent, Setting, Topic,
};

/// How an operation will end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes effect, and its answer arrives.
    Ok,
    /// It does not, and says so.
    Fail,
    /// It takes effect, and its answer is lost.
    Lost,
    /// Its answer is lost, and it takes effect later or never.
    Late,
}

/// What came of an operation.
pub(super) enum Effect {
    /// It has not happened yet.
    Pending,
    /// It was refused.
    Refused,
    /// It has happened; this is the answer.
    Taken(Operation, Box<Detail>),
}

/// An operation under way.
pub(super) struct Busy {
    pub(super) intent: Operation,
    pub(super) detail: Detail,
    pub(super) fate: Fate,
    pub(super) node: usize,
    pub(super) effect: Effect,
}

/// A client.
pub(super) struct Client {
    pub(super) process: u32,
    pub(super) positions: BTreeMap<Key, u64>,
    pub(super) busy: Option<Busy>,
    /// Its id and epoch, if it is idempotent.
    pub(super) producer: (u64, u32),
    pub(super) seqs: BTreeMap<Key, u64>,
    pub(super) member: String,
    pub(super) generation: Option<u64>,
    pub(super) assigned: Vec<Key>,
    /// Partitions that came or went since the last poll.
    pub(super) rebalanced: Vec<Key>,
}

impl Client {
    pub(super) fn new(process: u32) -> Client {
        Client {
            process,
            positions: BTreeMap::new(),
            busy: None,
            producer: (u64::from(process), 0),
            seqs: BTreeMap::new(),
            member: format!("m{process}"),
            generation: None,
            assigned: Vec::new(),
            rebalanced: Vec::new(),
        }
    }

    fn key(shape: &Shape, rng: &mut ChaCha8Rng) -> Key {
        Key(rng.random_range(0..shape.keys))
    }

    /// What it wants next.
    pub(super) fn intent(
        &mut self,
        shape: &Shape,
        value: &mut u64,
        rng: &mut ChaCha8Rng,
    ) -> (Operation, Detail) {
        let dice = rng.random_range(0..100);
        match shape.workload {
            Workload::Group if dice >= 40 => self.group_intent(dice, shape),
            _ if dice < 45 => self.send(shape, value, rng),
            Workload::Log | Workload::Idempotent | Workload::Group | Workload::Compacted => {
                self.log_intent(dice, shape, rng)
            }
        }
    }

    fn send(
        &mut self,
        shape: &Shape,
        value: &mut u64,
        rng: &mut ChaCha8Rng,
    ) -> (Operation, Detail) {
        let key = Client::key(shape, rng);
        let records = rng.random_range(1..=3);
        let mut detail = Detail { batch: rng.random_bool(0.3), ..Detail::default() };
        if shape.workload == Workload::Idempotent {
            let seq = self.seqs.get(&key).copied().unwrap_or_default();
            let (id, epoch) = self.producer;
            detail.producer = Some(ProducerStamp { id, epoch, seq });
        }
        let sends = (0..records).map(|_| {
            *value += 1;
            Micro::Send(key, Sent { offset: None, value: *value, crc: Some(crc_of(key, *value)) })
        });
        (Operation::Send(sends.collect()), detail)
    }

    fn log_intent(
        &mut self,
        dice: u32,
        shape: &Shape,
        rng: &mut ChaCha8Rng,
    ) -> (Operation, Detail) {
        let detail = Detail::default();
        let topic = |exists| Topic { topic: format!("t{}", dice % 2), exists };
        let setting = |value| Setting { topic: "t".to_owned(), name: "x".to_owned(), value };
        let operation = match dice {
            _ if self.positions.is_empty() || dice < 49 => {
                let keys: Vec<Key> = (0..shape.keys).map(Key).collect();
                let some = rng.random_range(1..=keys.len());
                let mut keys: Vec<Key> = keys.choose_multiple(rng, some).copied().collect();
                keys.sort_unstable();
                Operation::Assign(keys)
            }
            49..51 => Operation::Latest([(Client::key(shape, rng), 0)].into()),
            51 => Operation::CreateTopic(topic(None)),
            52 => Operation::DeleteTopic(topic(None)),
            53 => Operation::DescribeTopic(topic(None)),
            54 => Operation::SetConfig(setting(Some(rng.random_range(0..1_000_000)))),
            55 => Operation::GetConfig(setting(None)),
            56 if shape.workload != Workload::Compacted && rng.random_bool(0.1) => {
                Operation::Trim([(Client::key(shape, rng), 0)].into())
            }
            _ => {
                let mode = if dice < 65 { ReadMode::Local } else { ReadMode::Linearizable };
                return (Operation::Poll(vec![Micro::Poll(None)]), Detail { mode, ..detail });
            }
        };
        (operation, detail)
    }

    fn group_intent(&mut self, dice: u32, shape: &Shape) -> (Operation, Detail) {
        let group = "g".to_owned();
        let member = self.member.clone();
        let keys = || (0..shape.keys).map(Key);
        let operation = match (self.generation, dice) {
            (None, _) => Operation::Join(Membership { group, member, ..Membership::default() }),
            (Some(_), 40..42) => {
                Operation::DescribeGroup(GroupView { group, ..GroupView::default() })
            }
            (Some(_), 42..50) => Operation::Committed(Committed {
                group,
                offsets: keys().map(|key| (key, None)).collect(),
            }),
            (Some(generation), 50..60) if !self.positions.is_empty() => Operation::Commit(Commit {
                group,
                member,
                generation: Some(generation),
                offsets: self.positions.clone(),
                reset: false,
            }),
            (Some(generation), 40..75) => Operation::Heartbeat(Membership {
                group,
                member,
                generation: Some(generation),
                assigned: Vec::new(),
            }),
            _ => {
                let rebalanced = std::mem::take(&mut self.rebalanced);
                let (group, member) = (Some(group), Some(member));
                let detail = Detail { group, member, rebalanced, ..Detail::default() };
                return (Operation::Poll(vec![Micro::Poll(None)]), detail);
            }
        };
        (operation, Detail::default())
    }

    /// Hears what it may read from now on.
    pub(super) fn granted(&mut self, generation: u64, assigned: &[Key]) {
        self.generation = Some(generation);
        let changed = self.assigned.iter().filter(|key| !assigned.contains(key));
        let gained = assigned.iter().filter(|key| !self.assigned.contains(key));
        let moved: Vec<Key> = changed.chain(gained).copied().collect();
        for key in &moved {
            self.positions.remove(key);
        }
        self.rebalanced.extend(moved);
        self.assigned = assigned.to_vec();
    }
}
