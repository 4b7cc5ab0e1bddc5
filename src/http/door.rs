//! What every handler has at hand: the broker, the limits, and the counts that the limits bound.

use super::body::BUDGET_UNIT_BYTES;
use super::limits::Limits;
use super::meter::Meter;
use crate::broker::{Broker, Tail};
use crate::error::{Error, ErrorKind};
use crate::tasks::Tasks;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use raft::NodeId;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where the partition's leader is.
const LEADER: HeaderName = HeaderName::from_static("leader");
/// Its term.
const LEADER_EPOCH: HeaderName = HeaderName::from_static("leader-epoch");

/// How long a request may take that does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The state of the HTTP interface; clones are the same.
#[derive(Clone)]
pub(super) struct Door(Arc<Inner>);

/// What a [`Door`] derefs to.
pub(super) struct Inner {
    /// What all calls go to.
    pub(super) broker: Broker,
    /// What is taken at most.
    pub(super) limits: Limits,
    /// What `/metrics` tells.
    pub(super) meter: Meter,
    /// Cancelled once the node is shutting down.
    pub(super) stopping: CancellationToken,
    /// The API's description.
    pub(super) openapi: bytes::Bytes,
    /// What goes on beside the requests.
    pub(super) tasks: Tasks,
    requests: Arc<Semaphore>,
    follows: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Deref for Door {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Door {
    /// The state of a node's HTTP interface.
    pub(super) fn new(
        broker: Broker,
        limits: Limits,
        stopping: CancellationToken,
        openapi: bytes::Bytes,
    ) -> Self {
        let most = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner {
            requests: most(limits.requests_max),
            follows: most(limits.follows_max),
            bodies: most(limits.bodies_bytes_max / BUDGET_UNIT_BYTES),
            meter: Meter::new(&broker),
            broker,
            limits,
            stopping,
            openapi,
            tasks: Tasks::new(),
        }))
    }

    /// The place of one more request being answered.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        take(&self.requests, "requests being answered", self.limits.requests_max)
    }

    /// The place of one more stream that follows a log.
    pub(super) fn admit_follow(&self) -> Result<OwnedSemaphorePermit, Error> {
        take(&self.follows, "streams that follow a log", self.limits.follows_max)
    }

    /// The budget for bodies, in units of [`BUDGET_UNIT_BYTES`].
    pub(super) fn budget(&self) -> Arc<Semaphore> {
        Arc::clone(&self.bodies)
    }

    /// How long a request waits that asks for `wait_ms`.
    pub(super) fn wait(&self, wait_ms: u64) -> Result<Duration, Error> {
        let (wait, most) = (Duration::from_millis(wait_ms), self.limits.wait_max);
        if wait > most {
            let message = format!("wait_ms {wait_ms}: at most {} is taken", most.as_millis());
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(wait)
    }

    /// When a request is to be answered that asks for `timeout_ms`.
    pub(super) fn deadline(&self, timeout_ms: Option<u64>) -> Result<Instant, Error> {
        let timeout = timeout_ms.map_or(TIMEOUT_DEFAULT, Duration::from_millis);
        if timeout > self.limits.timeout_max {
            let message = format!(
                "timeout_ms {}: at most {} is taken",
                timeout.as_millis(),
                self.limits.timeout_max.as_millis()
            );
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        Ok(Instant::now() + timeout)
    }

    /// The error of a request that came, or waited, while the node is shutting down.
    pub(super) fn closing() -> Error {
        Error::new(ErrorKind::ShuttingDown, "this node is shutting down; ask another one")
    }

    /// Tells a caller who leads, so that it goes straight there next time.
    pub(super) fn name_leader(&self, headers: &mut HeaderMap, leader: NodeId, epoch: u64) {
        let text = match self.broker.http_address(leader) {
            Some(address) => format!("{leader}; url=\"http://{address}\""),
            None => leader.to_string(),
        };
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(LEADER, value);
        }
        headers.insert(LEADER_EPOCH, epoch.into());
    }

    /// Tells of the ends of a partition and of its leader.
    pub(super) fn name_tail(&self, headers: &mut HeaderMap, tail: &Tail) {
        headers.insert(super::reply::LOG_START_OFFSET, tail.log_start.into());
        headers.insert(super::reply::HIGH_WATERMARK, tail.high_watermark.into());
        self.name_leader(headers, tail.leader, tail.leader_epoch);
    }
}

fn take(places: &Arc<Semaphore>, what: &str, most: usize) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(places).try_acquire_owned().map_err(|_full| {
        Error::new(ErrorKind::Busy, format!("there are {most} {what} already, which is the limit"))
    })
}
