//! Sending records: gathered into batches, straight to the partitions' leaders, each record once.
//!
//! ```text
//!   send ── room in the buffer ── partitioner ── queue (one a partition) ── lane ── leader
//!                                                batches by size and linger  │
//!                                                                   window: at most 5 under way
//! ```
//!
//! Invariants:
//! - what is not acknowledged has at most [`ProducerBuilder::buffer_bytes`] in all: beyond it `send`
//!   waits;
//! - records of one partition are in the log in the order in which they were handed over, except that
//!   one that failed is missing;
//! - with idempotence a record is in the log at most once, whatever was sent again; without it, what
//!   may have been appended is not sent again;
//! - a failure says what is known of the record: not appended, or unknown.

mod builder;
mod delivery;
mod lane;
mod queue;
mod record;
mod topic;
mod window;

pub use builder::{IN_FLIGHT_MAX, ProducerBuilder};
pub use delivery::{Delivery, SendError, Sent};
pub use record::NewRecord;

use super::leaders::{KNOWN_FOR, Leaders};
use super::{Client, Error};
use crate::partitioner::Partitioner;
use crate::tasks::Tasks;
use crate::topic::{PartitionId, TopicName};
use futures::future::join_all;
use jiff::Timestamp;
use lane::{Lane, Sender, Sending};
use queue::{Limits, Queue};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use topic::Topic;
use window::Session;

/// What a record takes of the buffer beyond its own bytes.
const RECORD_BYTES: usize = 64;
/// How long the lanes may take to end once everything is told.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Sends records. Clones are the same producer.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let server = ottla::server::Server::start_alone(data.path()).await?;
/// # let address = server.http_address().to_string();
/// # let client = ottla::client::Client::new(&[address.clone()], std::time::Duration::from_secs(10));
/// # let new = ottla::client::NewTopic { partitions: Some(3), ..Default::default() };
/// # client.create(&ottla::topic::TopicName::new("orders")?, &new).await?;
/// use ottla::client::Producer;
/// use ottla::client::producer::NewRecord;
///
/// let producer = Producer::builder([address]).build()?;
///
/// // The first wait is for room in the producer's buffer, the second for the acknowledgement.
/// let sent = producer.send("orders", "ada", "tea").await?.await?;
/// println!("partition {} offset {}", sent.partition, sent.offset);
///
/// // Without the second wait records are sent together.
/// for cups in 1..=3_u8 {
///     let count = cups.to_string();
///     let record = NewRecord::to("orders").key("ada").value(&count).header("source", "web");
///     producer.send_record(record).await?;
/// }
/// producer.flush().await?;
/// # producer.close().await?;
/// # server.shutdown().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    sender: Arc<Sender>,
    partitioner: Arc<dyn Partitioner>,
    limits: Limits,
    buffer_bytes: usize,
    room: Arc<Semaphore>,
    topics: RwLock<HashMap<String, Arc<Topic>>>,
    idempotent: bool,
    /// Asked for before the first record is taken.
    identity: OnceCell<(i64, i16)>,
    tasks: Tasks,
}

impl Producer {
    /// A producer for the cluster of which `servers` (`host:port`) are some brokers.
    pub fn builder(servers: impl IntoIterator<Item = impl Into<String>>) -> ProducerBuilder {
        ProducerBuilder::new(servers.into_iter().map(Into::into).collect())
    }

