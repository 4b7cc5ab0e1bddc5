//! Runs the model: clients that overlap, faults that hold them up, and copies at the end.
//!
//! Each operation begins, takes effect at one instant, and ends; between these others go on. One whose answer is
//! lost has taken effect, or will later, or never.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each place knows the few operations that it acts on"
)]

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::client::{Busy, Client, Effect, Fate};
use super::cluster::Cluster;
use crate::history::{
    Attempt, Commit, Committed, Detail, Event, Fault, FaultStage, Header, Key, Kind, Leadership,
    Membership, Micro, NodeState, Operation, Process, ReadMode, Replica, Sent, State, SubscribedBy,
    TermStart,
};

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Send, assign, poll; topics and settings.
    Log,
    /// The same, with idempotent producers.
    Idempotent,
    /// Send, and poll as members of one group.
    Group,
    /// As the first, in a compacted topic.
    Compacted,
}

/// What kind of history to make.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// All choices follow from it.
    pub seed: u64,
    /// How many operations.
    pub operations: u64,
    /// How many partitions.
    pub keys: u32,
    /// How many clients at a time.
    pub clients: usize,
    /// What they do.
    pub workload: Workload,
    /// Operations between two faults; 0 for none.
    pub fault_every: u64,
    /// How many replicas are read at the end.
    pub replicas: u32,
}

/// Records per part of a copy.
const PART_RECORDS: usize = 1_000;
const NODES: usize = 3;
/// Keys of records, where they have any.
const RECORD_KEYS: u64 = 7;

struct Run<'a> {
    shape: Shape,
    rng: ChaCha8Rng,
    cluster: Cluster,
    clients: Vec<Client>,
    /// Operations without an answer that may still take effect.
    late: Vec<(Client, Busy)>,
    /// Members that nobody stands behind any more.
    zombies: Vec<String>,
    value: u64,
    processes: u32,
    index: u64,
    time: u64,
    /// Until when no record can be sent to a partition.
    blocked: BTreeMap<Key, u64>,
    term: u64,
    faults: u64,
    down: Option<(String, u64, Vec<Key>)>,
    sink: &'a mut dyn FnMut(Event),
}

/// The header of such a history.
pub fn header(shape: &Shape) -> Header {
    let group = shape.workload == Workload::Group;
    Header {
        seed: shape.seed,
        workload: format!("{:?}", shape.workload).to_lowercase(),
        nodes: (0..NODES).map(node_name).collect(),
        environment: [("made by".to_owned(), "the model".to_owned())].into(),
        subscribed_by: if group { SubscribedBy::Subscribe } else { SubscribedBy::Assign },
        compacted: (shape.workload == Workload::Compacted).then_some(RECORD_KEYS),
        final_replicas: shape.replicas,
        ..Header::default()
    }
}

/// All events of such a history.
pub fn events(shape: &Shape) -> Vec<Event> {
    let mut events = Vec::new();
    run(shape, &mut |event| events.push(event));
    events
}

/// Makes such a history, one event at a time.
pub fn run(shape: &Shape, sink: &mut dyn FnMut(Event)) {
    let mut run = Run {
        shape: *shape,
        rng: ChaCha8Rng::seed_from_u64(shape.seed),
        cluster: Cluster::new(shape.keys),
        clients: Vec::new(),
        late: Vec::new(),
        zombies: Vec::new(),
        value: 0,
        processes: 0,
        index: 0,
        time: 0,
        blocked: BTreeMap::new(),
        term: 1,
        faults: 0,
        down: None,
        sink,
    };
    run.go();
}

fn node_name(node: usize) -> String {
    format!("n{}", node + 1)
}

#[expect(clippy::unnecessary_wraps, reason = "an effect is refused by `None`")]
fn answer(operation: Operation) -> Option<(Operation, Detail)> {
    Some((operation, Detail::default()))
}

