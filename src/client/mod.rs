//! The client library: a cluster over HTTP, from any program.
//!
//! ```text
//!   Producer   records in, offsets out: batches, order, retries, each record once
//!   Consumer   records out: partitions of one's own or a group's share
//!   Client     every call by name; any broker answers, another is asked when one is down
//!     ├── call     one request, and what may be done when its answer is lost
//!     ├── error    why a call failed, and what became of a write: not appended, or unknown
//!     └── leaders  what is known of topics
//! ```
//!
//! Any one broker is enough to begin with: the others are learned from it. A [`Client`] is for what
//! is asked for now and then:
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let data = tempfile::tempdir()?;
//! # let server = ottla::server::Server::start_alone(data.path()).await?;
//! # let address = server.http_address().to_string();
//! use ottla::client::{Client, NewTopic};
//! use ottla::topic::{PartitionId, TopicName};
//! use std::time::Duration;
//!
//! let client = Client::new(&[address], Duration::from_secs(10));
//! let orders = TopicName::new("orders")?;
//! let new = NewTopic { partitions: Some(3), ..NewTopic::default() };
//! let (is_new, topic) = client.create(&orders, &new).await?;
//! assert!(is_new && topic.partitions == 3);
//!
//! let ends = client.ends(&orders, PartitionId(0)).await?;
//! assert_eq!(ends.log_start..ends.high_watermark, 0..0);
//! # server.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! Invariant: a write that may have reached a broker is sent a second time only where that does no
//! harm: with a [sequence](Producer), or where doing it twice is doing it once.

mod api;
mod call;
pub mod consumer;
mod error;
mod groups;
mod leaders;
mod operate;
pub mod producer;

pub use crate::coordinator::{Assignor, TopicPartition};
pub use api::{Acks, AppendAt, AppendDone, Ends, FetchAt, Fetched, NewTopic};
pub use call::{Answer, Call};
pub use consumer::Consumer;
pub use error::{Error, ErrorBody};
pub use groups::{Commit, Committed, Committer, Heartbeat, Joined, NewMember, Share};
pub use operate::{Reset, ResetTo};
pub use producer::Producer;

use reqwest::Url;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A broker that does not accept a connection by then is passed over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two rounds over all brokers: doubled from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection to a cluster: its calls by name. Clones are the same connection.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// `host:port` of every broker known, the one that answered last in front.
    brokers: Arc<RwLock<Vec<String>>>,
    /// What the user named, for messages.
    named: String,
    timeout: Duration,
}

impl Client {
    /// To the cluster of which `servers` are some brokers. Connects on first use.
    pub fn new(servers: &[String], timeout: Duration) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("ottla/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("no option here can fail without TLS");
        let brokers = Arc::new(RwLock::new(servers.to_vec()));
        Self { http, brokers, named: servers.join(", "), timeout }
    }

    /// How long the user wants to wait for anything.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes a call, again while a broker says that this helps, until the time is up. A cluster of
    /// which no broker can be connected fails at once.
    pub async fn call(&self, call: &Call) -> Result<Answer, Error> {
        self.call_within(call, self.timeout).await
    }

    /// The same within another time.
    pub async fn call_within(&self, call: &Call, timeout: Duration) -> Result<Answer, Error> {
        let deadline = Instant::now() + timeout;
        let mut backoff = Backoff::default();
        loop {
            let refusal = match self.send(call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let again = refusal.worth_repeating() && !matches!(refusal, Error::Unreachable { .. });
            let pause = backoff.next(refusal.retry_after());
            if !again || Instant::now() + pause >= deadline {
                return Err(refusal);
            }
            sleep(pause).await;
        }
    }

    /// Makes a call once; every broker is asked in turn as long as none can have got it.
    pub async fn send(&self, call: &Call, deadline: Instant) -> Result<Answer, Error> {
        let mut why = String::from("no address was given");
        for broker in self.order(call.first()) {
            let refusal = match self.ask(&broker, call, deadline).await {
                Ok(answer) => {
                    self.prefer(&broker);
                    return Ok(answer);
                }
                Err(refusal) => refusal,
            };
            if refusal.speaks_of_the_broker() {
                self.pass_over(&broker);
            }
            why = match refusal.passed_over(call) {
                Ok(reason) => reason,
                Err(refusal) => return Err(refusal),
            };
        }
        Err(Error::Unreachable { tried: self.named.clone(), why })
    }

    /// Makes a call at one broker.
    async fn ask(&self, broker: &str, call: &Call, deadline: Instant) -> Result<Answer, Error> {
        let url = Url::parse(&format!("http://{broker}{}", call.target()))
            .map_err(|error| Error::NotSent(format!("{broker}: {error}")))?;
        let asked = async {
            let response = self.http.execute(call.request(url)).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(Answer::new(status, headers, response.bytes().await?))
        };
        match timeout_at(deadline, asked).await {
            Err(_elapsed) => Err(Error::Lost(format!("{broker} gave no answer in time"))),
            Ok(Err(error)) => Err(Error::of(broker, &error)),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(Error::refused(broker, call, &answer)),
        }
    }

    /// Adds brokers that the cluster told of.
    pub fn learn(&self, addresses: impl IntoIterator<Item = String>) {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            if !brokers.contains(&address) {
                brokers.push(address);
            }
        }
    }

    fn order(&self, first: Option<&str>) -> Vec<String> {
        let mut brokers = self.brokers.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(first) = first {
            brokers.retain(|broker| broker != first);
            brokers.insert(0, first.to_owned());
        }
        brokers
    }

    fn prefer(&self, broker: &str) {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = brokers.iter().position(|known| known == broker) {
            brokers.swap(0, at);
        }
    }

    fn pass_over(&self, broker: &str) {
        let mut brokers = self.brokers.write().unwrap_or_else(PoisonError::into_inner);
        if brokers.first().is_some_and(|first| first == broker) {
            brokers.rotate_left(1);
        }
    }
}

/// How long to wait before asking again.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(BACKOFF.0)
    }
}

impl Backoff {
    /// The next pause: what the broker asked for, if less than our own longest one.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let own = self.0;
        self.0 = (own * 2).min(BACKOFF.1);
        asked.map_or(own, |asked| asked.min(BACKOFF.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(servers: &[&str]) -> Client {
        let servers: Vec<String> = servers.iter().map(|&server| server.to_owned()).collect();
        Client::new(&servers, Duration::from_secs(1))
    }

    #[test]
    fn the_broker_that_answered_is_asked_first_next_time() {
        let client = client(&["a:1", "b:1", "c:1"]);
        client.prefer("c:1");
        assert_eq!(client.order(None), ["c:1", "b:1", "a:1"]);
        client.pass_over("c:1");
        assert_eq!(client.order(None), ["b:1", "a:1", "c:1"]);
        assert_eq!(client.order(Some("x:1")), ["x:1", "b:1", "a:1", "c:1"]);
    }

    #[test]
    fn brokers_are_learned_once() {
        let client = client(&["a:1"]);
        client.learn(["a:1".to_owned(), "b:1".to_owned()]);
        assert_eq!(client.order(None), ["a:1", "b:1"]);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..7).map(|_| backoff.next(None).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        let asked = Some(Duration::from_mins(1));
        assert_eq!(backoff.next(asked), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_fails_at_once() {
        let client = client(&["127.0.0.1:1"]);
        let error = client.call(&Call::get("/v1/cluster")).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
