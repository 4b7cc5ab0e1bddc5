//! Reading for a member: the coordinator says where it is, the node that was asked reads from the
//! partitions' leaders, and the coordinator moves the member before anything is given to it. So what was
//! revoked meanwhile is thrown away, not given.
//!
//! ```text
//!   draw ──► read what is there ──► nothing? ──► wait for the first record, or for news ──┐
//!    ▲            │ something                              │ news, or a heartbeat is due  │
//!    │            ▼                                        ▼                              │
//!    │◄── revoked ── deliver ──► the answer               draw again                      │
//!    └────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Each poll begins with another partition and gives all an equal share of its bytes, so that no
//! partition waits for ever behind a full one.

use super::ask::{Drawn, GroupAsk, GroupReply};
use super::deliveries::{Denied, Move};
use super::request::{OffsetReset, Poll, Polled, PolledPartition};
use super::unexpected;
use crate::broker::{Broker, Fetch, FetchFrom, Freshness, READ_DEADLINE};
use crate::coordinator::TopicPartition;
use crate::error::{Error, ErrorKind};
use crate::partition::Found;
use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Partitions read at the same time.
const AT_ONCE: usize = 8;
/// Heartbeats of a node that wait for news at coordinators elsewhere: each holds a place among the calls
/// between two nodes. Beyond it a poll looks for news when its next heartbeat is due.
pub(in crate::broker) const WAITING_BEATS_MAX: usize = 256;

/// What came of reading one partition.
struct Read {
    at: TopicPartition,
    /// Where the coordinator said the member was.
    before: Option<u64>,
    found: Found,
}

/// What came of reading them all.
struct Reads {
    reads: Vec<Read>,
    /// Why others could not be read now.
    failed: Option<Error>,
}

impl Reads {
    fn are_empty(&self) -> bool {
        self.reads.iter().all(|read| read.found.batches.is_empty())
    }
}

impl Read {
    /// How far the member goes, if it goes anywhere.
    ///
    /// # Panics
    /// If it would go beyond what there was to read: those records would be lost to its group.
    fn step(&self, next: u64) -> Option<Move> {
        let (from, end) = (self.found.from, self.found.tail.high_watermark);
        assert!((from..=end).contains(&next), "{}: {next} of {from}..{end} was taken", self.at);
        let moves = next > from || self.before != Some(from);
        moves.then(|| Move { at: self.at.clone(), before: self.before, from, next })
    }
}

impl Broker {
    /// Reads what is next for a member; `render` makes the answer of it, and says for each partition up
    /// to which offset it took records. The member goes exactly there. Gives the answer and the number of
    /// the delivery, which the member's next poll may say.
    ///
    /// `render` may be called again, if what it was shown was revoked meanwhile; what it made then is
    /// dropped.
    pub async fn poll<T>(
        &self,
        poll: Poll,
        mut render: impl FnMut(&Polled) -> Result<(T, Vec<u64>), Error>,
    ) -> Result<(T, u64), Error> {
        let until = Instant::now() + poll.wait;
        loop {
            let deadline = until.max(Instant::now()) + READ_DEADLINE;
            let drawn = self.draw(&poll, deadline).await?;
            let mut read = self.read_now(&drawn, poll.bytes_max).await?;
            if read.are_empty() {
                let found: Vec<Move> =
                    read.reads.iter().filter_map(|read| read.step(read.found.from)).collect();
                if !found.is_empty() {
                    // Where the member begins is noted before it waits there.
                    self.deliver(&poll, &drawn, found, deadline).await?.ok();
                    if Instant::now() < until {
                        continue;
                    }
                } else if Instant::now() < until
                    && self.wait_for_more(&poll, &drawn, &mut read, until).await?
                {
                    continue;
                }
                if let (true, Some(error)) = (read.reads.is_empty(), read.failed.take()) {
                    return Err(error);
                }
            }
            read.reads.retain(|read| !read.found.batches.is_empty());
            let mut polled = Polled { allotment: drawn.allotment.clone(), partitions: Vec::new() };
            let shown =
                |read: &Read| PolledPartition { at: read.at.clone(), found: read.found.clone() };
            polled.partitions.extend(read.reads.iter().map(shown));
            let (answer, taken) = render(&polled)?;
            let steps = read.reads.iter().zip(taken);
            let moves: Vec<Move> = steps.filter_map(|(read, next)| read.step(next)).collect();
            if moves.is_empty() {
                return Ok((answer, drawn.draw.number));
            }
            match self.deliver(&poll, &drawn, moves, deadline).await? {
                Ok(number) => return Ok((answer, number)),
                Err(Denied::Revoked) => {}
                Err(Denied::Overtaken) => {
                    polled.partitions.clear();
                    return Ok((render(&polled)?.0, drawn.draw.number));
                }
            }
        }
    }

    async fn draw(&self, poll: &Poll, deadline: Instant) -> Result<Drawn, Error> {
        let ask = GroupAsk::Draw {
            group: poll.group.clone(),
            member: poll.member.clone(),
            received: poll.delivered,
        };
        let reply = self.ask_group(&poll.group, ask, deadline).await?;
        if let GroupReply::Drawn(drawn) = reply { Ok(drawn) } else { Err(unexpected(&reply)) }
    }

