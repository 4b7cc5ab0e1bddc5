//! The way of one partition's batches to its leader: a task that moves them from the queue into the
//! window, makes the requests, and tells what became of them.

use super::delivery::SendError;
use super::queue::{Batch, Queue};
use super::window::{Attempt, Done, Session, Window};
use crate::client::leaders::Leaders;
use crate::client::{Acks, AppendAt, Client, Error};
use crate::error::WriteOutcome;
use crate::topic::{PartitionId, TopicName};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::batch::Compression;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};

/// How batches are sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    /// When one counts as sent.
    pub(super) acks: Acks,
    /// The codec.
    pub(super) compression: Compression,
    /// How many of a partition are under way at a time.
    pub(super) in_flight_max: usize,
    /// How long one request may take.
    pub(super) request_timeout: Duration,
    /// How long a batch may take, from its first record to its acknowledgement.
    pub(super) delivery_timeout: Duration,
}

/// What all lanes of a producer share.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) leaders: Leaders,
    pub(super) sending: Sending,
    /// The first failure since the last flush.
    pub(super) failed: Mutex<Option<SendError>>,
}

/// One partition's way.
pub(super) struct Lane {
    pub(super) sender: Arc<Sender>,
    pub(super) topic: TopicName,
    pub(super) partition: PartitionId,
    pub(super) queue: Arc<Queue>,
    /// What batches carry, if they are to be there once whatever is lost.
    pub(super) session: Option<Session>,
}

/// What is given back with a batch.
type Load = (oneshot::Sender<Result<u64, SendError>>, OwnedSemaphorePermit);

impl Lane {
    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let mut window = Window::new(self.sender.sending.in_flight_max, self.session);
        let mut requests = FuturesUnordered::new();
        loop {
            let now = Instant::now();
            while window.has_room()
                && let Some(batch) = self.queue.take(now)
            {
                requests.push(self.request(self.admit(&mut window, batch)));
            }
            if let Some(attempt) = window.again(now) {
                requests.push(self.request(attempt));
            }
            if let Some(done) = window.late(now) {
                self.done(done);
                continue;
            }
            self.give_up(now);
            tokio::select! {
                Some((number, answer)) = requests.next(), if !requests.is_empty() => {
                    if let Some(done) = window.answered(number, answer, Instant::now()) {
                        self.done(done);
                    }
                }
                () = self.queue.changed.notified() => {}
                () = until(self.due(&window)) => {}
            }
        }
    }

    fn admit(&self, window: &mut Window<Load>, batch: Batch) -> Attempt {
        let sending = &self.sender.sending;
        let Batch { number, records, since, tell, room } = batch;
        let built = records.finish(sending.compression);
        window.admit(number, built, since + sending.delivery_timeout, (tell, room))
    }

    async fn request(&self, attempt: Attempt) -> (u64, Result<u64, Error>) {
        let Attempt { number, batch, deadline } = attempt;
        let Sender { client, leaders, sending, .. } = &*self.sender;
        let at = AppendAt {
            topic: &self.topic,
            partition: self.partition,
            acks: sending.acks,
            leader: leaders.leader(&self.topic, self.partition),
            after: None,
        };
        let deadline = deadline.min(Instant::now() + sending.request_timeout);
        let answer = client.append(at, batch.into_bytes(), deadline).await;
        let leader = answer.as_ref().ok().and_then(|appended| appended.leader.clone());
        let is_gap = answer.as_ref().is_err_and(|error| error.expected_sequence().is_some());
        if !is_gap {
            leaders.note(&self.topic, self.partition, leader);
        }
        let answer = answer.and_then(|appended| {
            let told = appended.base_offset;
            told.ok_or_else(|| Error::Unreadable("an append without an offset".to_owned()))
        });
        (number, answer)
    }

    /// When something is to be done without an answer.
    fn due(&self, window: &Window<Load>) -> Option<Instant> {
        let queued = if window.has_room() {
            self.queue.due()
        } else {
            self.queue.oldest().map(|since| since + self.sender.sending.delivery_timeout)
        };
        [queued, window.due()].into_iter().flatten().min()
    }

    /// Fails what waited too long behind others.
    fn give_up(&self, now: Instant) {
        let timeout = self.sender.sending.delivery_timeout;
        let Some(than) = now.checked_sub(timeout) else { return };
        while let Some(batch) = self.queue.take_older(than) {
            let (topic, partition) = (&self.topic, self.partition);
            let why = format!("{topic} partition {partition}: not sent within {timeout:?}");
            let Batch { number, tell, room, .. } = batch;
            let result = Err((WriteOutcome::NotAppended, Error::NotSent(why)));
            self.done(Done { number, result, load: (tell, room) });
        }
    }

    fn done(&self, done: Done<Load>) {
        let Done { number, result, load: (tell, room) } = done;
        drop(room);
        let outcome = result.map_err(|(outcome, error)| SendError { outcome, error });
        if let Err(error) = &outcome {
            let mut failed = self.sender.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| error.clone());
        }
        // The queue holds a fate for each batch, so somebody listens.
        tell.send(outcome).ok();
        self.queue.told(number);
    }
}

/// Waits; for ever if there is nothing to wait for.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
