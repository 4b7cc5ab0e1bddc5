//! Clients that append unique values and read them back, each with at most one operation under way.
//!
//! One client per partition stays at home: it has to do with that partition alone, and asks its leader. The others
//! roam. A node that hangs soon holds all who roam, one request each; those at home show what the other
//! partitions do meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::actor::Actor;
use super::load::Pace;
use super::producer::Producer;
use crate::client::{Appended, Failure, Page, Told, Wanted, payload};
use crate::cluster::name_of;
use crate::history::{Attempt, Detail, Key, Kind, Micro, Operation, ProducerStamp, ReadMode, Sent};

/// The most records of one batch.
const BATCH_MAX: u32 = 4;
/// The most records of one poll.
const POLL_MAX: u32 = 500;
/// The longest a poll waits for its first record.
const POLL_WAIT_MS_MAX: u64 = 200;
/// How far before the known end a new reader may begin.
const TAIL_RECORDS: u64 = 200;
/// How often an idempotent batch is sent before its client gives up.
const ATTEMPTS_MAX: u32 = 6;

/// A client that appends and reads.
pub(super) struct Writer {
    actor: Actor,
    /// What it has to do with: one, if it stays at home.
    keys: Vec<Key>,
    positions: BTreeMap<Key, u64>,
    /// The furthest offset seen, over all identities.
    ends: BTreeMap<Key, u64>,
    /// Who this is if sends are idempotent, and tried again.
    producer: Option<Producer>,
    values: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        actor: Actor,
        keys: Vec<Key>,
        idempotent: bool,
        values: &Arc<AtomicU64>,
    ) -> Self {
        let id = u64::from(actor.process());
        Self {
            actor,
            keys,
            positions: BTreeMap::new(),
            ends: BTreeMap::new(),
            producer: idempotent.then(|| Producer::new(id)),
            values: Arc::clone(values),
        }
    }

    pub(super) async fn work(mut self, mut pace: Pace) {
        while pace.next().await {
            if self.positions.is_empty() {
                self.assign();
            }
            match self.actor.dice.random_range(0..100) {
                0..60 => self.send().await,
                60..93 => self.poll().await,
                93..97 => self.latest().await,
                97..99 => self.assign(),
                _ => self.crash(),
            }
        }
    }

    fn is_at_home(&self) -> bool {
        self.keys.len() == 1
    }

    fn node(&mut self) -> u8 {
        match self.actor.answered {
            Some(leader) if self.is_at_home() => leader,
            _ => self.actor.node(),
        }
    }

    /// Whom to ask next: who was asked, or at home who leads.
    fn answered(&mut self, node: u8, told: &Told) {
        let leader = told.leader.filter(|_| self.is_at_home());
        self.actor.answered = Some(leader.unwrap_or(node));
    }

    fn key(&mut self) -> Key {
        self.keys.choose(&mut self.actor.dice).copied().unwrap_or_default()
    }

    /// Reads some partitions from now on: where it was, or near the end, or from the beginning.
    fn assign(&mut self) {
        let count = self.actor.dice.random_range(1..=self.keys.len());
        let mut keys = self.keys.iter().copied().choose_multiple(&mut self.actor.dice, count);
        keys.sort_unstable();
        // Who goes back while it reads sees old records again, which nobody could tell from an error.
        let from_beginning = self.positions.is_empty() && self.actor.dice.random_ratio(1, 4);
        let begin = |key: &Key| {
            let end = self.ends.get(key).copied().unwrap_or(0);
            let known = self.positions.get(key).copied();
            let from = known.unwrap_or_else(|| end.saturating_sub(TAIL_RECORDS));
            (*key, if from_beginning { 0 } else { from })
        };
        self.positions = keys.iter().map(begin).collect();
        let detail = Detail { seek_to_beginning: from_beginning, ..Detail::default() };
        self.actor.record(Kind::Invoke, Operation::Assign(keys.clone()), detail.clone());
        self.actor.record(Kind::Ok, Operation::Assign(keys), detail);
    }

    /// Throws itself away for no reason.
    fn crash(&mut self) {
        self.actor.record(Kind::Invoke, Operation::Crash, Detail::default());
        self.actor.record(Kind::Info, Operation::Crash, Detail::default());
        self.be_somebody_else();
    }

    fn be_somebody_else(&mut self) {
        self.actor.be_somebody_else();
        self.forget();
    }

    /// What its successor does not take over. It may be the same producer, an epoch later.
    fn forget(&mut self) {
        self.positions.clear();
        if let Some(producer) = self.producer.take() {
            let same = self.actor.dice.random::<bool>();
            let another = || Producer::new(u64::from(self.actor.process()));
            self.producer = Some(if same { producer.succeeded() } else { another() });
        }
    }

    async fn send(&mut self) {
        let (key, node) = (self.key(), self.node());
        let count = self.actor.dice.random_range(1..=BATCH_MAX);
        let first = self.values.fetch_add(u64::from(count), Ordering::Relaxed);
        let values: Vec<u64> = (first..).take(usize::try_from(count).unwrap_or(1)).collect();
        let texts: Vec<String> =
            values.iter().map(|value| payload::write(key, *value, &mut self.actor.dice)).collect();
        let sent = |offsets: Option<&[u64]>| {
            let each = values.iter().zip(&texts).enumerate().map(|(at, (value, text))| {
                let offset = offsets.and_then(|offsets| offsets.get(at).copied());
                Micro::Send(key, Sent { offset, value: *value, crc: Some(payload::crc(text)) })
            });
            Operation::Send(each.collect())
        };
        let zombie = self.zombie(key);
        let stamp = zombie.or_else(|| self.producer.as_ref().map(|producer| producer.stamp(key)));
        let mut detail = Detail {
            node: Some(name_of(node)),
            batch: count > 1,
            producer: stamp,
            ..Detail::default()
        };
        self.actor.record(Kind::Invoke, sent(None), detail.clone());
        let tried = match stamp {
            None => self.actor.client.append(node, key, &texts, None).await,
            Some(stamp) => {
                let (attempts, tried) = self.insist(node, key, &texts, stamp).await;
                detail.attempts = attempts;
                tried
            }
        };
        match tried {
            Ok(appended) => {
                let detail = with(detail, key, &appended.told);
                self.actor.record(Kind::Ok, sent(Some(&appended.offsets)), detail);
                self.answered(node, &appended.told);
                if let Some(producer) = self.producer.as_mut().filter(|_| zombie.is_none()) {
                    producer.wrote(key, count);
                }
                let end = appended.offsets.last().map_or(0, |last| last + 1);
                self.saw_end(key, end);
            }
            Err(failure) => self.ended_badly(sent(None), detail, failure),
        }
    }

    /// Now and then the epoch before writes instead.
    fn zombie(&mut self, key: Key) -> Option<ProducerStamp> {
        let zombie = self.producer.as_ref()?.zombie(key)?;
        self.actor.dice.random_ratio(1, 8).then_some(zombie)
    }

    /// Sends the same batch until it is answered, and now and then once more: it must be there once, and be told
    /// at the same offset. What was unknown once stays unknown until it is acknowledged.
    async fn insist(
        &mut self,
        first: u8,
        key: Key,
        texts: &[String],
        stamp: ProducerStamp,
    ) -> (Vec<Attempt>, Result<Appended, Failure>) {
        let mut attempts = Vec::new();
        let mut node = first;
        let mut unknown = None;
        let mut acknowledged = None;
        for _ in 0..ATTEMPTS_MAX {
            let tried = self.actor.client.append(node, key, texts, Some(stamp)).await;
            let base = tried.as_ref().ok().and_then(|appended| appended.offsets.first().copied());
            let kind = tried.as_ref().map_or_else(Failure::kind, |_| Kind::Ok);
            let bases = base.map(|base| (key, base)).into_iter().collect();
            attempts.push(Attempt { node: name_of(node), kind, bases });
            match tried {
                Ok(appended) => {
                    let again = acknowledged.is_none() && self.actor.dice.random_ratio(1, 8);
                    acknowledged.get_or_insert(appended);
                    if !again {
                        break;
                    }
                }
                Err(_) if acknowledged.is_some() => break,
                Err(Failure::Info(why)) => unknown = Some(why),
                Err(definite) if unknown.is_none() => return (attempts, Err(definite)),
                Err(_) => {}
            }
            node = self.actor.any_node();
        }
        (attempts, acknowledged.ok_or_else(|| Failure::Info(unknown.unwrap_or_default())))
    }

    async fn poll(&mut self) {
        let assigned = self.positions.iter().map(|(key, from)| (*key, *from));
        let Some((key, from)) = assigned.choose(&mut self.actor.dice) else { return };
        let node = self.node();
        let local = self.actor.dice.random_ratio(1, 5);
        let mode = if local { ReadMode::Local } else { ReadMode::Linearizable };
        let wait = Duration::from_millis(self.actor.dice.random_range(0..=POLL_WAIT_MS_MAX));
        let asked = Operation::Poll(vec![Micro::Poll(None)]);
        let detail = Detail { node: Some(name_of(node)), mode, ..Detail::default() };
        self.actor.record(Kind::Invoke, asked.clone(), detail.clone());
        let wanted = Wanted { from, records_max: POLL_MAX, wait, mode };
        match self.actor.client.fetch(node, key, wanted).await {
            Ok(page) => {
                let mut detail = with(detail, key, &page.told);
                let operation = polled(key, &page, &mut detail);
                self.actor.record(Kind::Ok, operation, detail);
                self.answered(node, &page.told);
                self.positions.insert(key, page.next);
                self.saw_end(key, page.next);
            }
            Err(Failure::OutOfRange { log_start, high_watermark }) => {
                let mut detail = detail;
                detail.out_of_range.insert(key, from);
                detail.high_watermarks.extend(high_watermark.map(|end| (key, end)));
                detail.log_starts.extend(log_start.map(|start| (key, start)));
                self.actor.record(Kind::Fail, asked, detail);
                // What was trimmed is skipped; what is not there yet is asked for again.
                let next = log_start.map_or(from, |start| from.max(start));
                self.positions.insert(key, next);
            }
            Err(failure) => self.ended_badly(asked, detail, failure),
        }
    }

    async fn latest(&mut self) {
        let (key, node) = (self.key(), self.node());
        let asked = |end: u64| Operation::Latest(BTreeMap::from([(key, end)]));
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.actor.record(Kind::Invoke, asked(0), detail.clone());
        match self.actor.client.latest(node, key).await {
            Ok(told) => {
                let end = told.high_watermark.unwrap_or(0);
                let detail = with(detail, key, &told);
                self.actor.record(Kind::Ok, asked(end), detail);
            }
            Err(failure) => self.ended_badly(asked(0), detail, failure),
        }
    }

    fn ended_badly(&mut self, operation: Operation, detail: Detail, failure: Failure) {
        if self.actor.ended_badly(operation, detail, failure) == Kind::Info {
            self.forget();
        }
    }

    fn saw_end(&mut self, key: Key, end: u64) {
        let known = self.ends.entry(key).or_default();
        *known = end.max(*known);
    }
}

/// A detail with what the answer told.
pub(crate) fn with(mut detail: Detail, key: Key, told: &Told) -> Detail {
    detail.node = told.leader.map(name_of).or(detail.node);
    detail.term = told.term;
    detail.high_watermarks.extend(told.high_watermark.map(|end| (key, end)));
    detail.log_starts.extend(told.log_start.map(|start| (key, start)));
    detail
}

/// A page as an operation; what is none of ours goes into the detail.
pub(super) fn polled(key: Key, page: &Page, detail: &mut Detail) -> Operation {
    let mut seen = Vec::with_capacity(page.records.len());
    for (offset, text) in &page.records {
        match payload::read(key, *offset, text) {
            Ok(record) => seen.push(record),
            Err(alien) => detail.aliens.push(alien),
        }
    }
    Operation::Poll(vec![Micro::Poll(Some(BTreeMap::from([(key, seen)])))])
}
