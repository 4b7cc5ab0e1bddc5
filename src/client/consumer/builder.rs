//! What a consumer is made with.

use super::rebalance::OnRebalance;
use super::{Begin, Consumer, Options};
use crate::client::groups::{NewMember, assignor_name};
use crate::client::{Client, Error};
use crate::coordinator::Assignor;
use std::fmt;
use std::time::Duration;

/// Records that one poll gives at most.
const RECORDS_MAX: usize = 500;
/// Bytes that are read ahead, over all partitions.
const PREFETCH_BYTES: u64 = 32 * 1024 * 1024;
const AUTO_COMMIT: Duration = Duration::from_secs(5);
/// How long a call other than a fetch may take with all attempts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How a [`Consumer`] is to be.
pub struct ConsumerBuilder {
    servers: Vec<String>,
    group: Option<String>,
    wish: NewMember,
    listener: Option<Box<dyn OnRebalance>>,
    options: Options,
    request_timeout: Duration,
}

impl ConsumerBuilder {
    pub(super) fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            group: None,
            wish: NewMember { client_id: "ottla-client".to_owned(), ..NewMember::default() },
            listener: None,
            options: Options {
                begin: Begin::default(),
                records_max: RECORDS_MAX,
                prefetch_bytes: PREFETCH_BYTES,
                auto_commit: Some(AUTO_COMMIT),
            },
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// Commits for this group; with [`topics`](Self::topics) or [`pattern`](Self::pattern) the
    /// consumer is a member of it and reads its share.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Reads a share of these topics.
    #[must_use]
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wish.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }

    /// Reads a share of every topic, present or future, whose whole name matches.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.wish.topic_pattern = Some(pattern.into());
        self
    }

    /// How the group is to share out partitions: a vote, sticky if nobody has one.
    #[must_use]
    pub fn assignor(mut self, assignor: Assignor) -> Self {
        self.wish.assignor = Some(assignor_name(assignor).to_owned());
        self
    }

    /// A name that stays over restarts: who comes again under it within its session takes over what it
    /// had, without a rebalance.
    #[must_use]
    pub fn instance_id(mut self, instance: impl Into<String>) -> Self {
        self.wish.instance_id = Some(instance.into());
        self
    }

    /// What the consumer calls itself, for people who look at the group.
    #[must_use]
    pub fn client_id(mut self, name: impl Into<String>) -> Self {
        self.wish.client_id = name.into();
        self
    }

    /// How long the group does without a sign of life before others take over; 45 s unless said.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.wish.session_timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// How long the consumer may take to give partitions up: poll more often than that. 60 s unless
    /// said.
    #[must_use]
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.wish.rebalance_timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// Hears of partitions that come and go.
    #[must_use]
    pub fn on_rebalance(mut self, listener: impl OnRebalance + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Where to begin where nothing was committed, and to go on where records are gone before they
    /// were read; at the end unless said.
    #[must_use]
    pub const fn begin(mut self, begin: Begin) -> Self {
        self.options.begin = begin;
        self
    }

    /// Commits, at most so often, what was given out before the last poll; every 5 s unless said.
    #[must_use]
    pub const fn auto_commit(mut self, every: Duration) -> Self {
        self.options.auto_commit = Some(every);
        self
    }

    /// Commits only what it is told to.
    #[must_use]
    pub const fn manual_commit(mut self) -> Self {
        self.options.auto_commit = None;
        self
    }

    /// Gives at most so many records with one poll; 500 unless said.
    #[must_use]
    pub const fn records_max(mut self, records: usize) -> Self {
        self.options.records_max = records;
        self
    }

    /// Reads ahead about so many bytes over all partitions, as they are stored; 32 MiB unless said.
    #[must_use]
    pub const fn prefetch_bytes(mut self, bytes: u64) -> Self {
        self.options.prefetch_bytes = bytes;
        self
    }

    /// How long a call that is no fetch may take with all attempts; 30 s unless said.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The consumer. It joins its group, if it has topics, in the background; without, partitions are
    /// [assigned](Consumer::assign) to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what does not fit together.
    pub fn build(self) -> Result<Consumer, Error> {
        self.check().map_err(|why| Error::Invalid(why.to_owned()))?;
        let Self { servers, group, wish, listener, options, request_timeout } = self;
        let client = Client::new(&servers, request_timeout);
        Ok(Consumer::new(client, group, wish, listener, options))
    }

    fn check(&self) -> Result<(), &'static str> {
        let subscribes = self.wish.topics.is_some() || self.wish.topic_pattern.is_some();
        if self.servers.is_empty() {
            return Err("no server was given");
        }
        if self.wish.topics.is_some() && self.wish.topic_pattern.is_some() {
            return Err("topics and pattern: a member wants the one or the other");
        }
        if subscribes && self.group.is_none() {
            return Err("topics or pattern without group: assign partitions, or name a group");
        }
        if self.options.records_max == 0 {
            return Err("records_max 0: at least 1 is taken");
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, group, wish, options, .. } = self;
        f.debug_struct("ConsumerBuilder")
            .field("servers", servers)
            .field("group", group)
            .field("wish", wish)
            .field("options", options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let builder = || Consumer::builder(["a:1"]);
        assert_eq!(builder().check(), Ok(()));
        assert_eq!(builder().group("g").topics(["t"]).check(), Ok(()));
        for (refused, named) in [
            (builder().topics(["t"]), "group"),
            (builder().group("g").topics(["t"]).pattern("t"), "pattern"),
            (builder().records_max(0), "records_max"),
            (Consumer::builder(Vec::<String>::new()), "server"),
        ] {
            let why = refused.check().unwrap_err();
            assert!(why.contains(named), "{why}");
        }
    }
}
