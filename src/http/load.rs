//! The records of one produce request, sorted into one batch per partition and sent.
//!
//! ```text
//!   records ── push ──> lanes: partition 0 │ sealed batches, open batch
//!                              partition 3 │ …
//!                       placed: record 0 → lane, batch, delta; record 1 → …
//!   send: lanes at the same time, the batches of a lane one after the other
//!   Sent: what became of each batch, and through `placed` of each record, in the request's order
//! ```
//!
//! A lane has one batch unless the topic's limit makes it more; that of an idempotent producer has one. Once one of a lane fails, those after it
//! are not sent: the order of a partition is the order of the request.

use super::author::Author;
use super::record::Incoming;
use crate::broker::{Broker, Durability, Produce, Produced, without_key};
use crate::error::{Error, ErrorKind};
use crate::topic::{PartitionId, TopicName};
use futures::future::join_all;
use raft::{Acks, Offset};
use storage::batch::{BatchBuilder, Compression, HEADER_BYTES, RecordBatch};
use storage::planted;
use tokio::time::Instant;

/// The most that a record has beside its key, value and headers: seven numbers and the attributes.
const RECORD_OVERHEAD_BYTES: usize = 36;
/// The most that a header has beside its name and value.
const HEADER_OVERHEAD_BYTES: usize = 10;

/// How a request is to be appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// When it is answered.
    pub(super) acks: Acks,
    /// Only if the next record would get this offset.
    pub(super) expected_end: Option<Offset>,
    /// By when.
    pub(super) deadline: Instant,
}

/// The records of one request.
pub(super) struct Load {
    topic: TopicName,
    /// Where all records go, if the request says so.
    fixed: Option<PartitionId>,
    batch_bytes_max: usize,
    compression: Compression,
    needs_keys: bool,
    now_ms: i64,
    broker: Broker,
    author: Author,
    /// The next partition for records without a key.
    turn: u32,
    /// By partition; `None` where no record went yet.
    lanes: Vec<Option<Lane>>,
    placed: Vec<Place>,
}

/// The records for one partition.
#[derive(Default)]
struct Lane {
    sealed: Vec<RecordBatch>,
    open: BatchBuilder,
}

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    partition: u32,
    batch: u32,
    delta: u32,
}

/// What became of a record or of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate<'a> {
    /// Its partition.
    pub(super) partition: u32,
    /// Its offset, unless the acknowledgement was not waited for.
    pub(super) offset: Result<Option<u64>, &'a Error>,
    /// Whether it was there already.
    pub(super) duplicate: bool,
}

/// What became of a load.
pub(super) struct Sent {
    /// By partition, then by batch.
    lanes: Vec<Vec<Result<Produced, Error>>>,
    placed: Vec<Place>,
    /// How many records came and how many bytes their batches have.
    pub(super) bytes: usize,
}

impl Load {
    /// A load for a topic, or for one of its partitions.
    pub(super) fn new(
        broker: &Broker,
        topic: TopicName,
        fixed: Option<PartitionId>,
        compression: Compression,
    ) -> Result<Self, Error> {
        let partitions = broker.topic(&topic)?.partitions;
        if let Some(fixed) = fixed {
            known(&topic, fixed.0, partitions)?;
        }
        // What the leader would encode anew is encoded so at once.
        let compression = broker.compression(&topic)?.unwrap_or(compression);
        let lanes = usize::try_from(partitions).expect("at most a thousand");
        Ok(Self {
            batch_bytes_max: broker.batch_bytes_max(&topic)?,
            needs_keys: broker.needs_keys(&topic)?,
            turn: if fixed.is_some() { 0 } else { broker.next_partition(&topic)?.0 },
            broker: broker.clone(),
            author: Author::Anybody,
            topic,
            fixed,
            compression,
            now_ms: jiff::Timestamp::now().as_millisecond(),
            lanes: std::iter::repeat_with(|| None).take(lanes).collect(),
            placed: Vec::new(),
        })
    }

    /// The same of an author. Where an `Idempotency-Key` stands for one, records without a key all go to
    /// the partition of that key: so a retry finds them.
    pub(super) fn by(mut self, author: Author) -> Result<Self, Error> {
        if let (Author::Key(key), None) = (&author, self.fixed) {
            self.turn = self.broker.partition_of(&self.topic, key)?.0;
        }
        self.author = author;
        Ok(self)
    }

