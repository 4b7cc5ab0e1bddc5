//! The end of every run: heal, every partition accepts a write, read everything through every node, compare
//! what lies on the disks, restart all, read everything again.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::dump::dump;
use super::progress::say;
use crate::client::{Client, Failure, Wanted, payload};
use crate::cluster::{Cluster, name_of, until};
use crate::environment::Life;
use crate::fault::Trouble;
use crate::history::{
    Committed, Detail, Key, Kind, Micro, Operation, Process, ReadMode, Replica, Sent,
};
use crate::recorder::Recorder;
use crate::workload::with;

/// How long everything may take to be whole.
pub(super) const HEAL_PATIENCE: Duration = Duration::from_mins(1);
/// The same where something is known not to be: only what can still be seen is looked at.
pub(super) const BROKEN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a healthy partition may take to accept a write, and a page to be read.
const SERVE_PATIENCE: Duration = Duration::from_secs(30);
/// Records of one page.
const PAGE_RECORDS: u32 = 5000;
/// Processes of the finale count from here: nobody else comes so far.
const PROCESS_FIRST: u32 = 900_000_000;

/// What the finale works with.
pub(super) struct Finale {
    pub(super) cluster: Arc<Cluster>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) client: Client,
    pub(super) source: Option<IpAddr>,
    pub(super) values: Arc<AtomicU64>,
    /// The group of which the committed offsets are asked for.
    pub(super) group: Option<&'static str>,
    pub(super) dice: ChaCha8Rng,
    pub(super) process: u32,
    /// How long everything may take to be whole.
    pub(super) patience: Duration,
}

impl Finale {
    pub(super) async fn play(mut self) -> Result<(), Trouble> {
        self.process = PROCESS_FIRST;
        say(&self.recorder, "finale: heal, write, read through every node");
        self.heal().await?;
        for key in self.cluster.keys() {
            self.accept(key).await?;
        }
        self.read_all(0).await?;
        say(&self.recorder, "finale: stop all, compare what lies on the disks");
        for id in self.cluster.ids() {
            self.cluster
                .terminate(id)
                .await
                .map_err(|error| Trouble::Lasting(error.to_string()))?;
        }
        for id in self.client.nodes() {
            self.dump(id).await?;
        }
        say(&self.recorder, "finale: restart all, read again");
        self.heal().await?;
        self.read_all(1).await
    }

    async fn heal(&self) -> Result<(), Trouble> {
        for id in self.cluster.ids() {
            match self.cluster.life(id).await {
                Life::Runs => {}
                Life::Paused => self.cluster.resume(id).await?,
                Life::None | Life::Ended(_) => self.cluster.start(id).await?,
            }
        }
        let deadline = Instant::now() + self.patience;
        let lasting = |error: io::Error| Trouble::Lasting(format!("after all was healed: {error}"));
        self.cluster.until_healthy(deadline).await.map_err(lasting)?;
        self.cluster.until_in_sync(deadline).await.map_err(lasting)
    }

    /// A client is somebody else after each operation: none of these follows from another.
    fn next_process(&mut self) -> Process {
        self.process += 1;
        Process::Client(self.process)
    }

    /// A healthy partition accepts a write.
    async fn accept(&mut self, key: Key) -> Result<(), Trouble> {
        let deadline = Instant::now() + SERVE_PATIENCE;
        let nodes = self.client.nodes();
        let mut turn = nodes.iter().cycle();
        let accepted = until(deadline, async || {
            let node = *turn.next().ok_or("there are no nodes")?;
            let value = self.values.fetch_add(1, Ordering::Relaxed);
            let text = payload::write(key, value, &mut self.dice);
            let sent = |offset| {
                let sent = Sent { offset, value, crc: Some(payload::crc(&text)) };
                Operation::Send(vec![Micro::Send(key, sent)])
            };
            let process = self.next_process();
            let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
            let record = |kind, operation, detail| {
                self.recorder.record(process, kind, operation, detail);
            };
            record(Kind::Invoke, sent(None), detail.clone());
            match self.client.append(node, key, std::slice::from_ref(&text), None).await {
                Ok(appended) => {
                    let detail = with(detail, key, &appended.told);
                    record(Kind::Ok, sent(appended.offsets.first().copied()), detail);
                    Ok(())
                }
                Err(Failure::Info(why)) => {
                    let detail = Detail { error: Some(why.clone()), ..detail };
                    record(Kind::Info, sent(None), detail);
                    self.client =
                        self.client.fresh(self.source).map_err(|error| error.to_string())?;
                    Err(why)
                }
                Err(other) => {
                    let why = format!("{other:?}");
                    let detail = Detail { error: Some(why.clone()), ..detail };
                    record(Kind::Fail, sent(None), detail);
                    Err(why)
                }
            }
        });
        accepted.await.map_err(|why| {
            Trouble::Lasting(format!("partition {key} accepts nothing after all was healed: {why}"))
        })
    }

