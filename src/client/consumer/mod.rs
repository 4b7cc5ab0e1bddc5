//! Reading records: partitions that are assigned, or a group's share of topics.
//!
//! ```text
//!   leaders ── fetcher (a task a partition, a page ahead) ── shelf ── poll, next, stream
//!   group   ── membership (a task: heartbeats)  ── news ──┘    │
//!           ── clerk (a task: commits in their order) ◄────────┘
//! ```
//!
//! Invariants:
//! - a position moves only when a record is given out; whatever happens to brokers, each record of a
//!   partition comes once and in order, until its partition goes to another member;
//! - what is committed automatically was given out by an earlier call: at least once;
//! - what is read ahead has about [`ConsumerBuilder::prefetch_bytes`], at least two pages of
//!   `FETCH_BYTES_MIN` a partition.

mod builder;
mod commits;
mod fetcher;
mod membership;
mod place;
mod rebalance;
mod record;
mod shelf;

pub use builder::ConsumerBuilder;
pub use commits::{Commits, Committing};
pub use place::{Begin, Place};
pub use rebalance::{OnRebalance, Rebalance};
pub use record::Record;

use super::groups::{Commit, Committed, NewMember};
use super::leaders::Leaders;
use super::{Client, Error};
use crate::coordinator::TopicPartition;
use crate::tasks::Tasks;
use crate::topic::{PartitionId, TopicName};
use commits::{Clerk, Member};
use fetcher::{Event, Fetcher};
use futures::Stream;
use membership::{Membership, News};
use shelf::{Flow, Shelf};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};

/// Bytes of a page at least and at most.
const FETCH_BYTES_MIN: u64 = 16 * 1024;
const FETCH_BYTES_MAX: u64 = 1024 * 1024;
/// How long the tasks may take to end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// How a consumer reads.
#[derive(Debug, Clone, Copy)]
struct Options {
    begin: Begin,
    records_max: usize,
    prefetch_bytes: u64,
    auto_commit: Option<Duration>,
}

/// Reads records. Dropping it leaves its group in the background; [`Consumer::close`] waits for that.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let server = ottla::server::Server::start_alone(data.path()).await?;
/// # let address = server.http_address().to_string();
/// # let client = ottla::client::Client::new(&[address.clone()], std::time::Duration::from_secs(10));
/// # let new = ottla::client::NewTopic { partitions: Some(3), ..Default::default() };
/// # client.create(&ottla::topic::TopicName::new("orders")?, &new).await?;
/// # let producer = ottla::client::Producer::builder([address.clone()]).build()?;
/// # producer.send("orders", "ada", "tea").await?;
/// # producer.close().await?;
/// use futures::TryStreamExt;
/// use ottla::client::Consumer;
/// use ottla::client::consumer::Place;
/// use std::time::Duration;
///
/// let mut consumer = Consumer::builder([address]).build()?;
/// consumer.assign_topic("orders", Place::Earliest).await?;
///
/// for record in consumer.poll(Duration::from_secs(5)).await? {
///     println!("{} {}: {}", record.at, record.offset, record.text());
/// #   assert_eq!(record.text(), "tea");
///     consumer.seek(&record.at, Place::Offset(record.offset))?;
/// }
///
/// let again = std::pin::pin!(consumer.stream()).try_next().await?;
/// # assert_eq!(again.unwrap().text(), "tea");
/// # server.shutdown().await?;
/// # Ok(()) }
/// ```
pub struct Consumer {
    client: Client,
    leaders: Leaders,
    group: Option<String>,
    options: Options,
    shelf: Shelf,
    events: (UnboundedSender<Event>, UnboundedReceiver<Event>),
    /// Counts the fetchers.
    rounds: u64,
    /// Bytes of a page, by how many partitions there are.
    page_bytes: Arc<AtomicU64>,
    commits: Option<Commits>,
    commit_due: Instant,
    listener: Option<Box<dyn OnRebalance>>,
    /// Of a member.
    news: Option<UnboundedReceiver<News>>,
    /// What was heard and not done yet.
    pending: Option<News>,
    tasks: Tasks,
}

