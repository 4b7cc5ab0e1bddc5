//! `follow=true`: a stream of NDJSON that does not end. Each read of the connection asks for at most one
//! page, so a slow reader holds one page of memory and no more.
//!
//! - An empty line every so often says that the stream lives.
//! - A failure that may pass (a leader is being elected) is waited for; any other, or one that lasts,
//!   ends the stream with a line `{"error_code": …, "message": …}`.
//! - It ends without one when the node shuts down or `max_records` were given: go on at the last offset
//!   plus one, anywhere.

use super::page::{Bounds, fill};
use crate::broker::{Fetch, FetchFrom, Fetched};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::record::native;
use crate::http::reply::{ErrorBody, typed};
use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// A failure that may pass is waited for this long.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts meanwhile.
const BREATH: Duration = Duration::from_millis(200);
/// Partitions that one stream follows.
pub(super) const PARTITIONS_MAX: usize = 256;

/// A stream being read.
pub(super) struct Follow {
    door: Door,
    /// One per partition, each at the place where it goes on.
    fetches: Vec<Fetch>,
    /// Records still to be given.
    left: u64,
    failing_since: Option<Instant>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// Only NDJSON can be followed.
pub(super) fn check(media: Media) -> Result<(), Error> {
    if media == Media::Ndjson {
        return Ok(());
    }
    let message = "follow=true needs Accept: application/x-ndjson";
    Err(Error::new(ErrorKind::NotAcceptable, message))
}

impl Follow {
    /// Begins a stream: what cannot even begin is an error with its status.
    pub(super) async fn start(
        door: Door,
        mut fetches: Vec<Fetch>,
        records_max: u64,
    ) -> Result<Response, Error> {
        let place = door.admit_follow()?;
        if fetches.len() > PARTITIONS_MAX {
            let message = format!(
                "{} partitions in one stream; at most {PARTITIONS_MAX} are taken",
                fetches.len()
            );
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let mut opening = Vec::with_capacity(fetches.len());
        for fetch in &fetches {
            opening.push(door.broker.fetch(Fetch { wait: Duration::ZERO, ..fetch.clone() }));
        }
        let opened = futures::future::try_join_all(opening).await?;
        for (fetch, opened) in fetches.iter_mut().zip(&opened) {
            // From here on by number: nothing that comes meanwhile is passed over.
            fetch.from = FetchFrom::Offset(opened.from);
            fetch.wait = door.limits.heartbeat;
        }
        drop(opened);
        let follow = Self {
            door,
            fetches,
            left: records_max,
            failing_since: None,
            ended: false,
            _place: place,
        };
        let lines = stream::unfold(follow, |follow| async move {
            let (lines, follow) = follow.step().await?;
            Some((Ok::<_, Infallible>(lines), follow))
        });
        Ok(typed(Media::Ndjson.name(), Body::from_stream(lines)))
    }

    /// The next lines: records, a sign of life, or why there are no more.
    async fn step(mut self) -> Option<(Bytes, Self)> {
        if self.ended || self.left == 0 {
            return None;
        }
        let read = self.read().await?;
        let lines = match read.and_then(|(at, fetched)| self.lines(at, &fetched)) {
            Ok(lines) => {
                self.failing_since = None;
                lines
            }
            Err(error) => {
                let since = *self.failing_since.get_or_insert_with(Instant::now);
                if error.row().retriable && since.elapsed() < PATIENCE {
                    tokio::time::sleep(BREATH).await;
                    Bytes::from_static(b"\n")
                } else {
                    self.ended = true;
                    last_line(&error)
                }
            }
        };
        Some((lines, self))
    }

    /// Whichever partition has something first; none once the node is shutting down.
    async fn read(&self) -> Option<Result<(usize, Fetched), Error>> {
        let mut reads: FuturesUnordered<_> = self
            .fetches
            .iter()
            .enumerate()
            .map(|(at, fetch)| async move {
                let fetched = self.door.broker.fetch(fetch.clone()).await?;
                Ok((at, fetched))
            })
            .collect();
        let heartbeat = tokio::time::sleep(self.door.limits.heartbeat);
        tokio::pin!(heartbeat);
        let mut empty = None;
        loop {
            tokio::select! {
                () = self.door.stopping.cancelled() => return None,
                () = &mut heartbeat, if empty.is_some() => return empty,
                read = reads.next() => match read {
                    None => return empty,
                    Some(Ok((at, fetched))) if fetched.batches.is_empty() => {
                        empty = Some(Ok((at, fetched)));
                    }
                    Some(read) => return Some(read),
                },
            }
        }
    }

    fn lines(&mut self, at: usize, fetched: &Fetched) -> Result<Bytes, Error> {
        let Some(fetch) = self.fetches.get_mut(at) else { return Ok(Bytes::new()) };
        let bounds = Bounds {
            records_max: self.left,
            page_bytes_max: fetch.bytes_max,
            inflated_bytes_max: self.door.limits.inflated_bytes_max,
        };
        let partition = fetch.partition.0;
        let mut to = BytesMut::new();
        let end = fill(&mut to, fetched, bounds, |to, record, _| {
            native(to, partition, record);
            to.put_u8(b'\n');
        })?;
        fetch.from = FetchFrom::Offset(end.next);
        self.left = self.left.saturating_sub(end.records);
        self.door.meter.fetched(end.records, to.len());
        if end.records == 0 {
            to.put_u8(b'\n');
        }
        // The partition just served goes to the end of the line.
        self.fetches.rotate_left(at + 1);
        Ok(to.freeze())
    }
}

fn last_line(error: &Error) -> Bytes {
    let row = error.row();
    let body = ErrorBody {
        error_code: row.code,
        message: &error.message,
        retriable: row.retriable,
        outcome: None,
        kafka_error: row.kafka,
        request_id: "",
        log_start_offset: error.range.map(|(start, _)| start),
        high_watermark: error.range.map(|(_, end)| end),
    };
    let mut line = serde_json::to_vec(&body).expect("plain data");
    line.push(b'\n');
    line.into()
}
