//! A stream that does not end: the records of a partition, or of several of a topic, as they come.
//!
//! - The connection's next chunk is read when its last one was taken: a slow reader holds one page of
//!   memory and no more, and nothing is read for it meanwhile.
//! - What is known to be there is read one partition after the other; only when there is nothing all of
//!   them are waited for.
//! - A sign of life comes every so often. A failure that may pass (a leader is being elected) is waited
//!   for; any other, or one that lasts, ends the stream and says why.
//! - Any node goes on where another ended: at what the reader has seen.

use super::course::Course;
use super::framing::{Ending, Framing};
use super::page::{Bounds, fill};
use super::seen::Seen;
use crate::broker::{Fetch, FetchFrom, Fetched, Freshness};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::media::Media;
use crate::http::record::native;
use crate::topic::PartitionId;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, FuturesUnordered, StreamExt};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// Partitions that one stream follows.
pub(super) const PARTITIONS_MAX: usize = 256;
/// What each partition may answer while all are waited for: one is taken, the others are read again.
const NEWS_BYTES_MAX: usize = 64 * 1024;

/// What is to be followed.
pub(super) struct Wanted {
    /// How it is written.
    pub(super) framing: Framing,
    /// One fetch per partition, all of one topic.
    pub(super) fetches: Vec<Fetch>,
    /// All partitions of the topic: those that it gets later as well.
    pub(super) whole: bool,
    /// What the reader has seen already.
    pub(super) seen: Option<Seen<u32>>,
    /// So many records, then it ends after all.
    pub(super) records_max: u64,
}

/// A stream being read.
pub(super) struct Follow {
    door: Door,
    framing: Framing,
    topic_id: Uuid,
    /// One per partition, whose turn it is first.
    lanes: Vec<Lane>,
    whole: bool,
    /// Pages since it was looked for news of all partitions.
    pages_since_news: usize,
    /// Records still to be given.
    left: u64,
    course: Course,
    _place: OwnedSemaphorePermit,
}

/// One partition of a stream.
struct Lane {
    /// By number, so that nothing that comes meanwhile is passed over.
    fetch: Fetch,
    /// Where it goes on.
    next: u64,
    /// Where the partition was last seen to end.
    end: u64,
}

/// The stream that a request asks for, if it asks for one.
pub(super) fn asked(media: Media, follow: Option<bool>) -> Result<Option<Framing>, Error> {
    match (Framing::of(media), follow.unwrap_or(false)) {
        // Events have no end.
        (Some(Framing::Events), _) => Ok(Some(Framing::Events)),
        (framing, true) => framing.map(Some).ok_or_else(|| {
            let message = "follow=true needs Accept: text/event-stream or application/x-ndjson";
            Error::new(ErrorKind::NotAcceptable, message)
        }),
        (_, false) => Ok(None),
    }
}

