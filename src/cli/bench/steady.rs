//! A producer that never gives up on a record: it sends it again, through another broker if need be, until
//! it is acknowledged. Idempotent, so each record is there once.

use super::connection::Connection;
use super::producer::{Fate, judge};
use super::record::Pen;
use super::recorder::Recorder;
use super::request;
use super::site::Site;
use crate::cli::clock;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::batch::{BatchBuilder, Compression};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// Of each value.
pub(super) const RECORD_BYTES: usize = 100;
/// A broker that does not answer by then is left for the next one: it may hang.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);
/// Before another broker is asked when one is gone.
const NEXT_BROKER: Duration = Duration::from_millis(2);

/// What it works with.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) site: Site,
    /// Its id and epoch.
    pub(super) identity: (i64, i16),
    /// The broker to write to, until it fails.
    pub(super) targets: watch::Receiver<String>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) acknowledged: Arc<Acknowledged>,
    pub(super) recorder: Arc<Recorder>,
}

/// When records were acknowledged, since it was cleared last.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    times: Mutex<Vec<Instant>>,
    more: Notify,
}

/// The broker that is written to.
struct Line {
    broker: String,
    connection: Option<Connection>,
    turn: usize,
}

impl Writing {
    /// Writes until it is told to stop; gives how many records were acknowledged.
    pub(super) async fn run(mut self) -> Result<u64, Failure> {
        let mut pen = Pen::new(0, RECORD_BYTES, Pen::filler(RECORD_BYTES));
        let broker = self.targets.borrow_and_update().clone();
        let mut line = Line { broker, connection: None, turn: 0 };
        let mut sent = 0;
        while !*self.stopped.borrow() {
            let request = self.request(&mut pen, sent);
            let began = Instant::now();
            self.send(&request, &mut line, sent).await?;
            self.recorder.request(began.elapsed(), 1, 0);
            self.acknowledged.push(Instant::now());
            sent += 1;
        }
        Ok(sent)
    }

    fn request(&self, pen: &mut Pen, sent: u64) -> bytes::Bytes {
        let mut value = Vec::with_capacity(RECORD_BYTES);
        pen.write(0, &mut value);
        let sequence = i32::try_from(sent % (1 << 31)).expect("below 2³¹");
        let (id, epoch) = self.identity;
        let mut batch = BatchBuilder::new().producer(id, epoch, sequence);
        batch.push(clock::now_ms(), None, Some(&value), std::iter::empty());
        let batch = batch.finish(Compression::None).into_bytes();
        let target = format!("/v1/topics/{}/partitions/0/records", self.site.topic);
        request::post(&target, request::BATCHES, &batch)
    }

    async fn send(&mut self, request: &[u8], line: &mut Line, number: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + self.site.client.timeout();
        while Instant::now() < deadline {
            if self.targets.has_changed().unwrap_or(false) {
                let broker = self.targets.borrow_and_update().clone();
                (line.broker, line.connection) = (broker, None);
            }
            let opened = match line.connection.take() {
                Some(connection) => Ok(Ok(connection)),
                None => timeout(ATTEMPT_TIMEOUT, Connection::open(&line.broker)).await,
            };
            let Ok(Ok(connection)) = opened else {
                self.next_broker(line).await;
                continue;
            };
            match timeout(ATTEMPT_TIMEOUT, connection.exchange(request)).await {
                Ok(Ok((answer, connection))) => {
                    let told = |why| Failure::new(Exit::Failed, format!("{}: {why}", line.broker));
                    match judge(&answer).map_err(told)? {
                        Fate::Acknowledged => {
                            line.connection = connection;
                            return Ok(());
                        }
                        Fate::Unknown | Fate::Refused => self.next_broker(line).await,
                    }
                }
                Ok(Err(_)) | Err(_) => self.next_broker(line).await,
            }
        }
        let seconds = self.site.client.timeout().as_secs();
        let why = format!("record {number} was not acknowledged within {seconds} s");
        Err(Failure::new(Exit::Unavailable, why))
    }

    async fn next_broker(&self, line: &mut Line) {
        line.turn += 1;
        self.site.broker(line.turn).clone_into(&mut line.broker);
        sleep(NEXT_BROKER).await;
    }
}

impl Acknowledged {
    fn push(&self, at: Instant) {
        self.times().push(at);
        self.more.notify_waiters();
    }

    /// Forgets all but the last.
    pub(super) fn clear(&self) {
        let mut times = self.times();
        let keep = times.len().saturating_sub(1);
        times.drain(..keep);
    }

    /// Waits for an acknowledgement after this time.
    pub(super) async fn after(&self, at: Instant, patience: Duration) -> Result<(), Failure> {
        let came = async {
            loop {
                let more = self.more.notified();
                if self.times().last().is_some_and(|last| *last > at) {
                    return;
                }
                more.await;
            }
        };
        let left = at.saturating_duration_since(Instant::now()) + patience;
        timeout(left, came).await.map_err(|_elapsed| {
            let why = format!("nothing was acknowledged for {} s", patience.as_secs());
            Failure::new(Exit::Unavailable, why)
        })
    }

    /// The longest time between two acknowledgements that reaches into this span.
    pub(super) fn gap(&self, from: Instant, to: Instant) -> Option<Duration> {
        let times = self.times();
        let pairs = times.iter().zip(times.iter().skip(1));
        let within = pairs.filter(|(before, after)| **after > from && **before < to);
        within.map(|(before, after)| *after - *before).max()
    }

    fn times(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_the_longest_that_reaches_into_the_span() {
        let (log, zero) = (Acknowledged::default(), Instant::now());
        let at = |ms| zero + Duration::from_millis(ms);
        for ms in [0, 90, 100, 150, 155, 300] {
            log.push(at(ms));
        }
        let gap = |from, to| log.gap(at(from), at(to)).map(|gap| gap.as_millis());
        assert_eq!(gap(105, 120), Some(50), "reaches in from both sides");
        assert_eq!(gap(95, 152), Some(50));
        assert_eq!(gap(95, 299), Some(145));
        assert_eq!(gap(300, 400), None);
        log.clear();
        assert_eq!(gap(0, 400), None, "the last alone makes no gap");
    }
}
