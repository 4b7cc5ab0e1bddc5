//! Reads server-sent events as the standard describes it.

use super::{DEADLINE, header};
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

pub const EVENTS: &str = "text/event-stream";

/// One block of a stream of events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    pub id: Option<String>,
    pub event: Option<String>,
    pub retry: Option<String>,
    pub comment: Option<String>,
    pub data: Option<Value>,
}

/// A reader as the standard describes it.
pub struct Events {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", EVENTS).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self::of(response)
    }

    pub fn of(response: Response) -> Self {
        assert_eq!(header(&response, "content-type"), EVENTS);
        assert_eq!(header(&response, "cache-control"), "no-store");
        Self { chunks: response.bytes_stream().boxed(), text: String::new() }
    }

    /// The next block; none at the end.
    pub async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = read(block);
                self.text.drain(..self.text.len() - rest.len());
                return Some(block);
            }
            let chunk = timeout(DEADLINE, self.chunks.next()).await.expect("something comes")?;
            self.text += std::str::from_utf8(&chunk.unwrap()).unwrap();
        }
    }

    /// The next record: its id and its value.
    pub async fn record(&mut self) -> (String, String) {
        loop {
            let block = self.next().await.expect("a record comes");
            if let Some(data) = block.data {
                assert_eq!(block.event, None, "{data}");
                return (block.id.unwrap(), data["value"].as_str().unwrap().to_owned());
            }
        }
    }

    pub async fn records(&mut self, count: usize) -> Vec<(String, String)> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(self.record().await);
        }
        records
    }
}

fn read(block: &str) -> Block {
    let mut read = Block::default();
    for line in block.lines() {
        let (field, value) = line.split_once(": ").unwrap();
        let value = value.to_owned();
        match field {
            "" => read.comment = Some(value),
            "id" => read.id = Some(value),
            "event" => read.event = Some(value),
            "retry" => read.retry = Some(value),
            "data" => read.data = Some(serde_json::from_str(&value).unwrap()),
            other => panic!("no field of the standard: {other}"),
        }
    }
    read
}
