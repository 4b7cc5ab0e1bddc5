//! A client that says exactly what it knows. No retries, hidden or not: one request, one outcome.
//!
//! | what happened | a write is | a read is |
//! |---|---|---|
//! | the connection was refused: the request never left | `fail` | `fail` |
//! | an error whose `outcome` is `not_appended` | `fail` | `fail` |
//! | an error whose `outcome` is `unknown` | `info` | `fail` |
//! | no answer in time, a connection that broke, an answer that is not understood | `info` | `fail` |
//!
//! A read that failed changed nothing, so nothing about it is unknown.

mod group;
pub mod payload;
mod topic;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::words;
use crate::history::{Key, Kind, ProducerStamp, ReadMode};

pub use group::Share;
pub use topic::Done;

/// How much longer than the broker's deadline an answer is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);
/// How long a connection may take: a cut network answers nothing.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// No such member, a stale generation, another in its place.
const GONE_CODES: [u64; 3] = [40403, 40905, 40906];

/// What a client knows of a request that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It had no effect, and never will.
    Fail(String),
    /// It had no effect, and whoever asked is no member of its group, or no longer in what it takes for the
    /// group's generation.
    Gone(String),
    /// Nobody knows.
    Info(String),
    /// A read outside of what the log has, which is this.
    OutOfRange {
        /// The first offset there is.
        log_start: Option<u64>,
        /// The offset after the last.
        high_watermark: Option<u64>,
    },
}

impl Failure {
    /// How the operation ended.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Fail(_) | Self::Gone(_) | Self::OutOfRange { .. } => Kind::Fail,
            Self::Info(_) => Kind::Info,
        }
    }

    /// Why.
    pub fn into_words(self) -> String {
        match self {
            Self::Fail(why) | Self::Gone(why) | Self::Info(why) => why,
            Self::OutOfRange { .. } => "out of range".to_owned(),
        }
    }
}

/// What an append was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where each record went.
    pub offsets: Vec<u64>,
    /// The rest of the answer.
    pub told: Told,
}

/// What an answer says beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The leader that answered.
    pub leader: Option<u8>,
    /// Its term.
    pub term: Option<u64>,
    /// The offset after the last committed record.
    pub high_watermark: Option<u64>,
    /// The first offset there is.
    pub log_start: Option<u64>,
}

/// What a fetch was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Offsets and texts; a value that is no text is given as its JSON.
    pub records: Vec<(u64, String)>,
    /// Where the next fetch begins.
    pub next: u64,
    /// The rest of the answer.
    pub told: Told,
}

/// Which records a fetch wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From here on.
    pub from: u64,
    /// At most so many.
    pub records_max: u32,
    /// How long to wait for the first.
    pub wait: Duration,
    /// What is promised.
    pub mode: ReadMode,
}

#[derive(Deserialize)]
struct Offsets {
    offsets: Vec<OffsetOrError>,
}

#[derive(Deserialize)]
struct OffsetOrError {
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
    next_offset: u64,
}

#[derive(Deserialize)]
struct Record {
    offset: u64,
    #[serde(default)]
    value: Value,
}

/// One identity: its connections are nobody else's.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    doors: Vec<(u8, SocketAddr)>,
    topic: String,
    patience: Duration,
    /// How many keys its records have; none if they need none.
    keys: Option<u64>,
}

impl Client {
    /// A client with the broker's deadline `patience`.
    pub fn new(
        doors: Vec<(u8, SocketAddr)>,
        topic: &str,
        source: Option<IpAddr>,
        patience: Duration,
    ) -> io::Result<Self> {
        let http = reqwest::Client::builder()
            .local_address(source)
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(patience + ANSWER_PATIENCE)
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { http, doors, topic: topic.to_owned(), patience, keys: None })
    }

    /// The same, for records of so many keys.
    pub fn with_keys(self, keys: Option<u64>) -> Self {
        Self { keys, ..self }
    }

    /// The same, with connections of its own.
    pub fn fresh(&self, source: Option<IpAddr>) -> io::Result<Self> {
        let fresh = Self::new(self.doors.clone(), &self.topic, source, self.patience)?;
        Ok(fresh.with_keys(self.keys))
    }

    /// Whom it can ask.
    pub fn nodes(&self) -> Vec<u8> {
        self.doors.iter().map(|(id, _)| *id).collect()
    }

    fn at(&self, method: Method, node: u8, path: &str) -> RequestBuilder {
        let door = self.doors.iter().find(|(id, _)| *id == node);
        let door = door.map_or_else(String::new, |(_, door)| door.to_string());
        self.http.request(method, format!("http://{door}/v1/{path}"))
    }

    fn request(&self, method: Method, node: u8, key: Key, rest: &str) -> RequestBuilder {
        let (topic, partition) = (&self.topic, key.0);
        self.at(method, node, &format!("topics/{topic}/partitions/{partition}{rest}"))
    }

    /// Appends one batch through a node; with a stamp, sent again it is not appended again.
    pub async fn append(
        &self,
        node: u8,
        key: Key,
        texts: &[String],
        stamp: Option<ProducerStamp>,
    ) -> Result<Appended, Failure> {
        let record = |text: &String| match self.keys.and_then(|n| payload::record_key(text, n)) {
            Some(key) => json!({"key": key, "value": text}),
            None => json!({"value": text}),
        };
        let records: Vec<Value> = texts.iter().map(record).collect();
        let rest = format!("/records?timeout_ms={}", self.patience.as_millis());
        let mut request = self.request(Method::POST, node, key, &rest);
        if let Some(ProducerStamp { id, epoch, seq }) = stamp {
            request = request.header("producer-id", format!("jepsen-{id}"));
            request = request.header("producer-epoch", epoch);
            request = request.header("producer-seq", seq);
        }
        let answer = request.json(&json!({"records": records})).send().await;
        let answer = answer.map_err(|error| unsent(&error))?;
        let told = Told::read(answer.headers());
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        let offsets: Offsets = answer.json().await.map_err(|error| Failure::Info(words(&error)))?;
        let offsets: Option<Vec<u64>> = offsets.offsets.iter().map(|one| one.offset).collect();
        match offsets {
            Some(offsets) if offsets.len() == texts.len() => Ok(Appended { offsets, told }),
            _ => Err(Failure::Info(format!("200 without {} offsets", texts.len()))),
        }
    }

    /// Reads a page through a node.
    pub async fn fetch(&self, node: u8, key: Key, wanted: Wanted) -> Result<Page, Failure> {
        let Wanted { from, records_max, wait, mode } = wanted;
        let mode = match mode {
            ReadMode::Linearizable => "linearizable",
            ReadMode::Local => "leader",
        };
        let wait = wait.as_millis();
        let rest =
            format!("/records?offset={from}&max_records={records_max}&wait_ms={wait}&read={mode}");
        let answer = self.request(Method::GET, node, key, &rest).send().await;
        let answer = answer.map_err(|error| Failure::Fail(words(&error)))?;
        let told = Told::read(answer.headers());
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let Told { log_start, high_watermark, .. } = told;
                return Err(Failure::OutOfRange { log_start, high_watermark });
            }
            _ => return Err(as_read(refused(answer).await)),
        }
        let page: Records = answer.json().await.map_err(|error| Failure::Fail(words(&error)))?;
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let records = page.records.into_iter().map(|record| (record.offset, text(record.value)));
        Ok(Page { records: records.collect(), next: page.next_offset, told })
    }

    /// The end of a partition, leadership confirmed.
    pub async fn latest(&self, node: u8, key: Key) -> Result<Told, Failure> {
        let request = self.request(Method::HEAD, node, key, "?read=linearizable");
        let answer = request.send().await.map_err(|error| Failure::Fail(words(&error)))?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(Failure::Fail(status.to_string()));
        }
        Ok(Told::read(answer.headers()))
    }
}