    async fn deliver(
        &self,
        poll: &Poll,
        drawn: &Drawn,
        moves: Vec<Move>,
        deadline: Instant,
    ) -> Result<Result<u64, Denied>, Error> {
        let ask = GroupAsk::Deliver {
            group: poll.group.clone(),
            member: poll.member.clone(),
            ticket: drawn.draw.ticket,
            moves,
        };
        let reply = self.ask_group(&poll.group, ask, deadline).await?;
        let GroupReply::Delivered(delivered) = reply else { return Err(unexpected(&reply)) };
        Ok(delivered)
    }

    /// Reads without waiting, until `bytes_max` are there.
    async fn read_now(&self, drawn: &Drawn, bytes_max: usize) -> Result<Reads, Error> {
        let positions = &drawn.draw.positions;
        let count = positions.len().max(1);
        let turn = usize::try_from(drawn.draw.ticket).unwrap_or(0) % count;
        let share = (bytes_max / count.min(AT_ONCE)).max(1);
        let order: Vec<(TopicPartition, Option<u64>)> =
            positions.iter().skip(turn).chain(positions.iter().take(turn)).cloned().collect();
        let mut reading = stream::iter(order)
            .map(|(at, before)| async move {
                let found = self.read_at(&at, before, drawn.reset, share).await;
                (at, before, found)
            })
            .buffered(AT_ONCE);
        let mut reads = Reads { reads: Vec::with_capacity(positions.len()), failed: None };
        let mut bytes = 0;
        while let Some((at, before, found)) = reading.next().await {
            match found {
                Ok(found) => {
                    bytes += found.batches.iter().map(|batch| batch.bytes().len()).sum::<usize>();
                    reads.reads.push(Read { at, before, found });
                }
                Err(error) if error.kind == ErrorKind::OffsetOutOfRange => return Err(error),
                Err(error) => {
                    tracing::debug!(partition = %at, %error, "not read for a member now");
                    reads.failed = Some(error);
                }
            }
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(reads)
    }

    /// Reads a partition where the member is, or where it is to begin.
    async fn read_at(
        &self,
        at: &TopicPartition,
        position: Option<u64>,
        reset: OffsetReset,
        bytes_max: usize,
    ) -> Result<Found, Error> {
        let begin = match reset {
            OffsetReset::Earliest => Some(FetchFrom::Earliest),
            OffsetReset::Latest => Some(FetchFrom::Latest),
            OffsetReset::None => None,
        };
        let nowhere = || {
            let message = format!("{at}: nothing is committed, and auto.offset.reset is none");
            Error::new(ErrorKind::OffsetOutOfRange, message)
        };
        let from = match position {
            Some(offset) => FetchFrom::Offset(offset),
            None => begin.ok_or_else(nowhere)?,
        };
        let found = self.fetch(fetch(at, from, bytes_max)).await;
        match (found, begin) {
            (Err(error), Some(begin))
                if error.kind == ErrorKind::OffsetOutOfRange && position.is_some() =>
            {
                tracing::info!(partition = %at, %error, ?begin, "a member begins elsewhere");
                self.fetch(fetch(at, begin, bytes_max)).await
            }
            (found, _) => found,
        }
    }

    /// Waits until one of the partitions has something, which is put into `read`, or until there is
    /// reason to draw again: true.
    async fn wait_for_more(
        &self,
        poll: &Poll,
        drawn: &Drawn,
        read: &mut Reads,
        until: Instant,
    ) -> Result<bool, Error> {
        let slice_end = until.min(Instant::now() + drawn.beat_every);
        let wait = slice_end.saturating_duration_since(Instant::now());
        let mut waiting: FuturesUnordered<_> = read
            .reads
            .iter()
            .enumerate()
            .map(|(place, read)| {
                // By number: `latest` is where it was when it was found.
                let from = FetchFrom::Offset(read.found.from);
                let fetch = Fetch { bytes_min: 1, wait, ..fetch(&read.at, from, poll.bytes_max) };
                async move { (place, self.fetch(fetch).await) }
            })
            .collect();
        let news = self.news(poll, drawn, slice_end);
        tokio::pin!(news);
        loop {
            tokio::select! {
                Some((place, found)) = waiting.next() => {
                    if let Ok(found) = found && !found.batches.is_empty() {
                        drop(waiting);
                        if let Some(read) = read.reads.get_mut(place) {
                            read.found = found;
                        }
                        return Ok(false);
                    }
                }
                news = &mut news => {
                    news?;
                    return Ok(Instant::now() < until);
                }
            }
        }
    }

    /// Waits for news of the member's group, until `until` at the latest.
    async fn news(&self, poll: &Poll, drawn: &Drawn, until: Instant) -> Result<(), Error> {
        let Ok(_place) = self.inner.waiting_beats.try_acquire() else {
            sleep_until(until).await;
            return Ok(());
        };
        let ask = GroupAsk::Beat {
            group: poll.group.clone(),
            member: poll.member.clone(),
            generation: Some(drawn.allotment.generation),
            wait: until.saturating_duration_since(Instant::now()),
        };
        let reply = self.ask_group(&poll.group, ask, until + READ_DEADLINE).await?;
        super::allotment(reply).map(drop)
    }
}

fn fetch(at: &TopicPartition, from: FetchFrom, bytes_max: usize) -> Fetch {
    Fetch {
        topic: at.topic.clone(),
        partition: at.partition,
        from,
        bytes_max,
        bytes_min: 0,
        wait: Duration::ZERO,
        freshness: Freshness::Leader,
    }
}