impl Run<'_> {
    fn emit(&mut self, process: Process, kind: Kind, operation: Operation, detail: Detail) {
        let event = Event { index: self.index, time: self.time, process, kind, operation, detail };
        self.index += 1;
        (self.sink)(event);
    }

    fn go(&mut self) {
        self.see_all_up();
        for _ in 0..self.shape.clients {
            self.processes += 1;
            self.clients.push(Client::new(self.processes));
        }
        let mut begun = 0;
        let mut busy = 0;
        while begun < self.shape.operations || busy > 0 {
            self.time += self.rng.random_range(20_000..500_000);
            let place = self.rng.random_range(0..self.clients.len());
            let mut client = self.clients.swap_remove(place);
            if client.busy.is_none() {
                if begun < self.shape.operations {
                    self.begin(&mut client);
                    begun += 1;
                    busy += 1;
                    self.harm(begun);
                }
            } else if self.proceed(&mut client) {
                busy -= 1;
            }
            self.clients.push(client);
            self.settle_late();
            self.compact();
        }
        self.heal();
        self.late.clear();
        self.copies();
    }

    fn begin(&mut self, client: &mut Client) {
        let (intent, mut detail) = client.intent(&self.shape, &mut self.value, &mut self.rng);
        let fate = match self.rng.random_range(0..100) {
            0..94 => Fate::Ok,
            94..97 => Fate::Fail,
            97 | 98 => Fate::Lost,
            _ => Fate::Late,
        };
        let node = self.rng.random_range(0..NODES);
        detail.node = Some(node_name(node));
        self.emit(Process::Client(client.process), Kind::Invoke, intent.clone(), detail.clone());
        client.busy = Some(Busy { intent, detail, fate, node, effect: Effect::Pending });
    }

    /// Takes effect, or ends; true if it ended.
    fn proceed(&mut self, client: &mut Client) -> bool {
        let Some(mut busy) = client.busy.take() else { return false };
        let held_up = busy.intent.micros().into_iter().flatten().any(|micro| match micro {
            Micro::Send(key, _) => self.blocked.get(key).is_some_and(|until| *until > self.time),
            Micro::Poll(_) => false,
        });
        let acts = matches!(busy.fate, Fate::Ok | Fate::Lost);
        if acts && matches!(busy.effect, Effect::Pending) {
            if !held_up {
                busy.effect = match self.effect(client, &busy) {
                    Some((operation, detail)) => Effect::Taken(operation, Box::new(detail)),
                    None => Effect::Refused,
                };
            }
            client.busy = Some(busy);
            return false;
        }
        let process = Process::Client(client.process);
        let effect = std::mem::replace(&mut busy.effect, Effect::Pending);
        match (busy.fate, effect) {
            (Fate::Ok, Effect::Taken(operation, detail)) => {
                self.heard(client, &operation, &detail);
                let detail = Detail { node: Some(node_name(busy.node)), ..*detail };
                self.emit(process, Kind::Ok, operation, detail);
            }
            (Fate::Ok | Fate::Fail, _) => {
                let error = Some("refused".to_owned());
                self.emit(process, Kind::Fail, busy.intent, Detail { error, ..busy.detail });
                if matches!(self.shape.workload, Workload::Group) && busy.fate == Fate::Ok {
                    // A member that is told so is none any more.
                    self.retire(client);
                }
            }
            (Fate::Lost | Fate::Late, _) => {
                let error = Some("timed out".to_owned());
                let detail = Detail { error, ..busy.detail.clone() };
                self.emit(process, Kind::Info, busy.intent.clone(), detail);
                let gone = self.retire(client);
                if busy.fate == Fate::Late {
                    self.late.push((gone, busy));
                }
            }
        }
        true
    }

    /// Replaces a client by a new one; as a producer it may be the same, an epoch later.
    fn retire(&mut self, client: &mut Client) -> Client {
        self.processes += 1;
        let mut next = Client::new(self.processes);
        if self.shape.workload == Workload::Idempotent && self.rng.random_bool(0.5) {
            next.producer = (client.producer.0, client.producer.1 + 1);
        }
        let gone = std::mem::replace(client, next);
        self.zombies.push(gone.member.clone());
        gone
    }

    /// Compacts a log up to somewhere, now and then.
    fn compact(&mut self) {
        if self.shape.workload == Workload::Compacted && self.rng.random_bool(0.01) {
            let key = Key(self.rng.random_range(0..self.shape.keys));
            let upto = self.rng.random_range(0..=self.cluster.log(key).next);
            self.cluster.compact(key, RECORD_KEYS, upto);
        }
    }

    /// What hangs may come, and who is gone is expelled.
    fn settle_late(&mut self) {
        if !self.late.is_empty() && self.rng.random_bool(0.05) {
            let (mut client, busy) = self.late.swap_remove(0);
            if self.rng.random_bool(0.5) {
                self.effect(&mut client, &busy);
            }
        }
        if !self.zombies.is_empty() && self.rng.random_bool(0.05) {
            let member = self.zombies.swap_remove(0);
            self.cluster.group.remove(&member);
        }
        let group = self.shape.workload == Workload::Group;
        if group && self.rng.random_bool(0.001) {
            // A session ends that its member still believes in.
            let members: Vec<String> = self.cluster.group.members.keys().cloned().collect();
            if let Some(member) = members.get(self.rng.random_range(0..members.len().max(1))) {
                self.cluster.group.remove(member);
            }
        }
    }

    /// What a client learns from an answer.
    fn heard(&mut self, client: &mut Client, operation: &Operation, detail: &Detail) {
        match operation {
            Operation::Assign(keys) => {
                client.positions.retain(|key, _| keys.contains(key));
                for key in keys {
                    let start = self.cluster.log(*key).start;
                    client.positions.entry(*key).or_insert(start);
                }
            }
            Operation::Poll(micros) => {
                for micro in micros {
                    let Micro::Poll(Some(polled)) = micro else { continue };
                    for (key, records) in polled {
                        if let Some(last) = records.last() {
                            client.positions.insert(*key, last.offset + 1);
                        }
                    }
                }
            }
            Operation::Send(micros) if detail.producer.is_some() => {
                for micro in micros {
                    if let Micro::Send(key, _) = micro {
                        *client.seqs.entry(*key).or_default() += 1;
                    }
                }
            }
            Operation::Join(told) | Operation::Heartbeat(told) => {
                client.granted(told.generation.unwrap_or_default(), &told.assigned);
            }
            _ => {}
        }
    }

    /// The instant at which it happens; `None` if it is refused.
    fn effect(&mut self, client: &mut Client, busy: &Busy) -> Option<(Operation, Detail)> {
        match &busy.intent {
            Operation::Send(micros) => self.send(micros, &busy.detail),
            Operation::Poll(_) => self.poll(client, busy),
            Operation::Latest(keys) => {
                let ends = keys.keys().map(|key| (*key, self.cluster.log(*key).next));
                answer(Operation::Latest(ends.collect()))
            }
            Operation::Trim(keys) => {
                let mut to = BTreeMap::new();
                for key in keys.keys() {
                    let log = self.cluster.log(*key);
                    log.start = log.start.max(self.rng.random_range(0..=log.next / 2));
                    let start = log.start;
                    log.records.retain(|seen| seen.offset >= start);
                    to.insert(*key, start);
                }
                answer(Operation::Trim(to))
            }
            Operation::CreateTopic(topic) => {
                let exists = self.cluster.exists.entry(topic.topic.clone()).or_default();
                (!std::mem::replace(exists, true)).then(|| answer(busy.intent.clone())).flatten()
            }
            Operation::DeleteTopic(topic) => {
                let exists = self.cluster.exists.entry(topic.topic.clone()).or_default();
                std::mem::replace(exists, false).then(|| answer(busy.intent.clone())).flatten()
            }
            Operation::DescribeTopic(topic) => {
                let exists = self.cluster.exists.get(&topic.topic).copied().unwrap_or_default();
                let mut topic = topic.clone();
                topic.exists = Some(exists);
                answer(Operation::DescribeTopic(topic))
            }
            Operation::SetConfig(setting) => {
                let name = format!("{}:{}", setting.topic, setting.name);
                self.cluster.settings.extend(setting.value.map(|value| (name, value)));
                answer(busy.intent.clone())
            }
            Operation::GetConfig(setting) => {
                let name = format!("{}:{}", setting.topic, setting.name);
                let mut setting = setting.clone();
                setting.value = self.cluster.settings.get(&name).copied();
                answer(Operation::GetConfig(setting))
            }
            _ => self.group(busy),
        }
    }

    fn group(&mut self, busy: &Busy) -> Option<(Operation, Detail)> {
        let logs = &self.cluster.logs;
        let start = |key: Key| logs.get(&key).map_or(0, |log| log.start);
        let group = &mut self.cluster.group;
        match &busy.intent {
            Operation::Join(join) => {
                group.join(&join.member);
                let generation = Some(group.generation);
                answer(Operation::Join(Membership { generation, ..join.clone() }))
            }
            Operation::Heartbeat(beat) => {
                let says = beat.generation.unwrap_or_default();
                let assigned = group.beat(&beat.member, says, start)?;
                let generation = Some(group.generation);
                answer(Operation::Heartbeat(Membership { generation, assigned, ..beat.clone() }))
            }
            Operation::Commit(Commit { member, offsets, .. }) => {
                group.commit(member, offsets).then(|| answer(busy.intent.clone())).flatten()
            }
            Operation::Committed(Committed { group: name, offsets }) => {
                let told = offsets.keys().map(|key| (*key, group.committed.get(key).copied()));
                let told = Committed { group: name.clone(), offsets: told.collect() };
                answer(Operation::Committed(told))
            }
            Operation::DescribeGroup(_) => answer(Operation::DescribeGroup(group.view())),
            other => answer(other.clone()),
        }
    }

    fn send(&mut self, micros: &[Micro], asked: &Detail) -> Option<(Operation, Detail)> {
        let mut by_key: BTreeMap<Key, Vec<Sent>> = BTreeMap::new();
        for micro in micros {
            if let Micro::Send(key, sent) = micro {
                by_key.entry(*key).or_default().push(*sent);
            }
        }
        let mut told = Vec::new();
        let mut detail = Detail { term: Some(self.term), ..asked.clone() };
        for (key, sent) in by_key {
            let values: Vec<u64> = sent.iter().map(|sent| sent.value).collect();
            let stamp = asked.producer.map(|stamp| (stamp.id, stamp.epoch, stamp.seq));
            let base = self.cluster.append(key, &values, stamp, &mut self.rng)?;
            if stamp.is_some() && self.rng.random_bool(0.3) {
                // Its first answer was lost, and it was sent again.
                let again = self.cluster.append(key, &values, stamp, &mut self.rng)?;
                let attempt = |kind, bases| Attempt { node: "n1".to_owned(), kind, bases };
                detail.attempts.push(attempt(Kind::Info, BTreeMap::new()));
                detail.attempts.push(attempt(Kind::Ok, [(key, again)].into()));
            }
            for (sent, offset) in sent.into_iter().zip(base..) {
                told.push(Micro::Send(key, Sent { offset: Some(offset), ..sent }));
            }
        }
        Some((Operation::Send(told), detail))
    }

    fn poll(&mut self, client: &mut Client, busy: &Busy) -> Option<(Operation, Detail)> {
        let group = busy.detail.group.is_some();
        let positions = if group {
            if !self.cluster.group.members.contains_key(&client.member) {
                return None;
            }
            let mut positions = self.cluster.group.positions(&client.member);
            positions.retain(|key, _| client.assigned.contains(key));
            positions
        } else {
            client.positions.clone()
        };
        let mut detail = busy.detail.clone();
        let mut polled = BTreeMap::new();
        for (key, position) in positions {
            let below = match detail.mode {
                ReadMode::Local => self.cluster.local_high_watermark(busy.node, key, &mut self.rng),
                ReadMode::Linearizable => self.cluster.log(key).next,
            };
            detail.high_watermarks.insert(key, below);
            if detail.mode == ReadMode::Linearizable {
                detail.log_starts.insert(key, self.cluster.log(key).start);
            }
            let records = self.cluster.read(key, position, below);
            if let Some(last) = records.last() {
                if group {
                    self.cluster.group.advance(key, last.offset + 1);
                }
                polled.insert(key, records);
            }
        }
        Some((Operation::Poll(vec![Micro::Poll(Some(polled))]), detail))
    }

    fn see_all_up(&mut self) {
        let nodes = (0..NODES).map(|node| (node_name(node), NodeState::Up)).collect();
        let leaders = (0..self.shape.keys).map(|key| {
            let node = usize::try_from(key).unwrap_or_default() % NODES;
            (Key(key), Leadership { leader: Some(node_name(node)), term: 1 })
        });
        let state = State { nodes, leaders: leaders.collect() };
        self.emit(Process::Observer, Kind::Info, Operation::State(state), Detail::default());
    }

    /// Now and then a leader dies, and comes back a little later.
    fn harm(&mut self, begun: u64) {
        let every = self.shape.fault_every;
        if every == 0 {
            return;
        }
        match begun % every {
            0 => self.kill(),
            rest if rest == every / 4 => self.elect(),
            rest if rest == every / 2 => self.heal(),
            _ => {}
        }
    }

    fn fault(&mut self, stage: FaultStage, node: &str, keys: &[Key], terms: u64) {
        let effect =
            if terms > 0 { [("terms_advanced".to_owned(), terms)].into() } else { BTreeMap::new() };
        let fault = Fault {
            name: "kill-leader".to_owned(),
            id: self.faults,
            stage,
            nodes: vec![node.to_owned()],
            keys: keys.to_vec(),
            effect,
            why: String::new(),
        };
        self.emit(Process::Nemesis, Kind::Info, Operation::Fault(fault), Detail::default());
    }

    fn kill(&mut self) {
        let node = usize::try_from(self.faults).unwrap_or_default() % NODES;
        let all = (0..self.shape.keys).map(Key);
        let keys: Vec<Key> =
            all.filter(|key| usize::try_from(key.0).unwrap_or_default() % NODES == node).collect();
        let until = self.time + self.rng.random_range(150_000_000..600_000_000);
        self.blocked = keys.iter().map(|key| (*key, until)).collect();
        self.faults += 1;
        self.fault(FaultStage::Inject, &node_name(node), &keys, 0);
        let leaders = keys.iter().map(|key| (*key, Leadership { leader: None, term: self.term }));
        let nodes = [(node_name(node), NodeState::Down)].into();
        let state = State { nodes, leaders: leaders.collect() };
        self.emit(Process::Observer, Kind::Info, Operation::State(state), Detail::default());
        self.down = Some((node_name(node), until, keys));
    }

    fn elect(&mut self) {
        let Some((_, until, keys)) = self.down.clone() else { return };
        self.time = self.time.max(until);
        self.term += 1;
        let successor = node_name((usize::try_from(self.faults).unwrap_or_default() + 1) % NODES);
        let leader = Leadership { leader: Some(successor), term: self.term };
        let leaders = keys.into_iter().map(|key| (key, leader.clone())).collect();
        let state = State { nodes: BTreeMap::new(), leaders };
        self.emit(Process::Observer, Kind::Info, Operation::State(state), Detail::default());
    }

    fn heal(&mut self) {
        let Some((node, _, keys)) = self.down.take() else { return };
        self.fault(FaultStage::Heal, &node, &keys, 1);
        let state = State { nodes: [(node, NodeState::Up)].into(), leaders: BTreeMap::new() };
        self.emit(Process::Observer, Kind::Info, Operation::State(state), Detail::default());
    }

    /// Every replica's copy, before and after a restart, served and on its disk.
    fn copies(&mut self) {
        let logs = std::mem::take(&mut self.cluster.logs);
        for (key, log) in &logs {
            for node in 0..usize::try_from(self.shape.replicas).unwrap_or_default() {
                for round in 0..2 {
                    let whole = Replica {
                        node: node_name(node),
                        key: *key,
                        round,
                        log_start: log.start,
                        high_watermark: log.next,
                        ..Replica::default()
                    };
                    let parts = log.records.len().div_ceil(PART_RECORDS).max(1);
                    for part in 0..parts {
                        let records =
                            log.records.chunks(PART_RECORDS).nth(part).unwrap_or_default();
                        let complete = part + 1 == parts;
                        let records = records.to_vec();
                        let served = Replica { records, complete, ..whole.clone() };
                        let terms =
                            if part == 0 { vec![TermStart { term: 1, offset: 0 }] } else { vec![] };
                        let dump = Replica { terms, ..served.clone() };
                        self.copy(Operation::FinalRead(served));
                        if round == 1 {
                            self.copy(Operation::ReplicaDump(dump));
                        }
                    }
                }
            }
        }
    }

    fn copy(&mut self, operation: Operation) {
        self.time += 50_000;
        let asked = match &operation {
            Operation::FinalRead(replica) => {
                Operation::FinalRead(Replica { records: Vec::new(), ..replica.clone() })
            }
            other => other.clone(),
        };
        let process = Process::Client(self.processes + 1);
        self.emit(process, Kind::Invoke, asked, Detail::default());
        self.emit(process, Kind::Ok, operation, Detail::default());
    }
}