    fn new(
        client: Client,
        partitioner: Arc<dyn Partitioner>,
        limits: Limits,
        (buffer_bytes, room): (usize, Semaphore),
        (sending, idempotent): (Sending, bool),
    ) -> Self {
        let leaders = Leaders::new(client.clone());
        let sender = Arc::new(Sender { client, leaders, sending, failed: Mutex::default() });
        let inner = Inner {
            sender,
            partitioner,
            limits,
            buffer_bytes,
            room: Arc::new(room),
            topics: RwLock::default(),
            idempotent,
            identity: OnceCell::new(),
            tasks: Tasks::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a record with a key and a value.
    ///
    /// Waits until the record is in the producer's buffer, which has room for
    /// [`ProducerBuilder::buffer_bytes`]; then gives the future of its partition and offset. Records
    /// that were taken one after the other are in the log in that order.
    ///
    /// # Errors
    /// Nothing was sent: the topic does not exist, cannot be looked up, or the record is larger than
    /// the buffer.
    pub async fn send(
        &self,
        topic: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Delivery, SendError> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.send_record(NewRecord::to(topic).key(key).value(value)).await
    }

    /// Sends a record, as [`Producer::send`] does.
    ///
    /// # Errors
    /// Those of [`Producer::send`].
    pub async fn send_record(&self, record: NewRecord<'_>) -> Result<Delivery, SendError> {
        let room = self.room(record.bytes() + RECORD_BYTES).await?;
        let topic = self.topic(record.topic).await?;
        let partition = topic.choose(&record, &*self.inner.partitioner)?;
        let queue = topic.queue(partition, || self.open(&topic.name, partition));
        let now = record.timestamp.unwrap_or_else(|| Timestamp::now().as_millisecond());
        let (delivery, closed) = queue.push(&record, now, room);
        if closed && record.key.is_none() {
            topic.turn();
        }
        Ok(delivery)
    }

    /// Sends at once what still lingers, and waits until everything that was taken before is
    /// acknowledged or has failed.
    ///
    /// # Errors
    /// The first failure since the last flush.
    pub async fn flush(&self) -> Result<(), SendError> {
        let topics: Vec<Arc<Topic>> = {
            let topics = self.inner.topics.read().unwrap_or_else(PoisonError::into_inner);
            topics.values().cloned().collect()
        };
        let fates = topics.iter().flat_map(|topic| topic.open()).flat_map(|queue| queue.flush());
        join_all(fates).await;
        let mut failed = self.inner.sender.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }

    /// Takes no records any more, flushes, and ends.
    ///
    /// # Errors
    /// The first failure since the last flush.
    pub async fn close(&self) -> Result<(), SendError> {
        self.inner.room.close();
        let flushed = self.flush().await;
        self.inner.tasks.close(CLOSE_PATIENCE).await;
        flushed
    }

    /// Waits for room in the buffer.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let all = self.inner.buffer_bytes;
        let permits = u32::try_from(bytes).ok().filter(|_| bytes <= all).ok_or_else(|| {
            Error::Invalid(format!("a record takes {bytes} bytes; the buffer has {all}"))
        })?;
        let room = Arc::clone(&self.inner.room).acquire_many_owned(permits).await;
        room.map_err(|_closed| Error::Closed)
    }

    /// The topic, looked up if it is new or was looked up long ago.
    async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        let inner = &*self.inner;
        let known = inner.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = &known
            && known.found.elapsed() < KNOWN_FOR
        {
            return Ok(Arc::clone(known));
        }
        if inner.idempotent {
            inner.identity.get_or_try_init(|| inner.sender.client.new_producer()).await?;
        }
        let name = TopicName::new(name).map_err(|error| Error::Invalid(error.message))?;
        let partitions = match (inner.sender.leaders.partitions(&name).await, known) {
            (Ok(partitions), _) => partitions,
            // It will be looked up again; what is known serves until then.
            (Err(_), Some(known)) => return Ok(known),
            (Err(error), None) => return Err(error),
        };
        let mut topics = inner.topics.write().unwrap_or_else(PoisonError::into_inner);
        let before = topics.get(name.as_str()).cloned();
        if let Some(topic) = &before
            && topic.found.elapsed() < KNOWN_FOR
        {
            return Ok(Arc::clone(topic));
        }
        let topic = Arc::new(Topic::new(name.clone(), partitions, before.as_deref()));
        topics.insert(name.into(), Arc::clone(&topic));
        Ok(topic)
    }

    /// A queue, and the task that empties it.
    fn open(&self, topic: &TopicName, partition: PartitionId) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(partition, self.inner.limits));
        let identity = self.inner.identity.get();
        let lane = Lane {
            sender: Arc::clone(&self.inner.sender),
            topic: topic.clone(),
            partition,
            queue: Arc::clone(&queue),
            session: identity.map(|(id, epoch)| Session::new(*id, *epoch)),
        };
        self.inner.tasks.spawn("producer lane", lane.run());
        queue
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("sending", &self.inner.sender.sending)
            .field("room", &self.inner.room.available_permits())
            .finish_non_exhaustive()
    }
}
