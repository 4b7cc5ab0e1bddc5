//! Clients that append unique values and read them back, each with at most one operation under way.
//!
//! After an `info` a client throws itself away: its next operation has a new process number and connections
//! of its own, so that a late effect of the old one is nobody's retry.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Appended, Client, Failure, Page, Told, Wanted, payload};
use crate::cluster::name_of;
use crate::history::{
    Attempt, Detail, Key, Kind, Micro, Operation, Process, ProducerStamp, ReadMode, Sent,
};
use crate::recorder::Recorder;

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

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many clients.
    pub clients: u32,
    /// How many operations all of them begin in a second, at most.
    pub rate: u32,
    /// Whether sends are idempotent, and tried again.
    pub idempotent: bool,
    /// All choices follow from it.
    pub seed: u64,
}

/// The workload, as long as it runs.
#[derive(Debug)]
pub struct Log {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Numbers that nobody else has.
    values: Arc<AtomicU64>,
}

/// Draws from the seed of a run for one of its parts: more draws in one do not shift the others.
pub(crate) fn dice(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(stream);
    dice
}

struct Worker {
    clients: u32,
    process: u32,
    client: Client,
    source: Option<IpAddr>,
    nodes: Vec<u8>,
    /// Who answered last.
    answered: Option<u8>,
    keys: Vec<Key>,
    positions: BTreeMap<Key, u64>,
    /// The furthest offset seen, over all identities.
    ends: BTreeMap<Key, u64>,
    /// Whether sends are idempotent.
    idempotent: bool,
    /// The next sequence numbers of this identity.
    sequences: BTreeMap<Key, u64>,
    dice: ChaCha8Rng,
    values: Arc<AtomicU64>,
    recorder: Arc<Recorder>,
}

impl Log {
    /// Starts the clients.
    pub fn start(
        rules: Rules,
        client: &Client,
        source: Option<IpAddr>,
        keys: &[Key],
        recorder: &Arc<Recorder>,
    ) -> std::io::Result<Self> {
        let stop = watch::Sender::new(false);
        let values = Arc::new(AtomicU64::new(1));
        let mut tasks = JoinSet::new();
        for slot in 0..rules.clients {
            let worker = Worker {
                clients: rules.clients,
                process: slot,
                client: client.fresh(source)?,
                source,
                nodes: client.nodes(),
                answered: None,
                keys: keys.to_vec(),
                positions: BTreeMap::new(),
                ends: BTreeMap::new(),
                idempotent: rules.idempotent,
                sequences: BTreeMap::new(),
                dice: dice(rules.seed, u64::from(slot) + 1),
                values: Arc::clone(&values),
                recorder: Arc::clone(recorder),
            };
            let gap = Duration::from_secs(1) * rules.clients / rules.rate.max(1);
            tasks.spawn(worker.work(gap, stop.subscribe()));
        }
        Ok(Self { stop, tasks, values })
    }

    /// Lets every client end its operation and go.
    pub async fn stop(mut self) -> Arc<AtomicU64> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.values
    }
}

impl Worker {
    async fn work(mut self, gap: Duration, stop: watch::Receiver<bool>) {
        let mut next = Instant::now() + gap.mul_f64(self.dice.random());
        while !*stop.borrow() {
            sleep_until(next).await;
            // An open loop: what took long is not made up for in a burst.
            next = (next + gap).max(Instant::now());
            if self.positions.is_empty() {
                self.assign();
            }
            match self.dice.random_range(0..100) {
                0..60 => self.send().await,
                60..93 => self.poll().await,
                93..97 => self.latest().await,
                97..99 => self.assign(),
                _ => self.crash(),
            }
        }
    }

    fn record(&self, kind: Kind, operation: Operation, detail: Detail) {
        self.recorder.record(Process::Client(self.process), kind, operation, detail);
    }

