//! The calls of one lane to one peer: those that wait for the socket and those that wait for a reply.
//!
//! ```text
//! enqueue ─▶ waiting ──take──▶ written ──answer──▶ the caller
//!               │                 │
//!               ▼                 ▼
//!            NotSent          Unanswered      deadline, lost connection, shutdown
//! ```
//!
//! A call is in exactly one of the two maps until it is settled, and every step happens under one
//! lock: so `NotSent` is said only of a call whose bytes were never handed to a socket. The maps
//! outlive connections; correlations are never used twice, so a late reply meets no other call.
//! Invariant: waiting bytes ≤ the lane's bound, or there is one waiting call.

use super::call_error::CallError;
use super::frame::{Class, MESSAGE_BYTES_MAX, MESSAGE_HEADER_BYTES, Message, Packer, body_bytes};
use super::node_id::NodeId;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use storage::GroupId;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// What a call ends with.
pub(super) type Answer = Result<Bytes, CallError>;

/// A request that is to be sent.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) kind: u8,
    pub(super) group: GroupId,
    pub(super) body: Vec<Bytes>,
}

/// The calls of one lane to one peer.
#[derive(Debug)]
pub(super) struct Calls {
    to: NodeId,
    queue_bytes_max: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug)]
struct State {
    prospect: Prospect,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    written: HashMap<u64, oneshot::Sender<Answer>>,
    /// When the peer began to owe us a byte.
    owed_since: Option<Instant>,
}

/// Whether it is worth to wait for the socket.
#[derive(Debug)]
enum Prospect {
    /// A connection is up or being dialled.
    Open,
    /// The last dial failed and the next one is not due: calls fail at once.
    Away(String),
    /// Nothing will be sent any more.
    Closed,
}

#[derive(Debug)]
struct Waiting {
    ask: Ask,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        MESSAGE_HEADER_BYTES + body_bytes(&self.ask.body)
    }
}

/// Where a call was when it was given up.
#[derive(Debug, PartialEq, Eq)]
enum Withdrawn {
    Waiting,
    Written,
    Settled,
}

impl Calls {
    /// No calls yet, and a dial that is about to start.
    pub(super) fn new(to: NodeId, queue_bytes_max: usize) -> Self {
        let state = State {
            prospect: Prospect::Open,
            next: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            written: HashMap::new(),
            owed_since: None,
        };
        Self { to, queue_bytes_max, state: Mutex::new(state), filled: Notify::new() }
    }

