//! What `/metrics` tells of the HTTP interface and of what its broker knows, in the text format of `OpenMetrics`.

use super::figures::NodeFigures;
use crate::broker::Broker;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// Seconds; the slowest answers are long polls.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// The counts.
pub(super) struct Meter {
    registry: Registry,
    requests: Family<Answered, Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    produced_records: Counter,
    produced_bytes: Counter,
    fetched_records: Counter,
    fetched_bytes: Counter,
}

/// Which requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    /// The template of the path, never the path.
    route: String,
    method: String,
    /// `2xx`.
    status: String,
}

/// One more of something, for as long as it lives.
pub(super) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Meter {
    /// All zero; what the broker counts is read from it.
    pub(super) fn new(broker: &Broker) -> Self {
        let mut registry = Registry::with_prefix("ottla");
        let requests =
            Family::<Answered, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let in_flight = Gauge::default();
        let connections = Gauge::default();
        let (produced_records, produced_bytes) = (Counter::default(), Counter::default());
        let (fetched_records, fetched_bytes) = (Counter::default(), Counter::default());
        registry.register_with_unit(
            "http_request_duration",
            "How long requests took, by route, method and class of status",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register("http_requests_in_flight", "Requests being answered", in_flight.clone());
        registry.register("http_connections", "Open connections", connections.clone());
        registry.register(
            "http_produced_records",
            "Records that came in over HTTP",
            produced_records.clone(),
        );
        registry.register(
            "http_produced_batch_bytes",
            "Bytes of the batches made of them",
            produced_bytes.clone(),
        );
        registry.register(
            "http_fetched_records",
            "Records that went out over HTTP",
            fetched_records.clone(),
        );
        registry.register(
            "http_fetched_batch_bytes",
            "Bytes of the batches that they were read from",
            fetched_bytes.clone(),
        );
        registry.register_collector(Box::new(NodeFigures::new(broker.clone())));
        Self {
            registry,
            requests,
            in_flight,
            connections,
            produced_records,
            produced_bytes,
            fetched_records,
            fetched_bytes,
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let answered = Answered {
            route: route.to_owned(),
            method: method.to_owned(),
            status: format!("{}xx", status / 100),
        };
        self.requests.get_or_create(&answered).observe(took.as_secs_f64());
    }

    /// A request is being answered.
    pub(super) fn request(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// A connection is open.
    pub(super) fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Records were appended.
    pub(super) fn produced(&self, records: usize, bytes: usize) {
        self.produced_records.inc_by(u64::try_from(records).unwrap_or(u64::MAX));
        self.produced_bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Records were read.
    pub(super) fn fetched(&self, records: u64, bytes: usize) {
        self.fetched_records.inc_by(records);
        self.fetched_bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// All of it as text.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut to = String::new();
        text::encode(&mut to, &self.registry)?;
        Ok(to)
    }
}
