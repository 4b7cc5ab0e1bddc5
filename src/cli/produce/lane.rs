//! The way of batches to their partitions: one lane each, one batch of a lane under way at a time.

use super::gather::Closed;
use crate::broker::{BrokerView, TopicView};
use crate::cli::failure::Failure;
use crate::client::{Acks, AppendAt, Backoff, Client, Error};
use crate::error::WriteOutcome;
use crate::topic::{PartitionId, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::batch::Compression;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Bytes of batches that were closed and are not acknowledged: reading waits beyond it.
pub(super) const UNDER_WAY_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// How batches are sent.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    /// The cluster.
    pub(super) client: Client,
    /// Where to.
    pub(super) topic: TopicName,
    /// The codec.
    pub(super) compression: Compression,
    /// When a batch counts as sent.
    pub(super) acks: Acks,
    /// Whether a batch is sent again if its outcome is not known.
    pub(super) retry_unknown: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Report {
    /// It is there.
    Appended {
        /// How many records.
        records: u64,
        /// Bytes of their keys and values.
        bytes: u64,
    },
    /// It is not, or nobody knows; its lane sends nothing more.
    Failed(Failure),
    /// It was not sent, since one before it failed.
    Unsent {
        /// How many records.
        records: u64,
    },
}

type Waiting = (Closed, OwnedSemaphorePermit);

/// All lanes; they end when this is dropped.
pub(super) struct Lanes {
    sending: Sending,
    leaders: BTreeMap<PartitionId, String>,
    /// Bounded by `room`, not by itself.
    queues: BTreeMap<PartitionId, mpsc::UnboundedSender<Waiting>>,
    room: Arc<Semaphore>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    tasks: JoinSet<()>,
}

/// Where each partition's leader is, as far as it is known.
pub(super) fn leaders(topic: &TopicView, brokers: &[BrokerView]) -> BTreeMap<PartitionId, String> {
    let leader = |id: u64| brokers.iter().find(|broker| broker.id == id);
    topic
        .partitions
        .iter()
        .filter_map(|at| Some((PartitionId(at.partition), leader(at.leader?)?.http.clone())))
        .collect()
}

impl Lanes {
    /// None yet; each begins with its first batch.
    pub(super) fn new(sending: Sending, leaders: BTreeMap<PartitionId, String>) -> Self {
        Self {
            sending,
            leaders,
            queues: BTreeMap::new(),
            room: Arc::new(Semaphore::new(
                UNDER_WAY_BYTES_MAX.try_into().expect("fits in a usize"),
            )),
            reports: mpsc::unbounded_channel(),
            tasks: JoinSet::new(),
        }
    }

    /// Hands a batch on; waits while too much is under way.
    pub(super) async fn submit(&mut self, closed: Closed) {
        let bytes = u32::try_from(closed.records.len_bytes()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes.min(UNDER_WAY_BYTES_MAX)).await;
        let room = room.expect("the semaphore is never closed");
        let partition = closed.partition;
        let lane = self.queues.entry(partition).or_insert_with(|| {
            let (batches, waiting) = mpsc::unbounded_channel();
            let lane = Lane {
                partition,
                sending: self.sending.clone(),
                leader: self.leaders.remove(&partition),
                reports: self.reports.0.clone(),
            };
            self.tasks.spawn(lane.run(waiting));
            batches
        });
        lane.send((closed, room)).expect("a lane ends only after its queue was closed");
    }

    /// No batch comes any more: [`Lanes::report`] ends after the last one.
    pub(super) fn close(&mut self) {
        self.queues.clear();
        let (closed, _) = mpsc::unbounded_channel();
        self.reports.0 = closed;
    }

    /// The next report, in no order among the lanes; `None` after [`Lanes::close`] and the last one.
    pub(super) async fn report(&mut self) -> Option<Report> {
        self.reports.1.recv().await
    }
}

struct Lane {
    partition: PartitionId,
    sending: Sending,
    /// Asked first.
    leader: Option<String>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Lane {
    async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
        let mut has_failed = false;
        while let Some((closed, _room)) = waiting.recv().await {
            let (records, bytes) = (u64::from(closed.records.record_count()), closed.bytes);
            let report = if has_failed {
                Report::Unsent { records }
            } else {
                match self.send(closed).await {
                    Ok(()) => Report::Appended { records, bytes },
                    Err(failure) => Report::Failed(failure),
                }
            };
            has_failed |= matches!(report, Report::Failed(_));
            if self.reports.send(report).is_err() {
                return;
            }
        }
    }

    async fn send(&mut self, closed: Closed) -> Result<(), Failure> {
        let Closed { records, lines, .. } = closed;
        let count = records.record_count();
        let batch = records.finish(self.sending.compression).into_bytes();
        let deadline = Instant::now() + self.sending.client.timeout();
        let mut backoff = Backoff::default();
        // Once an outcome was not known, a later certainty is only about the later attempt.
        let mut outcome = WriteOutcome::NotAppended;
        loop {
            let at = AppendAt {
                topic: &self.sending.topic,
                partition: self.partition,
                acks: self.sending.acks,
                leader: self.leader.take(),
                after: None,
            };
            let refusal = match self.sending.client.append(at, batch.clone(), deadline).await {
                Ok(appended) => {
                    self.leader = appended.leader;
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            if refusal.outcome() == WriteOutcome::Unknown {
                outcome = WriteOutcome::Unknown;
            }
            let pause = backoff.next(refusal.retry_after());
            if !self.sends_again(&refusal) || Instant::now() + pause >= deadline {
                return Err(self.failure(refusal, outcome, lines, count));
            }
            sleep(pause).await;
        }
    }

    fn sends_again(&self, refusal: &Error) -> bool {
        refusal.worth_repeating() || (self.sending.retry_unknown && refusal.may_have_worked())
    }

    fn failure(
        &self,
        refusal: Error,
        outcome: WriteOutcome,
        (first, last): (u64, u64),
        records: u32,
    ) -> Failure {
        let partition = self.partition;
        let mut failure = Failure::from(refusal);
        failure.outcome = Some(outcome);
        let which =
            format!("{records} records of lines {first} to {last} for partition {partition}");
        match outcome {
            WriteOutcome::NotAppended => {
                failure.message = format!("{which} were not appended: {}", failure.message);
            }
            WriteOutcome::Unknown => {
                failure.exit = crate::cli::exit::Exit::Unavailable;
                failure.message = format!("{which} may be appended or not: {}", failure.message);
                failure.hint = Some(
                    "look for them with `ottla consume`; --retry-unknown sends such lines again, \
                     and may store them twice"
                        .to_owned(),
                );
            }
        }
        failure
    }
}
