//! One request to write records, as bytes: its head and its body in one piece.

use super::options::{Load, Path};
use super::record::{Pen, Tally};
use crate::cli::clock;
use crate::topic::TopicName;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use storage::batch::BatchBuilder;

/// A record of a batch takes a few bytes beside its value.
const FRAME_BYTES: usize = 16;

/// Ready batches.
pub(super) const BATCHES: &str = "application/vnd.kafka.recordbatch.v2";

/// A request, and what it holds.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) bytes: Bytes,
    pub(super) tally: Tally,
    /// The numbers of its records.
    pub(super) numbers: Range<u64>,
}

/// Makes the requests of one producer.
#[derive(Debug)]
pub(super) struct Writer {
    load: Arc<Load>,
    topic: TopicName,
    query: String,
    pen: Pen,
    value: Vec<u8>,
}

impl Writer {
    /// A producer's. The broker is told to give up within `timeout`.
    pub(super) fn new(load: Arc<Load>, topic: TopicName, pen: Pen, timeout: Duration) -> Self {
        let acks = load.acks.as_str();
        let query = format!("acks={acks}&timeout_ms={}", timeout.as_millis());
        Self { load, topic, query, pen, value: Vec::new() }
    }

    /// The next one: to this partition if the path goes to one.
    pub(super) fn request(&mut self, partition: u32, due_us: u64) -> Request {
        let first = self.pen.next();
        let (media, body, tally) = match self.load.path {
            Path::Raw => self.batch(due_us),
            Path::Json | Path::Single => self.json(due_us),
            Path::Ndjson => self.lines(due_us),
        };
        let topic = &self.topic;
        let target = match self.load.path {
            Path::Raw => format!("/v1/topics/{topic}/partitions/{partition}/records"),
            Path::Json | Path::Single | Path::Ndjson => format!("/v1/topics/{topic}/records"),
        };
        let bytes = post(&format!("{target}?{}", self.query), media, &body);
        Request { bytes, tally, numbers: first..self.pen.next() }
    }

    fn batch(&mut self, due_us: u64) -> (&'static str, Bytes, Tally) {
        let (mut tally, now) = (Tally::default(), clock::now_ms());
        let records = self.load.records_per_request;
        let room = records * (self.load.record_bytes + FRAME_BYTES);
        let mut batch = BatchBuilder::with_capacity(room);
        for _ in 0..records {
            self.value.clear();
            tally += self.pen.write(due_us, &mut self.value);
            batch.push(now, None, Some(&self.value), std::iter::empty());
        }
        let batch = batch.finish(self.load.compression).into_bytes();
        (BATCHES, batch, tally)
    }

    fn json(&mut self, due_us: u64) -> (&'static str, Bytes, Tally) {
        let (mut tally, mut text) = (Tally::default(), self.room());
        text.extend_from_slice(br#"{"records":["#);
        for at in 0..self.load.records_per_request {
            text.extend_from_slice(if at == 0 { br#"{"value":""# } else { br#",{"value":""# });
            tally += self.pen.write(due_us, &mut text);
            text.extend_from_slice(br#""}"#);
        }
        text.extend_from_slice(b"]}");
        ("application/json", text.into(), tally)
    }

    fn lines(&mut self, due_us: u64) -> (&'static str, Bytes, Tally) {
        let (mut tally, mut text) = (Tally::default(), self.room());
        for _ in 0..self.load.records_per_request {
            text.extend_from_slice(br#"{"value":""#);
            tally += self.pen.write(due_us, &mut text);
            text.extend_from_slice(b"\"}\n");
        }
        ("application/x-ndjson", text.into(), tally)
    }

    fn room(&self) -> Vec<u8> {
        let records = self.load.records_per_request;
        Vec::with_capacity(records * (self.load.record_bytes + FRAME_BYTES) + FRAME_BYTES)
    }
}

/// A whole request of HTTP/1.1 without a body, ready to be written.
pub(super) fn get(target: &str, media: &str) -> Bytes {
    format!("GET {target} HTTP/1.1\r\nhost: bench\r\naccept: {media}\r\n\r\n").into()
}

/// A whole request of HTTP/1.1, ready to be written.
pub(super) fn post(target: &str, media: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: bench\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut request = Vec::with_capacity(head.len() + body.len());
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
    request.into()
}
