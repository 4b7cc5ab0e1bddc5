//! The stream of a group, page by page: what a connection's member has next, and how far its reader is.

use super::join::Share;
use crate::broker::{CommitOffsets, Freshness, NewOffset, Poll, Polled, PolledPartition, Tail};
use crate::coordinator::{Allotment, Committer, GroupName, MemberId, TopicPartition};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::native::course::Course;
use crate::http::native::framing::{Ending, Framing};
use crate::http::native::seen::{Seen, Spot};
use crate::http::native::{Bounds, fill};
use crate::http::record::native_of;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream;
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

/// What was taken is committed this often, at most.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a commit may take.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an event's id: it comes back in a request's head.
const ID_BYTES_MAX: usize = 16 * 1024;

/// A stream of a group being read.
pub(super) struct Reader {
    pub(super) door: Door,
    pub(super) framing: Framing,
    pub(super) group: GroupName,
    pub(super) member: MemberId,
    /// What the reader was told that the member has.
    pub(super) told: Option<Allotment>,
    /// What this connection took, of what the member has.
    pub(super) seen: Seen<Spot>,
    /// What the reader said that it had seen, of what the member did not have since.
    pub(super) resumed: Seen<Spot>,
    /// What is committed of what was taken, if it is.
    pub(super) commits: Option<Commits>,
    /// The last delivery that was taken.
    pub(super) delivery: Option<u64>,
    /// Of one page.
    pub(super) bytes_max: usize,
    /// Records still to be given.
    pub(super) left: u64,
    pub(super) course: Course,
    /// The member goes when this does.
    pub(super) _held: DropGuard,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What is committed of what was taken.
#[derive(Debug)]
pub(super) struct Commits {
    done: BTreeMap<Spot, u64>,
    last: Instant,
}

/// Records on their way to the connection.
struct Page {
    to: BytesMut,
    seen: Seen<Spot>,
    records: u64,
    allotment: Allotment,
}

impl Commits {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { done: BTreeMap::new(), last: Instant::now() }
    }
}

impl Reader {
    /// The answer that streams.
    pub(super) fn answer(self) -> Response {
        let framing = self.framing;
        let member = json!({ "group": self.group.as_str(), "member_id": self.member.as_str() });
        let begins = (!self.resumed.0.is_empty()).then(|| framing.begin(&self.resumed));
        let head = [begins, framing.aside("member", &member.to_string())];
        let chunks = stream::iter(head.into_iter().flatten().filter(|chunk| !chunk.is_empty()))
            .chain(stream::unfold(self, Self::step));
        framing.answer(chunks.map(Ok::<_, Infallible>))
    }