    /// Mostly the one that answered last: a client that keeps asking one that hangs does little else.
    fn node(&mut self) -> u8 {
        match self.answered {
            Some(node) if self.dice.random_ratio(3, 4) => node,
            _ => self.nodes.choose(&mut self.dice).copied().unwrap_or(1),
        }
    }

    fn key(&mut self) -> Key {
        self.keys.choose(&mut self.dice).copied().unwrap_or_default()
    }

    /// Reads some partitions from now on: where it was, or near the end, or from the beginning.
    fn assign(&mut self) {
        let count = self.dice.random_range(1..=self.keys.len());
        let mut keys = self.keys.iter().copied().choose_multiple(&mut self.dice, count);
        keys.sort_unstable();
        // Who goes back while it reads sees old records again, which nobody could tell from an error.
        let from_beginning = self.positions.is_empty() && self.dice.random_ratio(1, 4);
        let begin = |key: &Key| {
            let end = self.ends.get(key).copied().unwrap_or(0);
            let known = self.positions.get(key).copied();
            let from = known.unwrap_or_else(|| end.saturating_sub(TAIL_RECORDS));
            (*key, if from_beginning { 0 } else { from })
        };
        self.positions = keys.iter().map(begin).collect();
        let detail = Detail { seek_to_beginning: from_beginning, ..Detail::default() };
        self.record(Kind::Invoke, Operation::Assign(keys.clone()), detail.clone());
        self.record(Kind::Ok, Operation::Assign(keys), detail);
    }

    /// Throws itself away for no reason.
    fn crash(&mut self) {
        self.record(Kind::Invoke, Operation::Crash, Detail::default());
        self.record(Kind::Info, Operation::Crash, Detail::default());
        self.be_somebody_else();
    }

    fn be_somebody_else(&mut self) {
        self.process = self.process.saturating_add(self.clients);
        self.positions.clear();
        self.sequences.clear();
        if let Ok(client) = self.client.fresh(self.source) {
            self.client = client;
        }
    }

    async fn send(&mut self) {
        let (key, node) = (self.key(), self.node());
        let count = self.dice.random_range(1..=BATCH_MAX);
        let first = self.values.fetch_add(u64::from(count), Ordering::Relaxed);
        let values: Vec<u64> = (first..).take(usize::try_from(count).unwrap_or(1)).collect();
        let texts: Vec<String> =
            values.iter().map(|value| payload::write(key, *value, &mut self.dice)).collect();
        let sent = |offsets: Option<&[u64]>| {
            let each = values.iter().zip(&texts).enumerate().map(|(at, (value, text))| {
                let offset = offsets.and_then(|offsets| offsets.get(at).copied());
                Micro::Send(key, Sent { offset, value: *value, crc: Some(payload::crc(text)) })
            });
            Operation::Send(each.collect())
        };
        let stamp = self.stamp(key);
        let mut detail = Detail {
            node: Some(name_of(node)),
            batch: count > 1,
            producer: stamp,
            ..Detail::default()
        };
        self.record(Kind::Invoke, sent(None), detail.clone());
        let tried = match stamp {
            None => self.client.append(node, key, &texts, None).await,
            Some(stamp) => {
                let (attempts, tried) = self.insist(node, key, &texts, stamp).await;
                detail.attempts = attempts;
                tried
            }
        };
        match tried {
            Ok(appended) => {
                let detail = with(detail, key, &appended.told);
                self.record(Kind::Ok, sent(Some(&appended.offsets)), detail);
                self.answered = Some(node);
                *self.sequences.entry(key).or_default() += u64::from(count);
                let end = appended.offsets.last().map_or(0, |last| last + 1);
                self.saw_end(key, end);
            }
            Err(failure) => self.ended_badly(sent(None), detail, failure),
        }
    }

