//! What a producer is made with.

use super::Producer;
use super::lane::Sending;
use super::queue::Limits;
use crate::client::{Acks, Client, Error};
use crate::partitioner::{Murmur2, Partitioner};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use storage::batch::Compression;
use tokio::sync::Semaphore;

/// Most batches of a partition under way at a time: so many a partition remembers of a producer.
pub const IN_FLIGHT_MAX: usize = 5;
/// Bytes of a batch before compression.
const BATCH_BYTES: usize = 128 * 1024;
/// A batch of more is refused by any topic.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
const LINGER: Duration = Duration::from_millis(5);
/// Bytes of everything that is not acknowledged.
const BUFFER_BYTES: usize = 32 * 1024 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(2);

/// How a [`Producer`] is to be.
#[derive(Clone)]
pub struct ProducerBuilder {
    servers: Vec<String>,
    partitioner: Arc<dyn Partitioner>,
    limits: Limits,
    buffer_bytes: usize,
    in_flight: Option<usize>,
    idempotent: bool,
    sending: Sending,
}

impl ProducerBuilder {
    pub(super) fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            partitioner: Arc::new(Murmur2),
            limits: Limits { batch_bytes: BATCH_BYTES, linger: LINGER },
            buffer_bytes: BUFFER_BYTES,
            in_flight: None,
            idempotent: true,
            sending: Sending {
                acks: Acks::Quorum,
                compression: Compression::None,
                in_flight_max: IN_FLIGHT_MAX,
                request_timeout: REQUEST_TIMEOUT,
                delivery_timeout: DELIVERY_TIMEOUT,
            },
        }
    }

    /// Chooses the partition of records with a key, instead of murmur2 as Kafka's clients have it.
    /// A closure of the key and the number of partitions is a partitioner too.
    #[must_use]
    pub fn partitioner(mut self, partitioner: impl Partitioner) -> Self {
        self.partitioner = Arc::new(partitioner);
        self
    }

    /// Sends a batch so long after its first record; 5 ms unless said.
    #[must_use]
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.limits.linger = linger;
        self
    }

    /// Sends a batch at so many bytes, counted before compression; 128 KiB unless said. A record may
    /// be larger, and is a batch of its own then.
    #[must_use]
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes;
        self
    }

    /// Holds at most so many bytes of records that are not acknowledged; 32 MiB unless said. Beyond
    /// it [`Producer::send`] waits.
    #[must_use]
    pub const fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Compresses batches.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.sending.compression = compression;
        self
    }

    /// Whether a record is in the log once, whatever has to be sent again; yes unless said. Without
    /// it, what may have been appended is not sent again but told.
    #[must_use]
    pub const fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// How many batches of a partition are under way at a time: 5 unless said, 1 if the producer is
    /// not idempotent (more would not stay in order).
    #[must_use]
    pub const fn in_flight(mut self, batches: usize) -> Self {
        self.in_flight = Some(batches);
        self
    }

    /// When a record counts as sent.
    #[must_use]
    pub const fn acks(mut self, acks: Acks) -> Self {
        self.sending.acks = acks;
        self
    }

    /// How long one request may take; 30 s unless said.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.sending.request_timeout = timeout;
        self
    }

    /// How long a record may take with all attempts; 2 minutes unless said.
    #[must_use]
    pub const fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.sending.delivery_timeout = timeout;
        self
    }

    /// The producer. It connects with its first record.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the settings that do not fit together.
    pub fn build(mut self) -> Result<Producer, Error> {
        self.sending.in_flight_max = self.check().map_err(Error::Invalid)?;
        let client = Client::new(&self.servers, self.sending.delivery_timeout);
        let room = Semaphore::new(self.buffer_bytes);
        let buffer = (self.buffer_bytes, room);
        Ok(Producer::new(
            client,
            self.partitioner,
            self.limits,
            buffer,
            (self.sending, self.idempotent),
        ))
    }

    /// Gives how many batches may be under way.
    fn check(&self) -> Result<usize, String> {
        let Self { buffer_bytes, limits: Limits { batch_bytes, .. }, idempotent, .. } = *self;
        if self.servers.is_empty() {
            return Err("no server was given".to_owned());
        }
        if batch_bytes > BATCH_BYTES_MAX {
            return Err(format!("batch_bytes {batch_bytes}: at most {BATCH_BYTES_MAX} is taken"));
        }
        if buffer_bytes < batch_bytes || buffer_bytes > Semaphore::MAX_PERMITS {
            return Err(format!(
                "buffer_bytes {buffer_bytes}: at least batch_bytes, {batch_bytes}, is taken"
            ));
        }
        let Sending { request_timeout, delivery_timeout, acks, .. } = self.sending;
        if request_timeout > delivery_timeout {
            return Err(format!(
                "request_timeout {request_timeout:?} is more than delivery_timeout \
                 {delivery_timeout:?}"
            ));
        }
        match acks {
            Acks::Quorum => {}
            Acks::Leader if !idempotent => {}
            Acks::Leader => {
                return Err(
                    "acks leader with idempotent: what a leader loses leaves a gap in the \
                            sequences; say idempotent(false)"
                        .to_owned(),
                );
            }
            Acks::None => {
                return Err("acks none: a producer tells the offset of each record".to_owned());
            }
        }
        let in_flight = self.in_flight.unwrap_or(if idempotent { IN_FLIGHT_MAX } else { 1 });
        match in_flight {
            2.. if !idempotent => Err(format!(
                "in_flight {in_flight} without idempotent: what is sent again would come out of order"
            )),
            1..=IN_FLIGHT_MAX => Ok(in_flight),
            _ => Err(format!("in_flight {in_flight}: 1 to {IN_FLIGHT_MAX} is taken")),
        }
    }
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, limits, buffer_bytes, in_flight, idempotent, sending, .. } = self;
        f.debug_struct("ProducerBuilder")
            .field("servers", servers)
            .field("limits", limits)
            .field("buffer_bytes", buffer_bytes)
            .field("in_flight", in_flight)
            .field("idempotent", idempotent)
            .field("sending", sending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Option<String> {
        let builder = change(Producer::builder(["a:1"]));
        builder.check().err()
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        assert_eq!(refused(|builder| builder), None);
        assert_eq!(refused(|builder| builder.idempotent(false).acks(Acks::Leader)), None);
        for (refusal, named) in [
            (refused(|b| b.buffer_bytes(10)), "batch_bytes"),
            (refused(|b| b.batch_bytes(usize::MAX)), "batch_bytes"),
            (refused(|b| b.delivery_timeout(Duration::ZERO)), "request_timeout"),
            (refused(|b| b.acks(Acks::Leader)), "idempotent"),
            (refused(|b| b.acks(Acks::None)), "acks none"),
            (refused(|b| b.in_flight(2).idempotent(false)), "idempotent"),
            (refused(|b| b.in_flight(6)), "1 to 5"),
            (refused(|b| b.in_flight(0)), "1 to 5"),
        ] {
            assert!(refusal.as_ref().is_some_and(|why| why.contains(named)), "{refusal:?}");
        }
        assert!(Producer::builder(Vec::<String>::new()).check().is_err());
    }

    #[test]
    fn without_sequences_one_batch_is_under_way() {
        let builder = Producer::builder(["a:1"]);
        assert_eq!(builder.check(), Ok(IN_FLIGHT_MAX));
        assert_eq!(builder.idempotent(false).check(), Ok(1));
    }
}