    /// The next chunk: records, a sign of life, or why there are no more.
    async fn step(mut self) -> Option<(Bytes, Self)> {
        if self.course.is_ended() {
            return None;
        }
        if self.left == 0 {
            return self.end(Ending::Full);
        }
        let stopping = self.door.stopping.clone();
        let Some(next) = stopping.run_until_cancelled(self.next()).await else {
            return self.end(Ending::ShuttingDown);
        };
        let chunk = match next {
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

    /// The next page. Until it is whole nothing of it counts as taken: after a failure it is asked for
    /// again.
    async fn next(&mut self) -> Result<Bytes, Error> {
        let waits_with_commit = self.commit_taken().await?;
        let heartbeat = self.door.limits.heartbeat;
        let poll = Poll {
            group: self.group.clone(),
            member: self.member.clone(),
            wait: if waits_with_commit { heartbeat.min(COMMIT_EVERY) } else { heartbeat },
            bytes_max: self.bytes_max,
            delivered: self.delivery,
        };
        let (page, delivery) = self.door.broker.poll(poll, |polled| self.page(polled)).await?;
        let Page { to, seen, records, allotment } = page;
        self.go_on(&allotment).await?;
        let news = self.tell(&allotment);
        self.told = Some(allotment);
        self.delivery = Some(delivery);
        self.left = self.left.saturating_sub(records);
        self.seen = seen;
        self.keep_own();
        self.door.meter.fetched(records, to.len());
        if records == 0 {
            return Ok(news.unwrap_or_else(|| self.framing.alive()));
        }
        Ok(match news {
            None => to.freeze(),
            Some(news) => {
                let mut chunk = BytesMut::from(news);
                chunk.extend_from_slice(&to);
                chunk.freeze()
            }
        })
    }

    /// Writes what was read, as far as there is room; gives where each partition ends.
    fn page(&self, polled: &Polled) -> Result<(Page, Vec<u64>), Error> {
        let mut page = Page {
            to: BytesMut::new(),
            seen: self.seen.clone(),
            records: 0,
            allotment: polled.allotment.clone(),
        };
        let mut ends = Vec::with_capacity(polled.partitions.len());
        for PolledPartition { at, found } in &polled.partitions {
            let spot = Spot(at.clone());
            let mut found = found.clone();
            if let Some(next) = self.resumed.0.get(&spot).filter(|next| is_of(**next, &found.tail))
            {
                found.from = found.from.max(*next);
                page.seen.0.insert(spot.clone(), found.from);
            }
            let (before, after) = page.seen.around(&spot);
            if before.len() + after.len() > ID_BYTES_MAX {
                let message = format!(
                    "the ids of this stream have grown beyond {ID_BYTES_MAX} bytes: fewer topics or \
                     more members make them shorter"
                );
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            }
            let is_full = page.to.len() >= self.bytes_max;
            let left = if is_full { 0 } else { self.left.saturating_sub(page.records) };
            let bounds = Bounds {
                records_max: left,
                page_bytes_max: self.bytes_max.saturating_sub(page.to.len()),
                inflated_bytes_max: self.door.limits.inflated_bytes_max,
            };
            let (topic, partition) = (at.topic.as_str(), at.partition.0);
            let end = fill(&mut page.to, &found, bounds, |to, record, _| {
                let id = format_args!("{before}{}{after}", record.offset);
                self.framing.record(to, id, |to| native_of(to, topic, partition, record));
            })?;
            if end.records > 0 {
                page.seen.0.insert(spot, end.next);
                page.records += end.records;
            }
            ends.push(end.next);
        }
        Ok((page, ends))
    }

    /// What the reader is told when the member has other partitions than before.
    fn tell(&self, allotment: &Allotment) -> Option<Bytes> {
        let is_news = self.told.as_ref().is_none_or(|told| told.assigned != allotment.assigned);
        let share = is_news.then(|| Share::from(allotment))?;
        let share = serde_json::to_string(&share).expect("plain data");
        self.framing.aside("assignment", &share)
    }

    /// Forgets what the member no longer has: others go on with it.
    fn keep_own(&mut self) {
        let Some(told) = &self.told else { return };
        self.seen.0.retain(|spot, _| told.assigned.contains(&spot.0));
        self.resumed.0.retain(|spot, _| !told.assigned.contains(&spot.0));
        if let Some(commits) = &mut self.commits {
            commits.done.retain(|spot, _| told.assigned.contains(&spot.0));
        }
    }

    /// Commits what the reader said that it had seen, of what the member has now.
    async fn go_on(&self, allotment: &Allotment) -> Result<(), Error> {
        let ours: Vec<(TopicPartition, u64)> = self
            .resumed
            .0
            .iter()
            .filter(|(spot, _)| allotment.assigned.contains(&spot.0))
            .map(|(spot, next)| (spot.0.clone(), *next))
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        let broker = &self.door.broker;
        let which = ours.iter().map(|(at, _)| at.clone()).collect();
        let committed = broker.committed_offsets(&self.group, Some(which)).await?;
        let mut rows = Vec::new();
        for ((at, next), committed) in ours.into_iter().zip(committed) {
            let tail = broker.tail(&at.topic, at.partition, Freshness::Leader).await?;
            if is_of(next, &tail) && committed.offset.is_none_or(|offset| offset < next) {
                rows.push((at, next));
            }
        }
        self.commit(rows).await
    }

    /// Commits what was taken, if this stream does so and it is time; says whether something is left.
    async fn commit_taken(&mut self) -> Result<bool, Error> {
        let Some(commits) = &self.commits else { return Ok(false) };
        let news = self.seen.0.iter().filter(|(spot, next)| commits.done.get(spot) != Some(next));
        let news: BTreeMap<Spot, u64> = news.map(|(spot, next)| (spot.clone(), *next)).collect();
        if news.is_empty() {
            return Ok(false);
        }
        if commits.last.elapsed() < COMMIT_EVERY {
            return Ok(true);
        }
        self.commit(news.iter().map(|(spot, next)| (spot.0.clone(), *next)).collect()).await?;
        if let Some(commits) = &mut self.commits {
            commits.done.extend(news);
            commits.last = Instant::now();
        }
        Ok(false)
    }

    async fn commit(&self, rows: Vec<(TopicPartition, u64)>) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let row =
            |(at, offset)| NewOffset { at, offset, metadata: String::new(), leader_epoch: None };
        let commit = CommitOffsets {
            group: self.group.clone(),
            by: Committer::Member { id: self.member.clone(), generation: None },
            offsets: rows.into_iter().map(row).collect(),
        };
        match self.door.broker.commit_offsets(commit, Instant::now() + COMMIT_PATIENCE).await {
            // It went to another member a moment ago, who gives it again.
            Err(error) if error.kind == ErrorKind::NotOwner => Ok(()),
            done => done,
        }
    }
}

/// Whether a reader can have seen what is before an offset. An id from beyond the end is of another topic of
/// the name, or made up: it acknowledges nothing.
fn is_of(next: u64, tail: &Tail) -> bool {
    next <= tail.high_watermark
}
