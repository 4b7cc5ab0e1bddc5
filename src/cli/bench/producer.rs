//! One producer: one request under way, the next one when it is due.
//!
//! | answer | then |
//! |---|---|
//! | 200, 202 | acknowledged |
//! | 207, outcome `unknown`, none, or the connection broke | unknown; goes on with the next records |
//! | retriable, `not_appended` | the same request again, soon; its time goes on |
//! | anything else | the run ends: it cannot succeed |

use super::connection::{Answer, Connection};
use super::course::{Course, Pace};
use super::ledger::Ledger;
use super::options::Path;
use super::recorder::Recorder;
use super::request::{Request, Writer};
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::ErrorBody;
use crate::error::WriteOutcome;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Before a producer that was turned away comes again.
const TURNED_AWAY: Duration = Duration::from_millis(5);
/// Before another broker is asked when one is gone.
const NEXT_BROKER: Duration = Duration::from_millis(10);
/// Before a producer that is too far ahead of the comparison looks again.
const FAR_AHEAD: Duration = Duration::from_millis(20);
/// The broker gives up so much earlier than we do, so that it is the one who says what happened.
const SLACK: Duration = Duration::from_secs(1);

/// How far it goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// No request begins after the course's end.
    Time,
    /// So many requests.
    Requests(u64),
}

/// What it works with.
#[derive(Debug)]
pub(super) struct Producer {
    /// From 0.
    pub(super) number: u32,
    pub(super) site: Arc<Site>,
    pub(super) path: Path,
    pub(super) writer: Writer,
    pub(super) pace: Pace,
    pub(super) course: Course,
    pub(super) goal: Goal,
    /// It waits while more than this was acknowledged and not yet compared.
    pub(super) ahead_bytes_max: Option<u64>,
    /// The partitions it writes to, in turn.
    pub(super) partitions: Vec<u32>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) recorder: Arc<Recorder>,
}

/// What became of a request.
pub(super) enum Fate {
    /// It is done.
    Acknowledged,
    /// Nobody knows.
    Unknown,
    /// It certainly is not, and may be sent again.
    Refused,
}

impl Producer {
    /// Sends until its goal; gives how many records were due and not sent.
    pub(super) async fn run(mut self) -> Result<u64, Failure> {
        let mut connections = HashMap::new();
        let mut sent = 0;
        let turns = self.partitions.clone();
        let mut records = 0;
        for partition in turns.into_iter().cycle() {
            self.wait_for_comparison().await;
            let due = match self.pace.due(sent) {
                Some(after) => self.course.began + after,
                None => Instant::now(),
            };
            let is_over = match self.goal {
                Goal::Time => due.max(Instant::now()) >= self.course.until,
                Goal::Requests(requests) => sent >= requests,
            };
            if is_over {
                break;
            }
            sleep_until(due).await;
            let request = self.writer.request(partition, self.course.us(due));
            records = request.tally.records;
            self.send(&request, partition, due, &mut connections).await?;
            sent += 1;
        }
        let due =
            self.pace.due_within(self.course.until.saturating_duration_since(self.course.began));
        Ok(due.saturating_sub(sent) * records)
    }

    async fn wait_for_comparison(&self) {
        let Some(most) = self.ahead_bytes_max else { return };
        while self.ledger.ahead_bytes() > most && Instant::now() < self.course.until {
            self.recorder.held_back(FAR_AHEAD);
            sleep(FAR_AHEAD).await;
        }
    }

    async fn send(
        &self,
        request: &Request,
        partition: u32,
        due: Instant,
        connections: &mut HashMap<String, Connection>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + self.site.client.timeout();
        let mut turn = usize::try_from(self.number).unwrap_or_default();
        let mut broker = match self.path {
            Path::Raw => self.site.leader(partition),
            Path::Json | Path::Ndjson | Path::Single => self.site.broker(turn),
        };
        while Instant::now() < deadline {
            let kept = connections.remove(broker);
            let opened = async { Connection::open(broker).await.ok() };
            let Some(connection) = (match kept {
                Some(kept) => Some(kept),
                None => opened.await,
            }) else {
                turn += 1;
                broker = self.site.broker(turn);
                sleep(NEXT_BROKER).await;
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now()) + SLACK;
            let answer = timeout(left, connection.exchange(&request.bytes)).await;
            let fate = match answer {
                Ok(Ok((answer, connection))) => {
                    connections.extend(connection.map(|kept| (broker.to_owned(), kept)));
                    judge(&answer).map_err(|why| refused(broker, &why))?
                }
                Ok(Err(_)) | Err(_) => Fate::Unknown,
            };
            match fate {
                Fate::Acknowledged => {
                    self.ledger.acknowledged(request.tally, &request.numbers);
                    let tally = request.tally;
                    self.recorder.request(due.elapsed(), tally.records, tally.bytes);
                    return Ok(());
                }
                Fate::Unknown => return self.ledger.unknown(&request.numbers),
                Fate::Refused => {
                    self.recorder.refusal();
                    sleep(TURNED_AWAY).await;
                }
            }
        }
        let seconds = self.site.client.timeout().as_secs();
        let why = format!("producer {}: no broker took a request for {seconds} s", self.number);
        Err(Failure::new(Exit::Unavailable, why))
    }

    /// What a broker is told to take at most for a request.
    pub(super) fn broker_timeout(patience: Duration) -> Duration {
        patience.min(Duration::from_mins(2)).max(SLACK)
    }
}

/// By the table above; the error of what cannot succeed.
pub(super) fn judge(answer: &Answer) -> Result<Fate, String> {
    match answer.status {
        200 | 202 => return Ok(Fate::Acknowledged),
        207 => return Ok(Fate::Unknown),
        _ => {}
    }
    let status = answer.status;
    let error: ErrorBody = serde_json::from_slice(&answer.body).map_err(|error| {
        let start: String = String::from_utf8_lossy(&answer.body).chars().take(80).collect();
        format!("HTTP {status}: {error}: {start:?}")
    })?;
    match (error.outcome, error.retriable) {
        (Some(WriteOutcome::Unknown), _) => Ok(Fate::Unknown),
        (_, true) => Ok(Fate::Refused),
        (_, false) => Err(format!("HTTP {status}: {}", error.message)),
    }
}

fn refused(broker: &str, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{broker}: {why}"))
}