    async fn read_all(&mut self, round: u32) -> Result<(), Trouble> {
        for node in self.client.nodes() {
            for key in self.cluster.keys() {
                self.read(node, key, round).await?;
            }
            if let Some(group) = self.group {
                self.committed(node, group).await?;
            }
        }
        Ok(())
    }

    /// How far a group has come, asked through one node.
    async fn committed(&mut self, node: u8, group: &str) -> Result<(), Trouble> {
        let deadline = Instant::now() + SERVE_PATIENCE;
        let process = self.next_process();
        let keys: Vec<Key> = self.cluster.keys().collect();
        let asked = Committed { group: group.to_owned(), offsets: BTreeMap::new() };
        let detail = Detail { node: Some(name_of(node)), ..Detail::default() };
        let operation = Operation::Committed(asked.clone());
        self.recorder.record(process, Kind::Invoke, operation, detail.clone());
        let told = until(deadline, async || {
            let told = self.client.committed(node, group, &keys).await;
            told.map_err(Failure::into_words)
        });
        let offsets = told.await.map_err(|why| {
            Trouble::Lasting(format!(
                "the offsets of {group} cannot be read through n{node}: {why}"
            ))
        })?;
        let operation = Operation::Committed(Committed { offsets, ..asked });
        self.recorder.record(process, Kind::Ok, operation, detail);
        Ok(())
    }

    /// Everything of a partition, through one node.
    async fn read(&mut self, node: u8, key: Key, round: u32) -> Result<(), Trouble> {
        let deadline = Instant::now() + SERVE_PATIENCE;
        let process = self.next_process();
        let mut from = 0;
        loop {
            let name = name_of(node);
            let asked = Replica { node: name.clone(), key, round, ..Replica::default() };
            let detail = Detail { node: Some(name), ..Detail::default() };
            let operation = Operation::FinalRead(asked.clone());
            self.recorder.record(process, Kind::Invoke, operation, detail.clone());
            let page = until(deadline, async || {
                let wanted = Wanted {
                    from,
                    records_max: PAGE_RECORDS,
                    wait: Duration::ZERO,
                    mode: ReadMode::Linearizable,
                };
                match self.client.fetch(node, key, wanted).await {
                    Ok(page) => Ok(Ok(page)),
                    // Retention has taken its beginning.
                    Err(Failure::OutOfRange { log_start: Some(start), .. }) if start > from => {
                        Ok(Err(start))
                    }
                    Err(why) => Err(format!("{why:?}")),
                }
            });
            let page = match page.await {
                Ok(Ok(page)) => page,
                Ok(Err(start)) => {
                    from = start;
                    continue;
                }
                Err(why) => {
                    let why = format!("partition {key} cannot be read through n{node}: {why}");
                    let detail = Detail { error: Some(why.clone()), ..detail };
                    let operation = Operation::FinalRead(asked);
                    self.recorder.record(process, Kind::Fail, operation, detail);
                    return Err(Trouble::Lasting(why));
                }
            };
            let mut detail = with(detail, key, &page.told);
            let mut records = Vec::with_capacity(page.records.len());
            for (offset, text) in &page.records {
                match payload::read(key, *offset, text) {
                    Ok(record) => records.push(record),
                    Err(alien) => detail.aliens.push(alien),
                }
            }
            let end = page.told.high_watermark.unwrap_or(page.next);
            let complete = page.next >= end;
            let replica = Replica {
                log_start: page.told.log_start.unwrap_or(0),
                high_watermark: end,
                records,
                complete,
                ..asked
            };
            self.recorder.record(process, Kind::Ok, Operation::FinalRead(replica), detail);
            if complete {
                return Ok(());
            }
            from = page.next;
        }
    }

    /// What lies on a node's disk.
    async fn dump(&mut self, id: u8) -> Result<(), Trouble> {
        let data = self.cluster.node(id).site.data.clone();
        let (name, engine) = (name_of(id), self.cluster.product.engine.clone());
        let copies = tokio::task::spawn_blocking(move || dump(&name, &data, &engine)).await;
        let copies = copies.map_err(io::Error::other)?.map_err(|error| {
            Trouble::Lasting(format!("the disk of {} cannot be read: {error}", name_of(id)))
        })?;
        let found: BTreeMap<Key, u64> =
            copies.iter().map(|(replica, _)| (replica.key, replica.high_watermark)).collect();
        if found.len() != self.cluster.keys().count() {
            let why = format!("the disk of {} has copies of {found:?} only", name_of(id));
            return Err(Trouble::Lasting(why));
        }
        for (replica, aliens) in copies {
            let detail = Detail { node: Some(name_of(id)), aliens, ..Detail::default() };
            let process = self.next_process();
            let asked = Replica { node: name_of(id), key: replica.key, ..Replica::default() };
            let asked = Operation::ReplicaDump(asked);
            self.recorder.record(process, Kind::Invoke, asked, Detail::default());
            self.recorder.record(process, Kind::Ok, Operation::ReplicaDump(replica), detail);
        }
        Ok(())
    }
}