impl Consumer {
    /// A consumer for the cluster of which `servers` (`host:port`) are some brokers.
    pub fn builder(servers: impl IntoIterator<Item = impl Into<String>>) -> ConsumerBuilder {
        ConsumerBuilder::new(servers.into_iter().map(Into::into).collect())
    }

    fn new(
        client: Client,
        group: Option<String>,
        wish: NewMember,
        listener: Option<Box<dyn OnRebalance>>,
        options: Options,
    ) -> Self {
        let tasks = Tasks::new();
        let member = Member::default();
        let commits = group.clone().map(|group| {
            let (commits, jobs) = Commits::new();
            let clerk = Clerk { client: client.clone(), group, member: member.clone(), jobs };
            tasks.spawn("consumer commits", clerk.run());
            commits
        });
        let subscribes = wish.topics.is_some() || wish.topic_pattern.is_some();
        let news = group.clone().filter(|_| subscribes).map(|group| {
            let (news, heard) = mpsc::unbounded_channel();
            let (client, stopping) = (client.clone(), tasks.stopping().clone());
            let membership = Membership { client, group, wish, member, news, stopping };
            tasks.spawn_to_end("group member", membership.run());
            heard
        });
        Self {
            leaders: Leaders::new(client.clone()),
            client,
            group,
            options,
            shelf: Shelf::default(),
            events: mpsc::unbounded_channel(),
            rounds: 0,
            page_bytes: Arc::new(AtomicU64::new(FETCH_BYTES_MAX)),
            commits,
            commit_due: Instant::now(),
            listener,
            news,
            pending: None,
            tasks,
        }
    }

