//! Serves the requests of one inbound connection.
//!
//! ```text
//! socket ─▶ reader ─▶ task per request (Handler) ─▶ reply queue ─▶ writer ─▶ socket
//!              ╰── waits for a permit: requests in flight, bytes in flight
//! ```
//!
//! When permits run out the reader stops reading, the socket fills, and the dialler's queue refuses.
//! A request holds its place until its reply is written, and its bytes until its handler is done:
//! a peer that reads no replies blocks itself, not the lane.
//!
//! While requests are unanswered the writer sends an empty frame after every quarter of the idle
//! timeout without another, so that the dialler can tell a slow handler from a hung process.

use super::frame::{Class, MESSAGE_BYTES_MAX, Message, Packer, body_bytes};
use super::handler::{Handler, Request};
use super::lane::Lane;
use super::local::Local;
use super::node_id::NodeId;
use super::wire::{self, FrameReader, FrameWriter};
use bytes::Bytes;
use futures::FutureExt;
use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::GroupId;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;

/// A pulse is sent so many times in an idle timeout.
const PULSES_PER_IDLE_TIMEOUT: u32 = 4;

/// Serves until the connection ends, and says why it did.
pub(super) async fn run(
    local: &Arc<Local>,
    handler: &Arc<dyn Handler>,
    from: NodeId,
    lane: Lane,
    socket: TcpStream,
) -> io::Error {
    let limits = &local.limits;
    let (read, write) = socket.into_split();
    let reader = FrameReader::new(read, Arc::clone(&local.traffic));
    let writer = FrameWriter::new(write, limits.idle_timeout, Arc::clone(&local.traffic));
    // A reply holds its request's permit, so the channel never has more.
    let (replies, queue) = mpsc::channel(limits.requests_in_flight_max);
    let unanswered = Arc::new(AtomicUsize::new(0));
    let intake = Intake {
        local: Arc::clone(local),
        handler: Arc::clone(handler),
        from,
        lane,
        in_flight: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
        reply_bytes: Arc::new(Semaphore::new(limits.reply_bytes_max)),
        unanswered: Arc::clone(&unanswered),
        replies,
    };
    let ended = tokio::select! {
        ended = intake.read_requests(reader) => ended,
        ended = write_replies(local, queue, &unanswered, writer) => ended,
    };
    match ended {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

/// A reply that waits for the socket.
struct Reply {
    message: Message<Vec<Bytes>>,
    _place: Place,
    _bytes: OwnedSemaphorePermit,
}

/// A request's place among those in flight.
struct Place {
    _permit: OwnedSemaphorePermit,
    _unanswered: Unanswered,
}

/// Counts a request from its arrival until its reply is written or never will be.
struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The receiving half.
struct Intake {
    local: Arc<Local>,
    handler: Arc<dyn Handler>,
    from: NodeId,
    lane: Lane,
    in_flight: Arc<Semaphore>,
    reply_bytes: Arc<Semaphore>,
    unanswered: Arc<AtomicUsize>,
    replies: mpsc::Sender<Reply>,
}

impl Intake {
    async fn read_requests(&self, mut reader: FrameReader) -> io::Result<Infallible> {
        loop {
            while let Some(messages) = reader.next_frame()? {
                for message in messages {
                    let message = message.map_err(wire::invalid)?;
                    self.local.traffic.received_message();
                    if message.class != Class::Request {
                        return Err(wire::invalid("a reply where requests belong"));
                    }
                    self.start(message).await;
                }
            }
            reader.fill().await?;
        }
    }

    /// Starts a request's task as soon as there is a place and room for its body.
    async fn start(&self, message: Message<Bytes>) {
        let unanswered = Unanswered::new(&self.unanswered);
        let place = Place { _permit: take(&self.in_flight, 1, 1).await, _unanswered: unanswered };
        let room = self.local.request_bytes.of(self.lane);
        let max = *self.local.limits.request_bytes_max.of(self.lane);
        let bytes = take(room, message.body.len(), max).await;

        let Message { kind, group, correlation, body, .. } = message;
        let request = Request { from: self.from, lane: self.lane, kind, group, body };
        let handler = Arc::clone(&self.handler);
        let reply_bytes = Arc::clone(&self.reply_bytes);
        let reply_bytes_max = self.local.limits.reply_bytes_max;
        let replies = self.replies.clone();
        self.local.tasks.spawn("request", async move {
            let serving = async { handler.handle(request).await };
            // The panic was reported by its hook; here it only must not leave the caller waiting.
            let served = AssertUnwindSafe(serving).catch_unwind().await;
            drop(bytes);
            let (class, body) = match served {
                Ok(body) => checked(group, kind, body),
                Err(_panic) => (Class::Failure, vec!["its handler panicked".into()]),
            };
            let message = Message { class, kind, group, correlation, body };
            let bytes = take(&reply_bytes, body_bytes(&message.body), reply_bytes_max).await;
            // If the connection is gone, so is who asked.
            drop(replies.send(Reply { message, _place: place, _bytes: bytes }).await);
        });
    }
}

/// Takes as many permits as asked for, or all there can be.
async fn take(permits: &Arc<Semaphore>, count: usize, max: usize) -> OwnedSemaphorePermit {
    let count = u32::try_from(count.min(max)).expect("limits are below 4 GiB");
    Arc::clone(permits).acquire_many_owned(count).await.expect("these semaphores are never closed")
}

/// The reply, or in its place the text that it is too large.
fn checked(group: GroupId, kind: u8, body: Vec<Bytes>) -> (Class, Vec<Bytes>) {
    let bytes = body_bytes(&body);
    if bytes <= MESSAGE_BYTES_MAX {
        return (Class::Reply, body);
    }
    let why = format!("its reply has {bytes} bytes, at most {MESSAGE_BYTES_MAX}");
    tracing::warn!(%group, kind, "{why}");
    (Class::Failure, vec![why.into()])
}

async fn write_replies(
    local: &Local,
    mut queue: mpsc::Receiver<Reply>,
    unanswered: &AtomicUsize,
    mut writer: FrameWriter,
) -> io::Result<Infallible> {
    let pulse = local.limits.idle_timeout / PULSES_PER_IDLE_TIMEOUT;
    let mut held: Option<Reply> = None;
    loop {
        let first = if let Some(reply) = held.take() {
            reply
        } else {
            tokio::select! {
                reply = queue.recv() => reply.expect("the reader beside us holds a sender"),
                () = sleep(pulse) => {
                    if unanswered.load(Ordering::Relaxed) > 0 {
                        writer.write(Packer::default()).await?;
                    }
                    continue;
                }
            }
        };
        let mut frame = Packer::default();
        frame.push(&first.message);
        let mut packed = vec![first];
        while let Ok(reply) = queue.try_recv() {
            if !frame.takes(body_bytes(&reply.message.body)) {
                held = Some(reply);
                break;
            }
            frame.push(&reply.message);
            packed.push(reply);
        }
        writer.write(frame).await?;
    }
}