    /// Puts a call into the queue, or says at once why it will not be sent.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Ticket, CallError> {
        let body_bytes = body_bytes(&ask.body);
        if body_bytes > MESSAGE_BYTES_MAX {
            let why = format!("body of {body_bytes} bytes, at most {MESSAGE_BYTES_MAX}");
            return Err(self.not_sent(why));
        }
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting { ask, deadline, answer };
        let mut state = self.lock();
        match &state.prospect {
            Prospect::Open => {}
            Prospect::Away(why) => return Err(self.not_sent(why.clone())),
            Prospect::Closed => return Err(self.not_sent("this node shuts down".into())),
        }
        let queued = state.waiting_bytes + waiting.bytes();
        if queued > self.queue_bytes_max && !state.waiting.is_empty() {
            let (held, max) = (state.waiting_bytes, self.queue_bytes_max);
            let why =
                format!("queue full: {held} bytes wait, {max} may, this call has {body_bytes}");
            return Err(self.not_sent(why));
        }
        let correlation = state.next;
        state.next += 1;
        state.waiting_bytes = queued;
        state.waiting.insert(correlation, waiting);
        drop(state);
        self.filled.notify_one();
        Ok(Ticket { calls: Arc::clone(self), correlation, answer: receiver })
    }

    /// The next frame of what waits. From now on these calls count as written; what has expired is
    /// dropped instead.
    pub(super) async fn take_frame(&self) -> Packer {
        loop {
            let frame = self.pack(Instant::now());
            if frame.messages() > 0 {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    fn pack(&self, now: Instant) -> Packer {
        let mut frame = Packer::default();
        let mut state = self.lock();
        while let Some(first) = state.waiting.first_entry() {
            if first.get().deadline <= now {
                if let Some((_, waiting)) = state.pop() {
                    self.settle(waiting.answer, Err(self.not_sent(EXPIRED.into())));
                }
                continue;
            }
            if !frame.takes(body_bytes(&first.get().ask.body)) {
                break;
            }
            let Some((correlation, waiting)) = state.pop() else { break };
            let Ask { kind, group, body } = waiting.ask;
            frame.push(&Message { class: Class::Request, kind, group, correlation, body });
            state.written.insert(correlation, waiting.answer);
            state.owed_since.get_or_insert(now);
        }
        frame
    }

    /// The peer answered. A call that was given up in the meantime is forgotten already.
    pub(super) fn answer(&self, correlation: u64, answer: Result<Bytes, String>) {
        let mut state = self.lock();
        if let Some(sender) = state.written.remove(&correlation) {
            self.settle(sender, answer.map_err(|why| self.unanswered(why)));
        }
        if state.written.is_empty() {
            // The bytes that brought it counted as heard while it was still owed.
            state.owed_since = None;
        }
    }

    /// The peer sent something, so it lives.
    pub(super) fn heard(&self, now: Instant) {
        let mut state = self.lock();
        state.owed_since = if state.written.is_empty() { None } else { Some(now) };
    }

    /// Since when the peer is silent though it has something to answer.
    pub(super) fn owed_since(&self) -> Option<Instant> {
        self.lock().owed_since
    }

    /// A dial is due: calls wait for it.
    pub(super) fn open(&self) {
        let mut state = self.lock();
        if !matches!(state.prospect, Prospect::Closed) {
            state.prospect = Prospect::Open;
        }
    }

    /// The connection is gone: what was written stays unanswered, what waits may wait for the next.
    pub(super) fn lost(&self, why: &str) {
        let mut state = self.lock();
        state.owed_since = None;
        for (_, sender) in state.written.drain() {
            self.settle(sender, Err(self.unanswered(why.to_owned())));
        }
    }

    /// There is no connection and none is due: what waits fails, and so will the next calls.
    pub(super) fn away(&self, why: &str) {
        self.give_up(why, Prospect::Away(why.to_owned()));
    }

    /// The node shuts down.
    pub(super) fn close(&self) {
        let why = "this node shuts down";
        self.lost(why);
        self.give_up(why, Prospect::Closed);
    }

    fn give_up(&self, why: &str, prospect: Prospect) {
        let mut state = self.lock();
        while let Some((_, waiting)) = state.pop() {
            self.settle(waiting.answer, Err(self.not_sent(why.to_owned())));
        }
        state.prospect = prospect;
    }

    /// Takes a call back, wherever it is.
    fn withdraw(&self, correlation: u64) -> Withdrawn {
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.remove(&correlation) {
            state.waiting_bytes -= waiting.bytes();
            Withdrawn::Waiting
        } else if state.written.remove(&correlation).is_some() {
            Withdrawn::Written
        } else {
            Withdrawn::Settled
        }
    }

    /// Under the lock, so that a call that is in neither map has its answer.
    #[expect(clippy::unused_self, reason = "it is called with the lock of self held")]
    fn settle(&self, sender: oneshot::Sender<Answer>, answer: Answer) {
        // The caller may have gone: then nobody wants to know.
        drop(sender.send(answer));
    }

    fn not_sent(&self, why: String) -> CallError {
        CallError::NotSent { to: self.to, why }
    }

    fn unanswered(&self, why: String) -> CallError {
        CallError::Unanswered { to: self.to, why }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

const EXPIRED: &str = "its deadline passed before it was written";

impl State {
    fn pop(&mut self) -> Option<(u64, Waiting)> {
        let (correlation, waiting) = self.waiting.pop_first()?;
        self.waiting_bytes -= waiting.bytes();
        Some((correlation, waiting))
    }
}

/// A call under way. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Ticket {
    calls: Arc<Calls>,
    correlation: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Ticket {
    /// Waits for the answer, at most until the deadline.
    pub(super) async fn wait(mut self, deadline: Instant) -> Answer {
        if let Ok(Ok(answer)) = timeout_at(deadline, &mut self.answer).await {
            return answer;
        }
        match self.calls.withdraw(self.correlation) {
            Withdrawn::Waiting => Err(self.calls.not_sent(EXPIRED.into())),
            Withdrawn::Written => Err(self.calls.unanswered("no reply by its deadline".into())),
            Withdrawn::Settled => {
                self.answer.try_recv().expect("a call leaves both maps only with its answer")
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.calls.withdraw(self.correlation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use storage::GroupId;

    const TWO: NodeId = NodeId(2);

    fn asked(calls: &Arc<Calls>) -> Ticket {
        let ask = Ask { kind: 1, group: GroupId::ZERO, body: Vec::new() };
        calls.enqueue(ask, Instant::now() + Duration::from_mins(1)).unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_answered_everything_owes_nothing_however_long_it_is_silent() {
        let calls = Arc::new(Calls::new(TWO, 1 << 20));
        let tickets = [asked(&calls), asked(&calls)];
        drop(calls.take_frame().await);
        assert!(calls.owed_since().is_some());
        // The bytes of both answers come in one read, before either is known.
        calls.heard(Instant::now());
        calls.answer(tickets[0].correlation, Ok(Bytes::new()));
        assert!(calls.owed_since().is_some(), "one answer is still owed");
        calls.answer(tickets[1].correlation, Ok(Bytes::new()));
        assert_eq!(calls.owed_since(), None);
    }
}