    /// The connection, for other calls.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads these partitions and no others, each from its place on.
    ///
    /// # Errors
    /// A member of a group reads what the group assigns.
    pub fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = (TopicPartition, Place)>,
    ) -> Result<(), Error> {
        self.check_unsubscribed()?;
        self.shelf = Shelf::default();
        for (at, place) in partitions {
            self.begin(Arc::new(at), place);
        }
        Ok(())
    }

    /// Reads all partitions that a topic has now, too; gives how many there are.
    ///
    /// # Errors
    /// There is no such topic, it cannot be looked up, or the consumer is a member of a group.
    pub async fn assign_topic(&mut self, topic: &str, place: Place) -> Result<u32, Error> {
        self.check_unsubscribed()?;
        let topic = TopicName::new(topic).map_err(|error| Error::Invalid(error.message))?;
        let partitions = self.leaders.partitions(&topic).await?;
        for partition in (0..partitions).map(PartitionId) {
            self.begin(Arc::new(TopicPartition::new(topic.clone(), partition)), place);
        }
        Ok(partitions)
    }

    /// The next records, at most as many as [`ConsumerBuilder::records_max`] says. Waits until there
    /// are some, at most for `timeout`; with [`Duration::ZERO`] not at all.
    ///
    /// # Errors
    /// A partition cannot be read (deleted, damaged, or out of range where that is not to be mended):
    /// it is read again after a [`seek`](Self::seek). Or the consumer cannot be a member.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<Record>, Error> {
        let until = Instant::now().checked_add(timeout);
        self.gather(self.options.records_max, until).await
    }

    /// The next record, waited for as long as it takes.
    ///
    /// # Errors
    /// Those of [`poll`](Self::poll).
    pub async fn next(&mut self) -> Result<Record, Error> {
        loop {
            if let Some(record) = self.gather(1, None).await?.pop() {
                return Ok(record);
            }
        }
    }

    /// All records from here on, without end. It may be dropped and begun again.
    pub fn stream(&mut self) -> impl Stream<Item = Result<Record, Error>> + Send + '_ {
        futures::stream::unfold(self, async |consumer| Some((consumer.next().await, consumer)))
    }

    /// The partitions that are read.
    pub fn partitions(&self) -> Vec<Arc<TopicPartition>> {
        self.shelf.partitions().cloned().collect()
    }

    /// The offset of the next record of a partition; `None` while its place is looked for, or if it is
    /// not read.
    pub fn position(&self, at: &TopicPartition) -> Option<u64> {
        self.shelf.position(at)
    }

    /// Goes on elsewhere in a partition.
    ///
    /// # Errors
    /// The partition is not read.
    pub fn seek(&mut self, at: &TopicPartition, place: Place) -> Result<(), Error> {
        let found = self.shelf.partitions().find(|known| ***known == *at).cloned();
        let at = found.ok_or_else(|| not_read(at))?;
        self.begin(at, place);
        Ok(())
    }

    /// Gives out no records of a partition until [`resume`](Self::resume); its place is kept.
    ///
    /// # Errors
    /// The partition is not read.
    pub fn pause(&mut self, at: &TopicPartition) -> Result<(), Error> {
        self.shelf.set_flow(at, Flow::Held).then_some(()).ok_or_else(|| not_read(at))
    }

    /// Gives out records of a partition again.
    ///
    /// # Errors
    /// The partition is not read.
    pub fn resume(&mut self, at: &TopicPartition) -> Result<(), Error> {
        self.shelf.set_flow(at, Flow::Given).then_some(()).ok_or_else(|| not_read(at))
    }

    /// Commits that everything given out so far is done, and waits for the answer.
    ///
    /// # Errors
    /// There is no group, or a partition has gone to another member: nothing is committed then.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let positions = self.positions();
        self.commits()?.commit(positions).await?;
        self.shelf.committed();
        Ok(())
    }

    /// The same without waiting for the answer, which the future gives if it is awaited.
    ///
    /// # Errors
    /// There is no group.
    pub async fn commit_async(&mut self) -> Result<Committing, Error> {
        let positions = self.positions();
        let committing = self.commits()?.begin(positions).await?;
        self.shelf.committed();
        Ok(committing)
    }

    /// Commits these offsets, with metadata if they have some.
    ///
    /// # Errors
    /// Those of [`commit`](Self::commit).
    pub async fn commit_offsets(&self, offsets: Vec<Commit>) -> Result<(), Error> {
        self.commits()?.commit(offsets).await
    }

    /// What the group has committed in these partitions.
    ///
    /// # Errors
    /// There is no group, or its coordinator cannot be asked.
    pub async fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Committed>, Error> {
        let group = self.group.as_deref().ok_or_else(no_group)?;
        self.client.committed(group, partitions).await
    }

    /// Commits what is to be committed automatically, waits for all commits, leaves the group, ends.
    ///
    /// # Errors
    /// The last commit's.
    pub async fn close(mut self) -> Result<(), Error> {
        let offsets = if self.options.auto_commit.is_some() { self.moved() } else { Vec::new() };
        let committed = match &self.commits {
            Some(commits) => commits.commit(offsets).await,
            None => Ok(()),
        };
        self.shelf = Shelf::default();
        self.tasks.close(CLOSE_PATIENCE).await;
        committed
    }

    async fn gather(
        &mut self,
        records_max: usize,
        until: Option<Instant>,
    ) -> Result<Vec<Record>, Error> {
        loop {
            while let Ok(event) = self.events.1.try_recv() {
                self.shelf.hear(event);
            }
            self.hear_news().await?;
            self.auto_commit();
            let taken = self.shelf.take(records_max)?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            let news = async {
                match &mut self.news {
                    Some(news) => news.recv().await,
                    None => std::future::pending().await,
                }
            };
            let commit_due = self.options.auto_commit.filter(|_| self.shelf.has_moved());
            let commit_due = commit_due.map(|_| self.commit_due);
            tokio::select! {
                Some(event) = self.events.1.recv() => self.shelf.hear(event),
                Some(news) = news => self.pending = Some(news),
                () = due(commit_due) => {}
                () = due(until) => return Ok(Vec::new()),
            }
        }
    }

    /// Does what the group asks for. If this is dropped in the middle, it is done from its beginning
    /// with the next call.
    async fn hear_news(&mut self) -> Result<(), Error> {
        loop {
            if self.pending.is_none() {
                self.pending = self.news.as_mut().and_then(|news| news.try_recv().ok());
            }
            let event = match &self.pending {
                None => return Ok(()),
                Some(News::Assigned(partitions)) => Rebalance::Assigned(shared(partitions)),
                Some(News::Revoked(partitions, _)) => Rebalance::Revoked(shared(partitions)),
                Some(News::Lost(partitions)) => Rebalance::Lost(shared(partitions)),
                Some(News::Failed(error)) => {
                    let error = error.clone();
                    self.pending = None;
                    return Err(error);
                }
            };
            if let (Some(listener), Some(commits)) = (&mut self.listener, &self.commits) {
                listener.rebalance(&event, commits).await;
            }
            match event {
                Rebalance::Assigned(partitions) => {
                    for at in partitions {
                        self.begin(at, Place::Committed);
                    }
                }
                Rebalance::Revoked(partitions) => self.give_up(&partitions).await,
                Rebalance::Lost(partitions) => self.end(&partitions),
            }
            if let Some(News::Revoked(_, done)) = self.pending.take() {
                // If it is not waited for any more, the member was expelled meanwhile.
                done.send(()).ok();
            }
        }
    }

    /// Commits what goes, if that is automatic; and whatever was to be committed before.
    async fn give_up(&mut self, partitions: &[Arc<TopicPartition>]) {
        let mut offsets = self.moved();
        offsets.retain(|commit| partitions.iter().any(|at| **at == commit.at));
        if self.options.auto_commit.is_none() {
            offsets.clear();
        }
        if let Some(commits) = &self.commits
            && let Err(error) = commits.commit(offsets).await
        {
            tracing::warn!(%error, "what goes to another member was not committed");
        }
        self.end(partitions);
    }

    fn end(&mut self, partitions: &[Arc<TopicPartition>]) {
        for at in partitions {
            self.shelf.end(at);
        }
        self.share();
    }

    /// Begins to commit what was given out, if it is time.
    fn auto_commit(&mut self) {
        let (Some(commits), Some(every)) = (&self.commits, self.options.auto_commit) else {
            return;
        };
        let now = Instant::now();
        if now >= self.commit_due && self.shelf.has_moved() && commits.offer(self.moved()) {
            self.commit_due = now + every;
            self.shelf.committed();
        }
    }

    /// Reads a partition from a place on.
    fn begin(&mut self, at: Arc<TopicPartition>, place: Place) {
        self.rounds += 1;
        let fetcher = Fetcher {
            client: self.client.clone(),
            leaders: self.leaders.clone(),
            at: Arc::clone(&at),
            round: self.rounds,
            place,
            begin: self.options.begin,
            group: self.group.clone(),
            page_bytes: Arc::clone(&self.page_bytes),
            events: self.events.0.clone(),
        };
        let stop = self.tasks.stopping().child_token();
        let until = stop.clone();
        self.tasks.spawn("consumer fetch", async move {
            until.run_until_cancelled(fetcher.run()).await;
        });
        self.shelf.begin(at, self.rounds, Some(stop.drop_guard()));
        self.share();
    }

    /// A page for each partition is on the shelf, another on its way.
    fn share(&self) {
        let pages = u64::try_from(self.shelf.partitions().count()).unwrap_or(u64::MAX);
        let bytes = self.options.prefetch_bytes / (2 * pages.max(1));
        self.page_bytes.store(bytes.clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX), Ordering::Relaxed);
    }

    fn positions(&self) -> Vec<Commit> {
        let commit =
            |(at, offset): (&Arc<TopicPartition>, u64)| Commit::new((**at).clone(), offset);
        self.shelf.positions().map(commit).collect()
    }

    fn moved(&self) -> Vec<Commit> {
        let commit =
            |(at, offset): (&Arc<TopicPartition>, u64)| Commit::new((**at).clone(), offset);
        self.shelf.moved().map(commit).collect()
    }

    fn commits(&self) -> Result<&Commits, Error> {
        self.commits.as_ref().ok_or_else(no_group)
    }

    fn check_unsubscribed(&self) -> Result<(), Error> {
        match self.news {
            None => Ok(()),
            Some(_) => Err(Error::Invalid("a member reads what its group assigns".to_owned())),
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.group)
            .field("options", &self.options)
            .field("partitions", &self.partitions())
            .finish_non_exhaustive()
    }
}

fn shared(partitions: &BTreeSet<TopicPartition>) -> Vec<Arc<TopicPartition>> {
    partitions.iter().cloned().map(Arc::new).collect()
}

fn not_read(at: &TopicPartition) -> Error {
    Error::Invalid(format!("{at} is not read by this consumer"))
}

fn no_group() -> Error {
    Error::Invalid("this consumer has no group".to_owned())
}

/// Waits; for ever if there is nothing to wait for.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