    /// Adds a record. One that cannot be taken refuses the request: nothing of it is sent.
    pub(super) fn push(&mut self, record: &Incoming<'_>) -> Result<(), Error> {
        let bytes = RECORD_OVERHEAD_BYTES
            + record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.headers.len_bytes()
            + record.headers.len() * HEADER_OVERHEAD_BYTES;
        if HEADER_BYTES + bytes > self.batch_bytes_max {
            let message = format!(
                "a record of about {bytes} bytes; topic {} takes batches of at most {} bytes",
                self.topic, self.batch_bytes_max
            );
            return Err(Error::new(ErrorKind::RecordTooLarge, message));
        }
        if self.needs_keys && record.key.is_none() {
            return Err(without_key(self.topic.as_str(), self.placed.len()));
        }
        let partition = self.partition_of(record)?;
        let lane = usize::try_from(partition).ok().and_then(|at| self.lanes.get_mut(at));
        let lane = lane.expect("the partition was checked").get_or_insert_default();
        if !lane.open.is_empty() && lane.open.len_bytes() + bytes > self.batch_bytes_max {
            if self.author != Author::Anybody {
                let message = format!(
                    "an idempotent append takes one batch a partition, and topic {} takes batches of \
                     at most {} bytes",
                    self.topic, self.batch_bytes_max
                );
                return Err(Error::new(ErrorKind::RecordTooLarge, message));
            }
            lane.sealed.push(std::mem::take(&mut lane.open).finish(self.compression));
        }
        if planted!(BatchInPieces) && !lane.open.is_empty() && self.author == Author::Anybody {
            lane.sealed.push(std::mem::take(&mut lane.open).finish(self.compression));
        }
        self.placed.push(Place {
            partition,
            batch: u32::try_from(lane.sealed.len()).expect("a batch has many bytes"),
            delta: lane.open.record_count(),
        });
        if planted!(DropRecord) && lane.open.record_count() == 2 {
            return Ok(());
        }
        let timestamp = record.timestamp.unwrap_or(self.now_ms);
        lane.open.push(timestamp, record.key, record.value, record.headers.iter());
        Ok(())
    }

    /// Adds batches that came ready made: their records are not looked at, a place is a batch's.
    ///
    /// # Panics
    /// Without a fixed partition.
    pub(super) fn push_batches(&mut self, batches: Vec<RecordBatch>) -> Result<(), Error> {
        let partition = self.fixed.expect("ready-made batches name their partition").0;
        let batches = self.author.sign_all(batches)?;
        for (batch, number) in batches.iter().zip(0..) {
            if batch.bytes().len() > self.batch_bytes_max {
                let message = format!(
                    "batch {number} has {} bytes; topic {} takes at most {}",
                    batch.bytes().len(),
                    self.topic,
                    self.batch_bytes_max
                );
                return Err(Error::new(ErrorKind::RecordTooLarge, message));
            }
            self.placed.push(Place { partition, batch: number, delta: 0 });
        }
        let at = usize::try_from(partition).expect("at most a thousand");
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.get_or_insert_default().sealed = batches;
        }
        Ok(())
    }

    /// Sends all of it.
    pub(super) async fn send(self, terms: Terms) -> Result<Sent, Error> {
        let Self { topic, broker, lanes, placed, compression, author, .. } = self;
        if placed.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "no records: at least one is needed",
            ));
        }
        let mut bytes = 0;
        let lanes: Vec<Vec<RecordBatch>> = lanes
            .into_iter()
            .map(|lane| lane.map_or_else(Vec::new, |lane| lane.seal(compression, &author)))
            .inspect(|lane| bytes += lane.iter().map(|batch| batch.bytes().len()).sum::<usize>())
            .collect();
        if terms.expected_end.is_some() && lanes.iter().any(|lane| lane.len() > 1) {
            let message = "a conditional append takes one batch; these records are more than the \
                           topic's batch holds";
            return Err(Error::new(ErrorKind::RecordTooLarge, message));
        }
        let sending = lanes.into_iter().zip(0..).map(|(batches, partition)| {
            let partition = PartitionId(partition);
            send_lane(&broker, &topic, partition, batches, terms)
        });
        Ok(Sent { lanes: join_all(sending).await, placed, bytes })
    }

    /// Where a record goes: where the request says, where it says, where its key says, to the next.
    fn partition_of(&mut self, record: &Incoming<'_>) -> Result<u32, Error> {
        let partitions = u32::try_from(self.lanes.len()).expect("at most a thousand");
        match (self.fixed, record.partition) {
            (Some(fixed), None) if planted!(WrongPartition) && self.now_ms % 64 == 0 => {
                Ok((fixed.0 + 1) % partitions)
            }
            (Some(fixed), None) => Ok(fixed.0),
            (Some(fixed), Some(named)) if fixed.0 == named => Ok(named),
            (Some(fixed), Some(named)) => {
                let message = format!("names partition {named} in a request to partition {fixed}");
                Err(Error::new(ErrorKind::InvalidRequest, message))
            }
            (None, Some(named)) => known(&self.topic, named, partitions).map(|()| named),
            (None, None) => {
                if let Some(key) = record.key {
                    let partition = self.broker.partition_of(&self.topic, key)?.0;
                    // A topic may have grown since the load began.
                    return Ok(partition.min(partitions.saturating_sub(1)));
                }
                let turn = self.turn % partitions;
                if self.author == Author::Anybody {
                    self.turn = (turn + 1) % partitions;
                }
                Ok(turn)
            }
        }
    }
}

