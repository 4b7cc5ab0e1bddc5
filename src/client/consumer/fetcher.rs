//! One partition, read ahead: a task that asks the partition's leader for page after page, follows it
//! when it moves, and holds back when its pages are not taken.

use super::place::{Begin, Place};
use crate::client::leaders::Leaders;
use crate::client::{Backoff, Client, Error, FetchAt};
use crate::coordinator::TopicPartition;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep};

/// How long a broker may wait for a record before it answers with none.
const FETCH_WAIT: Duration = Duration::from_secs(5);
/// How much longer than that an answer may take, before another broker is asked.
const FETCH_GRACE: Duration = Duration::from_secs(5);

/// What happens to a partition.
#[derive(Debug)]
pub(super) struct Event {
    /// Which one.
    pub(super) at: Arc<TopicPartition>,
    /// Which of its fetchers tells: those before the last seek are not heard.
    pub(super) round: u64,
    /// What.
    pub(super) what: What,
}

/// What a fetcher tells.
#[derive(Debug)]
pub(super) enum What {
    /// Where it begins.
    Begins(u64),
    /// Records came.
    Page(Page),
    /// It cannot be read; the fetcher has ended.
    Failed(Error),
}

/// Batches of a partition, not empty.
#[derive(Debug)]
pub(super) struct Page {
    /// The first offset wanted: the first batch may begin before it.
    pub(super) from: u64,
    /// In order.
    pub(super) batches: VecDeque<RecordBatch>,
    /// Where the next page begins.
    pub(super) next: u64,
    /// Kept until the page is read: the next but one is not fetched before.
    pub(super) _slot: OwnedSemaphorePermit,
}

/// A partition to be read.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) client: Client,
    pub(super) leaders: Leaders,
    pub(super) at: Arc<TopicPartition>,
    pub(super) round: u64,
    pub(super) place: Place,
    pub(super) begin: Begin,
    pub(super) group: Option<String>,
    /// Bytes asked for at once; changes with the number of partitions.
    pub(super) page_bytes: Arc<AtomicU64>,
    /// Bounded by one slot a partition.
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Fetcher {
    /// Reads until it fails, or nobody listens.
    pub(super) async fn run(self) {
        if let Err(error) = self.read().await {
            self.tell(What::Failed(error));
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let mut next = self.first(self.place).await?;
        if !self.tell(What::Begins(next)) {
            return Ok(());
        }
        let slots = Arc::new(Semaphore::new(1));
        loop {
            let (batches, after) = match self.fetch(next).await {
                Ok(fetched) => fetched,
                Err(error) if error.is_out_of_range() && self.begin != Begin::Nowhere => {
                    tracing::warn!(partition = %self.at, %error, "reading goes on elsewhere");
                    next = self.first(self.elsewhere(next, &error)).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if batches.is_empty() {
                next = after;
                continue;
            }
            let slot = Arc::clone(&slots).acquire_owned().await;
            let slot = slot.map_err(|_closed| Error::Closed)?;
            let page = Page { from: next, batches, next: after, _slot: slot };
            if !self.tell(What::Page(page)) {
                return Ok(());
            }
            next = after;
        }
    }

    /// Where to go on when `next` cannot be read.
    fn elsewhere(&self, next: u64, error: &Error) -> Place {
        match (self.begin, error.range()) {
            (Begin::Earliest, Some(range)) if next < range.start => Place::Offset(range.start),
            (Begin::Latest, _) => Place::Latest,
            (Begin::Earliest | Begin::Nowhere, _) => Place::Earliest,
        }
    }

    /// The offset of a place, asked for until there is an answer.
    async fn first(&self, place: Place) -> Result<u64, Error> {
        let mut backoff = Backoff::default();
        loop {
            let found = place.resolve(&self.client, self.group.as_deref(), self.begin, &self.at);
            match found.await {
                Ok(offset) => return Ok(offset),
                Err(error) if error.is_passing() => sleep(backoff.next(error.retry_after())).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks until there is an answer; gives what is from `next` on, and the offset after it.
    async fn fetch(&self, next: u64) -> Result<(VecDeque<RecordBatch>, u64), Error> {
        let mut backoff = Backoff::default();
        loop {
            let TopicPartition { topic, partition } = &*self.at;
            let leader = self.leaders.leader(topic, *partition);
            let at = FetchAt {
                topic,
                partition: *partition,
                offset: next,
                bytes_max: self.page_bytes.load(Ordering::Relaxed),
                wait: FETCH_WAIT,
                leader,
            };
            let deadline = Instant::now() + FETCH_WAIT + FETCH_GRACE;
            let error = match self.client.fetch(at, deadline).await {
                Ok(fetched) => {
                    self.leaders.note(topic, *partition, fetched.leader);
                    let batches = RecordBatch::split_stored(fetched.batches).map_err(|error| {
                        Error::Unreadable(format!("{} from {next}: {error}", self.at))
                    })?;
                    return Ok((batches.into(), fetched.next.max(next)));
                }
                Err(error) => error,
            };
            if !error.is_passing() {
                return Err(error);
            }
            self.leaders.note(topic, *partition, None);
            tracing::debug!(partition = %self.at, %error, "asked again");
            sleep(backoff.next(error.retry_after())).await;
        }
    }

    /// Whether anybody listens.
    fn tell(&self, what: What) -> bool {
        let event = Event { at: Arc::clone(&self.at), round: self.round, what };
        self.events.send(event).is_ok()
    }
}
