//! Reads pages of batches as they are stored, over the benchmark's own connections: what reading costs is
//! the cluster's, not its client's.

use super::connection::{Answer, Connection};
use super::request::{self, BATCHES};
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::client::{Backoff, ErrorBody};
use bytes::{Buf, Bytes};
use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;
use storage::batch::{BatchError, RecordBatch};
use tokio::time::{Instant, sleep, timeout_at};

/// A batch's length stands behind its base offset, and counts what comes after itself.
const LENGTH: std::ops::Range<usize> = 8..12;

/// For one reader: it asks one after the other.
#[derive(Debug)]
pub(super) struct Fetcher<'a> {
    site: &'a Site,
    /// Of a page.
    bytes_max: u64,
    connections: HashMap<String, Connection>,
}

/// A piece of a partition.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The first offset that can be read.
    pub(super) log_start: u64,
    /// Where the next one begins.
    pub(super) next: u64,
    /// Whole batches one after the other; the first may begin before the offset that was wanted.
    pub(super) batches: Bytes,
}

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// There may be one soon.
    Again(String),
    Never(String),
}

impl<'a> Fetcher<'a> {
    /// Of pages of so many bytes at most.
    pub(super) fn new(site: &'a Site, bytes_max: u64) -> Self {
        Self { site, bytes_max, connections: HashMap::new() }
    }

    /// A page from a partition's leader, or through whoever answers; again until the time is up.
    pub(super) async fn page(
        &mut self,
        partition: u32,
        offset: u64,
        wait: Duration,
    ) -> Result<Page, Failure> {
        let (site, most, wait_ms) = (self.site, self.bytes_max, wait.as_millis());
        let target = format!(
            "/v1/topics/{}/partitions/{partition}/records?offset={offset}&max_bytes={most}\
             &wait_ms={wait_ms}",
            site.topic
        );
        let request = request::get(&target, BATCHES);
        let deadline = Instant::now() + wait + site.client.timeout();
        let failed = |exit, broker: &str, why: &str| {
            let at = format!("{} partition {partition} offset {offset}", site.topic);
            Failure::new(exit, format!("{at}: {broker}: {why}"))
        };
        let (mut broker, mut backoff) = (site.leader(partition), Backoff::default());
        for turn in 0.. {
            let answered = timeout_at(deadline, self.ask(broker, &request)).await;
            let why = match answered {
                Ok(Ok(answer)) => match Page::of(answer) {
                    Ok(page) => return Ok(page),
                    Err(Refusal::Again(why)) => why,
                    Err(Refusal::Never(why)) => return Err(failed(Exit::Failed, broker, &why)),
                },
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "no answer in time".to_owned(),
            };
            let pause = backoff.next(None);
            if Instant::now() + pause >= deadline {
                return Err(failed(Exit::Unavailable, broker, &why));
            }
            sleep(pause).await;
            broker = site.broker(turn);
        }
        unreachable!("there is always another turn")
    }

    async fn ask(&mut self, broker: &str, request: &[u8]) -> std::io::Result<Answer> {
        let connection = match self.connections.remove(broker) {
            Some(kept) => kept,
            None => Connection::open(broker).await?,
        };
        let (answer, connection) = connection.exchange(request).await?;
        if let Some(connection) = connection {
            self.connections.insert(broker.to_owned(), connection);
        }
        Ok(answer)
    }

    /// A page that is not what a log holds.
    pub(super) fn damaged(&self, partition: u32, offset: u64, error: &dyn Display) -> Failure {
        let at = format!("{} partition {partition} from offset {offset} on", self.site.topic);
        Failure::new(Exit::Failed, format!("{at}: {error}"))
    }
}

impl Page {
    fn of(answer: Answer) -> Result<Self, Refusal> {
        let Answer { status, next_offset, log_start, body } = answer;
        if status == 200 {
            let offsets = next_offset.zip(log_start);
            let (next, log_start) =
                offsets.ok_or_else(|| Refusal::Never("a page without its offsets".to_owned()))?;
            return Ok(Self { log_start, next, batches: body });
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) if error.retriable => Err(Refusal::Again(error.message)),
            Ok(error) => Err(Refusal::Never(format!("HTTP {status}: {}", error.message))),
            Err(_unreadable) => Err(Refusal::Again(format!("HTTP {status}"))),
        }
    }

    /// Its batches, each with its checksum made sure.
    pub(super) fn checked(self) -> Result<Vec<RecordBatch>, BatchError> {
        RecordBatch::split_stored(self.batches)
    }

    /// Its batches by their heads alone: records are neither looked at nor summed.
    pub(super) fn heads(self) -> impl Iterator<Item = Result<RecordBatch, BatchError>> {
        let mut left = self.batches;
        std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            let length = left.get(LENGTH).and_then(|length| length.try_into().ok());
            let after = usize::try_from(i32::from_be_bytes(length.unwrap_or_default()));
            let need = after.unwrap_or(usize::MAX).saturating_add(LENGTH.end);
            // What is too short ends here with what its head says of it.
            let batch = left.split_to(need.min(left.remaining()));
            Some(RecordBatch::stored(batch).inspect_err(|_| left.clear()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::batch::{BatchBuilder, Compression};

    fn answer(status: u16, body: &[u8]) -> Answer {
        let body = Bytes::copy_from_slice(body);
        Answer { status, next_offset: Some(9), log_start: Some(2), body }
    }

    #[test]
    fn what_cannot_be_had_now_is_asked_for_again() {
        let page = Page::of(answer(200, b"")).unwrap();
        assert_eq!((page.log_start, page.next), (2, 9));
        let error = |retriable: bool| {
            format!(r#"{{"error_code":1,"message":"m","retriable":{retriable}}}"#).into_bytes()
        };
        for (status, body, refusal) in [
            (503, error(true), Refusal::Again("m".to_owned())),
            (404, error(false), Refusal::Never("HTTP 404: m".to_owned())),
            (502, b"<html>".to_vec(), Refusal::Again("HTTP 502".to_owned())),
        ] {
            assert_eq!(Page::of(answer(status, &body)).unwrap_err(), refusal);
        }
        let without = Answer { next_offset: None, ..answer(200, b"") };
        Page::of(without).unwrap_err();
    }

    #[test]
    fn heads_say_the_same_as_whole_batches_and_a_torn_one_is_an_error() {
        let batch = |records: u32| {
            let mut batch = BatchBuilder::new();
            for _ in 0..records {
                batch.push(1, None, Some(b"value"), std::iter::empty());
            }
            batch.finish(Compression::None).into_bytes()
        };
        let bytes = [batch(3), batch(1), batch(40)].concat();
        let page =
            |bytes: &[u8]| Page { log_start: 0, next: 0, batches: Bytes::copy_from_slice(bytes) };
        let heads: Result<Vec<_>, _> = page(&bytes).heads().collect();
        assert_eq!(heads.unwrap(), page(&bytes).checked().unwrap());
        for cut in [1, 11, 30, 70, bytes.len() - 1] {
            let torn: Vec<_> = page(&bytes[..cut]).heads().collect();
            assert!(torn.last().unwrap().is_err(), "{cut}");
        }
    }
}