impl Wanted {
    /// Begins a stream: what cannot even begin is an error with its status.
    pub(super) async fn start(self, door: Door) -> Result<Response, Error> {
        let place = door.admit_follow()?;
        let Self { framing, mut fetches, whole, seen, records_max } = self;
        if fetches.len() > PARTITIONS_MAX {
            let message = format!(
                "{} partitions in one stream; at most {PARTITIONS_MAX} are taken",
                fetches.len()
            );
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if let Some(seen) = seen {
            go_on(&mut fetches, &seen)?;
        }
        let topic_id = match fetches.first() {
            Some(fetch) => door.broker.topic(&fetch.topic)?.id,
            None => Uuid::nil(),
        };
        let opening = fetches.into_iter().map(|fetch| Lane::open(&door, fetch));
        let lanes = futures::future::try_join_all(opening).await?;
        let follow = Follow {
            door,
            framing,
            topic_id,
            lanes,
            whole,
            pages_since_news: 0,
            left: records_max,
            course: Course::Well,
            _place: place,
        };
        let head = framing.begin(follow.seen());
        let rest = stream::unfold(follow, Follow::step);
        let chunks = stream::iter((!head.is_empty()).then_some(head)).chain(rest);
        Ok(framing.answer(chunks.map(Ok::<_, Infallible>)))
    }
}

/// Moves the fetches to where a reader was.
fn go_on(fetches: &mut [Fetch], seen: &Seen<u32>) -> Result<(), Error> {
    for (partition, next) in &seen.0 {
        let fetch = fetches.iter_mut().find(|fetch| fetch.partition.0 == *partition);
        let fetch = fetch.ok_or_else(|| {
            let message = format!("Last-Event-ID names partition {partition}, not asked for here");
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        fetch.from = FetchFrom::Offset(*next);
    }
    Ok(())
}

impl Lane {
    async fn open(door: &Door, mut fetch: Fetch) -> Result<Self, Error> {
        let look = Fetch { wait: Duration::ZERO, bytes_max: 1, bytes_min: 0, ..fetch.clone() };
        let opened = door.broker.fetch(look).await?;
        fetch.from = FetchFrom::Offset(opened.from);
        fetch.bytes_min = 1;
        Ok(Self { fetch, next: opened.from, end: opened.tail.high_watermark })
    }
}

impl Follow {
    /// The next chunk: records, a sign of life, or why there are no more.
    async fn step(mut self) -> Option<(Bytes, Self)> {
        if self.course.is_ended() {
            return None;
        }
        if self.left == 0 {
            return self.end(Ending::Full);
        }
        let read = match self.grow() {
            Ok(()) => self.read().await,
            Err(error) => Some(Err(error)),
        };
        let Some(read) = read else { return self.end(Ending::ShuttingDown) };
        let chunk = match read.and_then(|(at, fetched)| self.chunk(at, &fetched)) {
            Ok(chunk) => {
                self.course = Course::Well;
                chunk
            }
            Err(error) if self.course.bears(&error).await => self.framing.alive(),
            Err(error) => self.framing.failed(&error),
        };
        Some((chunk, self))
    }

    fn end(mut self, ending: Ending) -> Option<(Bytes, Self)> {
        self.course = Course::Ended;
        self.framing.ended(ending).map(|last| (last, self))
    }

    /// Takes in partitions that the topic got meanwhile, from their beginning.
    fn grow(&mut self) -> Result<(), Error> {
        let Some(lane) = self.lanes.first() else { return Ok(()) };
        let topic = self.door.broker.topic(&lane.fetch.topic)?;
        if topic.id != self.topic_id {
            let message = format!("topic {} was deleted and made again", topic.name);
            return Err(Error::new(ErrorKind::UnknownTopic, message));
        }
        let known = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        if !self.whole || topic.partitions <= known {
            return Ok(());
        }
        if topic.partitions > u32::try_from(PARTITIONS_MAX).unwrap_or(u32::MAX) {
            let message = format!(
                "topic {} has grown to {} partitions; at most {PARTITIONS_MAX} are followed",
                topic.name, topic.partitions
            );
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let template = lane.fetch.clone();
        self.lanes.extend((known..topic.partitions).map(|partition| {
            let (partition, from) = (PartitionId(partition), FetchFrom::Offset(0));
            Lane { fetch: Fetch { partition, from, ..template.clone() }, next: 0, end: 0 }
        }));
        Ok(())
    }

    /// A page of some partition, perhaps an empty one; none once the node is shutting down.
    async fn read(&mut self) -> Option<Result<(usize, Fetched), Error>> {
        let stopping = self.door.stopping.clone();
        let reading = async {
            if self.pages_since_news >= self.lanes.len() {
                self.pages_since_news = 0;
                self.look().await;
            }
            if let Some(at) = self.lanes.iter().position(|lane| lane.next < lane.end) {
                self.pages_since_news += 1;
                return self.page_of(at).await;
            }
            self.pages_since_news = 0;
            self.news().await
        };
        stopping.run_until_cancelled(reading).await
    }

    /// Where the partitions end by now, so that none waits for ever behind a busy one.
    async fn look(&mut self) {
        let broker = &self.door.broker;
        let looks = self.lanes.iter_mut().map(|lane| async {
            let Fetch { topic, partition, .. } = &lane.fetch;
            // Who cannot be asked now is asked when all are waited for.
            if let Ok(tail) = broker.tail(topic, *partition, Freshness::Leader).await {
                lane.end = tail.high_watermark;
            }
        });
        futures::future::join_all(looks).await;
    }

    async fn page_of(&mut self, at: usize) -> Result<(usize, Fetched), Error> {
        let lane = self.lanes.get_mut(at).expect("the place was just found");
        let fetched = self.door.broker.fetch(lane.at_once()).await;
        if fetched.is_err() {
            // The others go on meanwhile; this one is tried again when all are waited for.
            lane.end = lane.next;
        }
        Ok((at, fetched?))
    }

    /// Whichever partition has something first, or nothing of one when it is time for a sign of life.
    async fn news(&self) -> Result<(usize, Fetched), Error> {
        let mut reads: FuturesUnordered<_> = self
            .lanes
            .iter()
            .enumerate()
            .map(|(at, lane)| async move {
                let fetch = lane.waiting(self.door.limits.heartbeat);
                Ok((at, self.door.broker.fetch(fetch).await?))
            })
            .collect();
        // All wait as long: the first that comes back with nothing says that it is time for a sign of life.
        let first = reads.next().await;
        first.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "a stream of no partition")))
    }

    fn chunk(&mut self, at: usize, fetched: &Fetched) -> Result<Bytes, Error> {
        let seen = self.seen();
        let Some(lane) = self.lanes.get_mut(at) else { return Ok(Bytes::new()) };
        let bounds = Bounds {
            records_max: self.left,
            page_bytes_max: lane.fetch.bytes_max,
            inflated_bytes_max: self.door.limits.inflated_bytes_max,
        };
        let PartitionId(partition) = lane.fetch.partition;
        let (before, after) = seen.around(&partition);
        let mut to = BytesMut::new();
        let end = fill(&mut to, fetched, bounds, |to, record, _| {
            let id = format_args!("{before}{}{after}", record.offset);
            self.framing.record(to, id, |to| native(to, partition, record));
        })?;
        lane.next = end.next;
        lane.fetch.from = FetchFrom::Offset(end.next);
        lane.end = fetched.tail.high_watermark;
        self.left = self.left.saturating_sub(end.records);
        self.door.meter.fetched(end.records, to.len());
        // The partition just served goes to the end of the line.
        self.lanes.rotate_left(at + 1);
        Ok(if end.records == 0 { self.framing.alive() } else { to.freeze() })
    }

    /// What the reader will have seen.
    fn seen(&self) -> Seen<u32> {
        Seen(self.lanes.iter().map(|lane| (lane.fetch.partition.0, lane.next)).collect())
    }
}

impl Lane {
    fn at_once(&self) -> Fetch {
        Fetch { wait: Duration::ZERO, ..self.fetch.clone() }
    }

    fn waiting(&self, wait: Duration) -> Fetch {
        let bytes_max = self.fetch.bytes_max.min(NEWS_BYTES_MAX);
        Fetch { bytes_max, wait, ..self.fetch.clone() }
    }
}
