//! What went over the wires, for metrics and for the tests that watch packing.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a transport has sent and received since its start, greetings not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames written whole.
    pub frames_sent: u64,
    /// Messages in these frames.
    pub messages_sent: u64,
    /// Bytes handed to sockets.
    pub bytes_sent: u64,
    /// Frames that arrived whole and sound.
    pub frames_received: u64,
    /// Messages in these frames that were taken out so far.
    pub messages_received: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
}

/// The counters while they count. Relaxed: each is a number of its own.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    frames_sent: AtomicU64,
    messages_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_received: AtomicU64,
    messages_received: AtomicU64,
    bytes_received: AtomicU64,
}

impl Traffic {
    pub(super) fn snapshot(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            frames_sent: read(&self.frames_sent),
            messages_sent: read(&self.messages_sent),
            bytes_sent: read(&self.bytes_sent),
            frames_received: read(&self.frames_received),
            messages_received: read(&self.messages_received),
            bytes_received: read(&self.bytes_received),
        }
    }

    pub(super) fn sent_frame(&self, messages: usize) {
        self.frames_sent.fetch_add(1, Ordering::Relaxed);
        self.messages_sent.fetch_add(wide(messages), Ordering::Relaxed);
    }

    pub(super) fn sent_bytes(&self, bytes: usize) {
        self.bytes_sent.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    pub(super) fn received_frame(&self) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received_message(&self) {
        self.messages_received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received_bytes(&self, bytes: usize) {
        self.bytes_received.fetch_add(wide(bytes), Ordering::Relaxed);
    }
}

#[expect(clippy::as_conversions, reason = "a usize has at most 64 bits")]
fn wide(count: usize) -> u64 {
    count as u64
}