impl Told {
    fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name| text(name).and_then(|text| text.parse().ok());
        let leader =
            text("leader").and_then(|leader| leader.split(';').next()?.trim().parse().ok());
        Self {
            leader,
            term: number("leader-epoch"),
            high_watermark: number("high-watermark"),
            log_start: number("log-start-offset"),
        }
    }
}

/// A write that got no answer.
fn unsent(error: &reqwest::Error) -> Failure {
    if error.is_connect() { Failure::Fail(words(error)) } else { Failure::Info(words(error)) }
}

/// A write that got an error.
async fn refused(answer: Response) -> Failure {
    let status = answer.status();
    let Ok(text) = answer.text().await else {
        return Failure::Info(format!("{status}, and half an answer"));
    };
    let body: Option<Value> = serde_json::from_str(&text).ok();
    let outcome = body.as_ref().and_then(|body| body.get("outcome")).and_then(Value::as_str);
    let message = body.as_ref().and_then(|body| body.get("message")).and_then(Value::as_str);
    let code = body.as_ref().and_then(|body| body.get("error_code")).and_then(Value::as_u64);
    let why = format!("{status}: {}", message.unwrap_or(&text));
    match (outcome, code) {
        (Some("not_appended"), Some(code)) if GONE_CODES.contains(&code) => Failure::Gone(why),
        (Some("not_appended"), _) => Failure::Fail(why),
        _ => Failure::Info(why),
    }
}

fn as_read(failure: Failure) -> Failure {
    match failure {
        Failure::Info(why) => Failure::Fail(why),
        definite @ (Failure::Fail(_) | Failure::Gone(_) | Failure::OutOfRange { .. }) => definite,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What a client makes of an append that is answered so; `None` ends the connection without an answer.
    async fn append_answered(answer: Option<(&str, &str)>) -> Result<Appended, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = listener.local_addr().unwrap();
        let patience = Duration::from_millis(100);
        let client = Client::new(vec![(1, door)], "t", None, patience).unwrap();
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
            if let Some((status, body)) = answer {
                let length = body.len();
                let head = "content-type: application/json\r\nconnection: close\r\n";
                let text =
                    format!("HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}");
                socket.write_all(text.as_bytes()).await.unwrap();
            }
        };
        let texts = ["a".to_owned()];
        tokio::join!(client.append(1, Key(0), &texts, None), serving).0
    }

    #[tokio::test]
    async fn a_write_is_definite_only_where_the_broker_says_so() {
        let answer = append_answered(Some(("200 OK", r#"{"offsets":[{"offset":7}]}"#))).await;
        assert_eq!(answer.unwrap().offsets, [7]);
        let no = r#"{"message":"no leader","outcome":"not_appended"}"#;
        let failure = append_answered(Some(("503 X", no))).await.unwrap_err();
        assert!(matches!(failure, Failure::Fail(why) if why.ends_with("no leader")));
        for unclear in [
            Some(("504 X", r#"{"message":"m","outcome":"unknown"}"#)),
            Some(("500 X", "what?")),
            Some(("200 OK", r#"{"offsets":[]}"#)),
            None,
        ] {
            let failure = append_answered(unclear).await.unwrap_err();
            assert!(matches!(failure, Failure::Info(_)), "{unclear:?}: {failure:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_definite() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = listener.local_addr().unwrap();
        drop(listener);
        let client = Client::new(vec![(1, door)], "t", None, Duration::from_secs(1)).unwrap();
        let failure = client.append(1, Key(0), &["a".to_owned()], None).await.unwrap_err();
        assert!(matches!(failure, Failure::Fail(_)), "{failure:?}");
    }
}