impl Lane {
    fn seal(mut self, compression: Compression, author: &Author) -> Vec<RecordBatch> {
        if !self.open.is_empty() {
            self.sealed.push(author.sign(self.open).finish(compression));
        }
        self.sealed
    }
}

async fn send_lane(
    broker: &Broker,
    topic: &TopicName,
    partition: PartitionId,
    batches: Vec<RecordBatch>,
    terms: Terms,
) -> Vec<Result<Produced, Error>> {
    let Terms { acks, expected_end, deadline } = terms;
    let mut answers: Vec<Result<Produced, Error>> = Vec::with_capacity(batches.len());
    for batch in batches {
        let answer = if answers.last().is_some_and(Result::is_err) {
            let message = format!("not sent: an earlier batch for {topic}-{partition} failed");
            Err(Error::new(ErrorKind::NoLeader, message))
        } else {
            let topic = topic.clone();
            let produce = Produce { topic, partition, batch, acks, expected_end, deadline };
            broker.produce(produce).await
        };
        answers.push(answer);
    }
    answers
}

impl Sent {
    /// What became of each record (or ready-made batch), in the request's order.
    pub(super) fn fates(&self, acks: Acks) -> impl Iterator<Item = Fate<'_>> {
        self.placed.iter().map(move |place| {
            let answer = self.answer(*place);
            let offset = match answer {
                Ok(_) if acks == Acks::None => Ok(None),
                Ok(produced) => Ok(Some(produced.base_offset + u64::from(place.delta))),
                Err(error) => Err(error),
            };
            let duplicate = answer.as_ref().is_ok_and(|produced| produced.duplicate);
            Fate { partition: place.partition, offset, duplicate }
        })
    }

    /// How many there are of those.
    pub(super) fn len(&self) -> usize {
        self.placed.len()
    }

    /// The error that all of them met, if all met errors of one kind.
    pub(super) fn failed(&self) -> Option<&Error> {
        let mut answers = self.lanes.iter().flatten();
        let first = answers.next()?.as_ref().err()?;
        answers
            .all(|answer| answer.as_ref().err().is_some_and(|error| error.kind == first.kind))
            .then_some(first)
    }

    /// Whether all of it was there already.
    pub(super) fn is_duplicate(&self) -> bool {
        !self.is_mixed() && self.produced().all(|produced| produced.duplicate)
    }

    /// Whether some met an error.
    pub(super) fn is_mixed(&self) -> bool {
        self.lanes.iter().flatten().any(Result::is_err)
    }

    /// The weakest promise given.
    pub(super) fn durability(&self) -> Option<Durability> {
        self.produced().map(|produced| produced.durability).max_by_key(
            |durability| match durability {
                Durability::QuorumFsync => 0,
                Durability::Quorum => 1,
                Durability::Leader => 2,
                Durability::None => 3,
            },
        )
    }

    /// What was appended, batch by batch.
    pub(super) fn produced(&self) -> impl Iterator<Item = &Produced> {
        self.lanes.iter().flatten().filter_map(|answer| answer.as_ref().ok())
    }

    fn answer(&self, place: Place) -> &Result<Produced, Error> {
        let lane = usize::try_from(place.partition).ok().and_then(|at| self.lanes.get(at));
        let batch = usize::try_from(place.batch).ok();
        lane.zip(batch)
            .and_then(|(lane, batch)| lane.get(batch))
            .expect("each batch that was placed was answered")
    }
}

fn known(topic: &TopicName, partition: u32, partitions: u32) -> Result<(), Error> {
    if partition < partitions {
        return Ok(());
    }
    let message =
        format!("topic {topic} has no partition {partition}: it has {partitions}, from 0");
    Err(Error::new(ErrorKind::UnknownPartition, message))
}