    /// What an idempotent send says: each client is a producer of its own, and counts per partition.
    fn stamp(&self, key: Key) -> Option<ProducerStamp> {
        let seq = self.sequences.get(&key).copied().unwrap_or(0);
        self.idempotent.then(|| ProducerStamp { id: u64::from(self.process), epoch: 0, seq })
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
            let tried = self.client.append(node, key, texts, Some(stamp)).await;
            let base = tried.as_ref().ok().and_then(|appended| appended.offsets.first().copied());
            let kind = match &tried {
                Ok(_) => Kind::Ok,
                Err(Failure::Info(_)) => Kind::Info,
                Err(Failure::Fail(_) | Failure::OutOfRange { .. }) => Kind::Fail,
            };
            let bases = base.map(|base| (key, base)).into_iter().collect();
            attempts.push(Attempt { node: name_of(node), kind, bases });
            match tried {
                Ok(appended) => {
                    let again = acknowledged.is_none() && self.dice.random_ratio(1, 8);
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
            node = self.nodes.choose(&mut self.dice).copied().unwrap_or(node);
        }
        (attempts, acknowledged.ok_or_else(|| Failure::Info(unknown.unwrap_or_default())))
    }

    async fn poll(&mut self) {
        let assigned = self.positions.iter().map(|(key, from)| (*key, *from));
        let Some((key, from)) = assigned.choose(&mut self.dice) else { return };
        let node = self.node();
        let local = self.dice.random_ratio(1, 5);
        let mode = if local { ReadMode::Local } else { ReadMode::Linearizable };
        let wait = Duration::from_millis(self.dice.random_range(0..=POLL_WAIT_MS_MAX));
        let asked = Operation::Poll(vec![Micro::Poll(None)]);
        let detail = Detail { node: Some(name_of(node)), mode, ..Detail::default() };
        self.record(Kind::Invoke, asked.clone(), detail.clone());
        let wanted = Wanted { from, records_max: POLL_MAX, wait, mode };
        match self.client.fetch(node, key, wanted).await {
            Ok(page) => {
                let mut detail = with(detail, key, &page.told);
                let operation = polled(key, &page, &mut detail);
                self.record(Kind::Ok, operation, detail);
                self.answered = Some(node);
                self.positions.insert(key, page.next);
                self.saw_end(key, page.next);
            }
            Err(Failure::OutOfRange { log_start, high_watermark }) => {
                let mut detail = detail;
                detail.out_of_range.insert(key, from);
                detail.high_watermarks.extend(high_watermark.map(|end| (key, end)));
                detail.log_starts.extend(log_start.map(|start| (key, start)));
                self.record(Kind::Fail, asked, detail);
                self.positions.clear();
            }
            Err(failure) => self.ended_badly(asked, detail, failure),
        }
    }

    async fn latest(&mut self) {
        let (key, node) = (self.key(), self.node());
        let asked = |end: u64| Operation::Latest(BTreeMap::from([(key, end)]));
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        self.record(Kind::Invoke, asked(0), detail.clone());
        match self.client.latest(node, key).await {
            Ok(told) => {
                let end = told.high_watermark.unwrap_or(0);
                let detail = with(detail, key, &told);
                self.record(Kind::Ok, asked(end), detail);
            }
            Err(failure) => self.ended_badly(asked(0), detail, failure),
        }
    }

    fn ended_badly(&mut self, operation: Operation, detail: Detail, failure: Failure) {
        self.answered = None;
        let (kind, why) = match failure {
            Failure::Fail(why) => (Kind::Fail, why),
            Failure::Info(why) => (Kind::Info, why),
            Failure::OutOfRange { .. } => (Kind::Fail, "out of range".to_owned()),
        };
        self.record(kind, operation, Detail { error: Some(why), ..detail });
        if kind == Kind::Info {
            self.be_somebody_else();
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
fn polled(key: Key, page: &Page, detail: &mut Detail) -> Operation {
    let mut seen = Vec::with_capacity(page.records.len());
    for (offset, text) in &page.records {
        match payload::read(key, *offset, text) {
            Ok(record) => seen.push(record),
            Err(alien) => detail.aliens.push(alien),
        }
    }
    Operation::Poll(vec![Micro::Poll(Some(BTreeMap::from([(key, seen)])))])
}
