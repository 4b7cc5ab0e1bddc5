//! What a run took of the machine: processor, disk, flushes, memory. On a machine that is shared these tell
//! more than throughput.
//!
//! Processor, disk and memory of brokers are read from `/proc`, so only of nodes that the run started
//! itself; flushes from every broker's metrics.

use super::nodes::Nodes;
use super::process;
use super::recorder::Interval;
use super::site::Site;
use crate::cli::size::rounded;
use crate::client::Call;
use serde::Serialize;
use std::time::Duration;

/// The counter of flushes in a broker's metrics.
const FLUSHES: &str = "storage_flushes_total";

/// Counters at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    own: Option<Own>,
    client_cpu: Duration,
    flushes: Option<u64>,
}

/// Of our own nodes.
#[derive(Debug, Clone, Copy)]
struct Own {
    cpu: Duration,
    written: u64,
}

/// What was used between two readings. What cannot be known is `null`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Cost {
    /// Of all brokers together.
    pub(super) broker_cpu_seconds_per_million: Option<f64>,
    pub(super) client_cpu_seconds_per_million: Option<f64>,
    /// Written to disks by all brokers, for each byte of a value that was acknowledged.
    pub(super) disk_bytes_per_payload_byte: Option<f64>,
    /// The same for each copy of it: 1 is the least.
    pub(super) disk_bytes_per_copied_byte: Option<f64>,
    /// Of all brokers together.
    pub(super) flushes_per_second: Option<f64>,
    /// The most that each broker ever had.
    pub(super) broker_resident_bytes_max: Vec<u64>,
    pub(super) client_resident_bytes_max: u64,
}

impl Reading {
    /// Now.
    pub(super) async fn take(site: &Site, nodes: Option<&Nodes>) -> Self {
        let mut flushes = Some(0);
        for broker in &site.brokers {
            flushes = match (flushes, flushes_of(site, broker).await) {
                (Some(sum), Some(more)) => Some(sum + more),
                _ => None,
            };
        }
        let own = nodes.map(|nodes| {
            let pids = nodes.pids();
            let cpu = pids.iter().map(|&id| process::cpu(id)).sum();
            Own { cpu, written: pids.iter().map(|&id| process::written_bytes(id)).sum() }
        });
        Self { own, client_cpu: process::cpu(std::process::id()), flushes }
    }

    /// What was used since `before`, while this was done.
    pub(super) fn since(
        &self,
        before: &Self,
        (done, window, replicas): (&Interval, Duration, u32),
        nodes: Option<&Nodes>,
    ) -> Cost {
        let millions = (done.records > 0).then(|| rounded(done.records) / 1e6);
        let own = self.own.zip(before.own);
        let per_million = |cpu: Duration| Some(cpu.as_secs_f64() / millions?);
        let written = own.map(|(now, before)| now.written.saturating_sub(before.written));
        let amplified = written
            .filter(|_| done.bytes > 0)
            .map(|written| rounded(written) / rounded(done.bytes));
        let flushes = self.flushes.zip(before.flushes);
        let pids = nodes.map(Nodes::pids).unwrap_or_default();
        Cost {
            broker_cpu_seconds_per_million: own
                .and_then(|(now, before)| per_million(now.cpu.saturating_sub(before.cpu))),
            client_cpu_seconds_per_million: per_million(
                self.client_cpu.saturating_sub(before.client_cpu),
            ),
            disk_bytes_per_payload_byte: amplified,
            disk_bytes_per_copied_byte: amplified.map(|all| all / f64::from(replicas.max(1))),
            flushes_per_second: flushes
                .map(|(now, before)| rounded(now.saturating_sub(before)) / window.as_secs_f64()),
            broker_resident_bytes_max: pids.into_iter().map(process::resident_bytes_max).collect(),
            client_resident_bytes_max: process::resident_bytes_max(std::process::id()),
        }
    }
}

async fn flushes_of(site: &Site, broker: &str) -> Option<u64> {
    let call = Call::get("/metrics").accept("text/plain, */*").ask_first(Some(broker.to_owned()));
    let answer = site.client.call(&call).await.ok()?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    counter(&text, FLUSHES)
}

/// A counter without labels, whatever its prefix.
fn counter(metrics: &str, name: &str) -> Option<u64> {
    let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(series, _)| series.ends_with(name))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_among_the_metrics() {
        let metrics = "# HELP ottla_storage_flushes Times\nottla_storage_flushes_total 42\nx 1\n";
        assert_eq!(counter(metrics, FLUSHES), Some(42));
        assert_eq!(counter("x 1\n", FLUSHES), None);
    }
}
