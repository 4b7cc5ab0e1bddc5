//! What the broker and the floors below it count, as metrics: read at each scrape, kept nowhere.

use crate::broker::{Broker, Figures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;

/// The figures of one node.
#[derive(Debug)]
pub(super) struct NodeFigures(Broker);

impl NodeFigures {
    pub(super) fn new(broker: Broker) -> Self {
        Self(broker)
    }
}

impl Collector for NodeFigures {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        cluster(&mut to, &self.0)?;
        let figures = self.0.figures();
        groups(&mut to, &figures)?;
        storage(&mut to, &figures.storage)?;
        transport(&mut to, &figures.transport)
    }
}

/// The cluster as this node knows it.
fn cluster(to: &mut DescriptorEncoder<'_>, broker: &Broker) -> Result<(), fmt::Error> {
    let (cluster, topics) = (broker.cluster(), broker.topics());
    let alive = cluster.brokers.iter().filter(|broker| broker.alive).count();
    let partitions: u64 = topics.iter().map(|topic| u64::from(topic.partitions)).sum();
    let ready = u64::from(broker.ready().is_ok());
    let controller = u64::from(cluster.controller.is_some());
    gauge(to, "ready", "Whether this node can serve", ready)?;
    gauge(to, "controller_known", "Whether this node knows who leads the metadata", controller)?;
    gauge(to, "brokers", "Brokers of the cluster", wide(cluster.brokers.len()))?;
    gauge(to, "brokers_alive", "Those that this node can reach", wide(alive))?;
    gauge(to, "topics", "Topics of the cluster", wide(topics.len()))?;
    gauge(to, "partitions", "Partitions of all topics", partitions)
}

/// The replica groups on this node, by what they are doing.
fn groups(to: &mut DescriptorEncoder<'_>, figures: &Figures) -> Result<(), fmt::Error> {
    let Figures { leading, following, electing, broken, .. } = figures;
    gauge(to, "raft_groups_leading", "Replicas here that lead their group", wide(*leading))?;
    gauge(to, "raft_groups_following", "Replicas here that follow a leader", wide(*following))?;
    gauge(to, "raft_groups_electing", "Replicas here that know of no leader", wide(*electing))?;
    gauge(to, "raft_groups_broken", "Replicas here that stopped", wide(*broken))
}

/// The logs.
fn storage(to: &mut DescriptorEncoder<'_>, counters: &storage::Counters) -> Result<(), fmt::Error> {
    let storage::Counters {
        barriers,
        group_commits,
        entries,
        bytes,
        votes,
        barrier_ns,
        barrier_ns_max,
        queue_depth,
        queue_bytes,
        cache_bytes,
    } = *counters;
    counter(to, "storage_flushes", "Times that logs were flushed to disk", barriers)?;
    counter(to, "storage_group_commits", "Rounds of the commit thread with work", group_commits)?;
    counter(to, "storage_entries_written", "Log entries written", entries)?;
    counter(to, "storage_payload_written_bytes", "Payload bytes written to logs", bytes)?;
    counter(to, "storage_votes", "Votes stored", votes)?;
    let (spent, longest) = (seconds(barrier_ns), seconds(barrier_ns_max));
    let spent = ConstCounter::new(spent);
    let unit = Some(&Unit::Seconds);
    let name = "storage_flush_time";
    let at =
        to.encode_descriptor(name, "Time spent in flushes to disk", unit, spent.metric_type())?;
    spent.encode(at)?;
    let longest = ConstGauge::new(longest);
    let name = "storage_flush_time_max";
    let help = "The longest flush since the start";
    let at = to.encode_descriptor(name, help, unit, longest.metric_type())?;
    longest.encode(at)?;
    gauge(to, "storage_queue_operations", "Writes that wait for the commit thread", queue_depth)?;
    gauge(to, "storage_queue_bytes", "Payload bytes that wait for it", queue_bytes)?;
    gauge(to, "storage_cache_bytes", "Payload bytes of recent entries in memory", cache_bytes)
}

/// The wires to peers.
fn transport(
    to: &mut DescriptorEncoder<'_>,
    counters: &raft::transport::Counters,
) -> Result<(), fmt::Error> {
    let raft::transport::Counters {
        frames_sent,
        messages_sent,
        bytes_sent,
        frames_received,
        messages_received,
        bytes_received,
    } = *counters;
    counter(to, "transport_frames_sent", "Frames sent to peers", frames_sent)?;
    counter(to, "transport_messages_sent", "Messages in them", messages_sent)?;
    counter(to, "transport_sent_bytes", "Bytes sent to peers", bytes_sent)?;
    counter(to, "transport_frames_received", "Frames received from peers", frames_received)?;
    counter(to, "transport_messages_received", "Messages in them", messages_received)?;
    counter(to, "transport_received_bytes", "Bytes received from peers", bytes_received)
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let counter = ConstCounter::new(value);
    counter.encode(to.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "seconds for people to read"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
