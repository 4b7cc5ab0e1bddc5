//! One partition, read from its start on: each record once, whatever happens to brokers.

use super::start::Start;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::{Backoff, Client, FetchAt, Fetched};
use crate::topic::{PartitionId, TopicName};
use std::ops::Range;
use std::time::Duration;
use storage::batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// How long a broker may wait for a record before it answers with none.
const FETCH_WAIT: Duration = Duration::from_secs(5);
/// How much longer than that an answer may take, before another broker is asked.
const FETCH_GRACE: Duration = Duration::from_secs(5);

/// When a partition is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At what is the end when reading begins.
    TheEndNow,
    /// Never: it is dropped.
    Dropped,
}

/// What happens to a partition.
#[derive(Debug)]
pub(super) enum Event {
    /// Records came.
    Page(Page),
    /// Records were removed (by retention or a trim) before they were read.
    Trimmed {
        /// Of this partition.
        partition: PartitionId,
        /// Their offsets.
        missed: Range<u64>,
    },
    /// It cannot be read at the moment.
    Trouble {
        /// This one.
        partition: PartitionId,
        /// Why not.
        why: String,
    },
    /// It can be read again.
    Recovered(PartitionId),
    /// It cannot be read.
    Failed(Failure),
}

/// Records of one partition.
#[derive(Debug)]
pub(super) struct Page {
    /// The partition.
    pub(super) partition: PartitionId,
    /// The first offset wanted: the first batch may begin before it.
    pub(super) from: i64,
    /// The batches, in order.
    pub(super) batches: Vec<RecordBatch>,
}

/// A partition to be read.
#[derive(Debug)]
pub(super) struct Tail {
    /// The cluster.
    pub(super) client: Client,
    /// The topic.
    pub(super) topic: TopicName,
    /// The partition.
    pub(super) partition: PartitionId,
    /// Where reading begins.
    pub(super) start: Start,
    /// Where it ends.
    pub(super) until: Until,
    /// Bytes asked for at once.
    pub(super) bytes_max: u64,
    /// Where pages go.
    pub(super) events: mpsc::Sender<Event>,
}

/// Nobody listens any more.
struct Unheard;

impl Tail {
    /// Reads until the end; stops as well when nobody listens.
    pub(super) async fn run(self) {
        if let Err(failure) = self.read().await {
            // If nobody listens, nobody wants to know.
            drop(self.events.send(Event::Failed(failure)).await);
        }
    }

    async fn read(&self) -> Result<(), Failure> {
        let ends = self.client.ends(&self.topic, self.partition).await?;
        let mut next = self.start.offset(&self.client, &self.topic, self.partition, ends).await?;
        if next > ends.high_watermark && self.until == Until::TheEndNow {
            return Err(self.out_of_range(next, ends.log_start..ends.high_watermark));
        }
        let end = match self.until {
            Until::TheEndNow => ends.high_watermark,
            Until::Dropped => u64::MAX,
        };
        let mut leader = None;
        while next < end {
            let fetched = match self.fetch(next, leader.take()).await? {
                Ok(fetched) => fetched,
                Err(log_start) => {
                    let missed = next..log_start;
                    next = log_start;
                    let event = Event::Trimmed { partition: self.partition, missed };
                    if self.tell(event).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            };
            leader = fetched.leader.clone();
            let Some((page, after)) = self.page(next, end, fetched)? else {
                continue;
            };
            next = after;
            if self.tell(Event::Page(page)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks until there is an answer; `Err` is the log start, if that is beyond `next`.
    async fn fetch(
        &self,
        next: u64,
        mut leader: Option<String>,
    ) -> Result<Result<Fetched, u64>, Failure> {
        let mut backoff = Backoff::default();
        let mut since: Option<Instant> = None;
        loop {
            let at = FetchAt {
                topic: &self.topic,
                partition: self.partition,
                offset: next,
                bytes_max: self.bytes_max,
                wait: FETCH_WAIT,
                leader: leader.take(),
            };
            let asked = Instant::now();
            let refusal = match self.client.fetch(at, asked + FETCH_WAIT + FETCH_GRACE).await {
                Ok(fetched) => {
                    if since.is_some() && self.tell(Event::Recovered(self.partition)).await.is_err()
                    {
                        return Err(Failure::interrupted());
                    }
                    return Ok(Ok(fetched));
                }
                Err(refusal) => refusal,
            };
            if refusal.is_out_of_range() {
                return self.moved(next).await.map(Err);
            }
            let late = since.is_some_and(|since| since.elapsed() >= self.client.timeout());
            if late || !(refusal.worth_repeating() || refusal.may_have_worked()) {
                return Err(refusal.into());
            }
            if since.is_none() {
                since = Some(asked);
                let why = Failure::from(refusal.clone()).message;
                let event = Event::Trouble { partition: self.partition, why };
                if self.tell(event).await.is_err() {
                    return Err(Failure::interrupted());
                }
            }
            sleep(backoff.next(refusal.retry_after())).await;
        }
    }

    /// Where the log begins, if `next` is before that.
    async fn moved(&self, next: u64) -> Result<u64, Failure> {
        let ends = self.client.ends(&self.topic, self.partition).await?;
        let is_trimmed =
            next < ends.log_start && !matches!(self.start, Start::At(at) if at == next);
        if is_trimmed {
            return Ok(ends.log_start);
        }
        Err(self.out_of_range(next, ends.log_start..ends.high_watermark))
    }

    fn out_of_range(&self, offset: u64, range: Range<u64>) -> Failure {
        let (topic, partition) = (&self.topic, self.partition);
        let Range { start, end } = range;
        let message =
            format!("{topic} partition {partition}: offset {offset} is not in {start}..{end}");
        Failure::new(Exit::Failed, message)
    }

    /// The batches of an answer below `end`, and the offset after them; nothing if there is none.
    fn page(&self, from: u64, end: u64, fetched: Fetched) -> Result<Option<(Page, u64)>, Failure> {
        let damaged = |why: String| {
            let (topic, partition) = (&self.topic, self.partition);
            Failure::new(Exit::Failed, format!("{topic} partition {partition} from {from}: {why}"))
        };
        let mut batches = RecordBatch::split_stored(fetched.batches)
            .map_err(|error| damaged(error.to_string()))?;
        batches.retain(|batch| u64::try_from(batch.base_offset()).is_ok_and(|base| base < end));
        let Some(last) = batches.last() else {
            return Ok(None);
        };
        let next = u64::try_from(last.next_offset())
            .map_err(|_negative| damaged("a negative offset".into()))?;
        if next <= from {
            return Err(damaged(format!("the answer ends at {next}")));
        }
        let from =
            i64::try_from(from).map_err(|_large| damaged("no offset is that large".into()))?;
        Ok(Some((Page { partition: self.partition, from, batches }, next)))
    }

    async fn tell(&self, event: Event) -> Result<(), Unheard> {
        self.events.send(event).await.map_err(|_closed| Unheard)
    }
}
