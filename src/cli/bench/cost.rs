//! What a run took of the machine: processor, disk, flushes, memory. On a machine that is shared these tell
//! more than throughput.
//!
//! Processor, disk and memory of brokers are read from `/proc`, so only of nodes that the run started
//! itself; flushes from every broker's metrics. A sample each second shows whether memory stays flat.

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
#[derive(Debug, Clone)]
pub(super) struct Reading {
    usage: Usage,
    flushes: Option<u64>,
}

/// What processes have used, which costs nothing to know.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    own: Option<Own>,
    client_cpu: Duration,
}

/// Of our own nodes.
#[derive(Debug, Clone, Copy)]
struct Own {
    cpu: Duration,
    written: u64,
}

/// One second of the window.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    /// From the beginning of the window to the end of this one.
    pub(super) second: f64,
    /// Of one core: 200 is two of them. All brokers together, and this process.
    pub(super) broker_cpu_percent: Option<f64>,
    pub(super) client_cpu_percent: f64,
    /// All brokers together.
    pub(super) disk_megabytes_per_second: Option<f64>,
    /// Of each broker, then: now, not the most it ever had.
    pub(super) broker_resident_bytes: Vec<u64>,
    pub(super) client_resident_bytes: u64,
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
    /// Over time.
    pub(super) timeline: Vec<Sample>,
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
        Self { usage: Usage::take(nodes), flushes }
    }

    /// Of processes.
    pub(super) fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// What was used since `before`, while this was done.
    pub(super) fn since(
        &self,
        before: &Self,
        (done, window, replicas): (&Interval, Duration, u32),
        nodes: Option<&Nodes>,
        timeline: Vec<Sample>,
    ) -> Cost {
        let millions = (done.records > 0).then(|| rounded(done.records) / 1e6);
        let own = self.usage.own.zip(before.usage.own);
        let client_cpu = self.usage.client_cpu.saturating_sub(before.usage.client_cpu);
        let per_million = |cpu: Duration| Some(cpu.as_secs_f64() / millions?);
        let written = own.map(|(now, before)| now.written.saturating_sub(before.written));
        let amplified = written
            .filter(|_| done.bytes > 0)
            .map(|written| rounded(written) / rounded(done.bytes));
        let flushes = self.flushes.zip(before.flushes);
        let pids = nodes.map(Nodes::pids).unwrap_or_default();
        // The kernel's own maximum is a little behind what it says at each time.
        let most = |at: usize, pid| {
            let seen = timeline.iter().filter_map(|sample| sample.broker_resident_bytes.get(at));
            seen.copied().max().unwrap_or(0).max(process::resident_bytes_max(pid))
        };
        Cost {
            broker_cpu_seconds_per_million: own
                .and_then(|(now, before)| per_million(now.cpu.saturating_sub(before.cpu))),
            client_cpu_seconds_per_million: per_million(client_cpu),
            disk_bytes_per_payload_byte: amplified,
            disk_bytes_per_copied_byte: amplified.map(|all| all / f64::from(replicas.max(1))),
            flushes_per_second: flushes
                .map(|(now, before)| rounded(now.saturating_sub(before)) / window.as_secs_f64()),
            broker_resident_bytes_max: (0..).zip(pids).map(|(at, pid)| most(at, pid)).collect(),
            client_resident_bytes_max: process::resident_bytes_max(std::process::id()),
            timeline,
        }
    }
}

impl Usage {
    /// Now.
    pub(super) fn take(nodes: Option<&Nodes>) -> Self {
        let own = nodes.map(|nodes| {
            let pids = nodes.pids();
            let cpu = pids.iter().map(|&id| process::cpu(id)).sum();
            Own { cpu, written: pids.iter().map(|&id| process::written_bytes(id)).sum() }
        });
        Self { own, client_cpu: process::cpu(std::process::id()) }
    }

    /// What was used since `before`, and what memory is taken now.
    pub(super) fn sample(
        &self,
        before: &Self,
        (second, took): (Duration, Duration),
        nodes: Option<&Nodes>,
    ) -> Sample {
        let seconds = took.as_secs_f64().max(1e-6);
        let percent = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / seconds * 100.0
        };
        let own = self.own.zip(before.own);
        let megabytes = |bytes: u64| rounded(bytes) / 1e6 / seconds;
        let pids = nodes.map(Nodes::pids).unwrap_or_default();
        Sample {
            second: second.as_secs_f64(),
            broker_cpu_percent: own.map(|(now, before)| percent(now.cpu, before.cpu)),
            client_cpu_percent: percent(self.client_cpu, before.client_cpu),
            disk_megabytes_per_second: own
                .map(|(now, before)| megabytes(now.written.saturating_sub(before.written))),
            broker_resident_bytes: pids.into_iter().map(process::resident_bytes).collect(),
            client_resident_bytes: process::resident_bytes(std::process::id()),
        }
    }
}

impl Cost {
    /// Of what was only read nothing goes to disk: there is nothing to compare with.
    pub(super) fn of_reading(self) -> Self {
        Self { disk_bytes_per_payload_byte: None, disk_bytes_per_copied_byte: None, ..self }
    }

    /// Memory of the broker that has most at the end: at the beginning of the window, and at its end.
    pub(super) fn resident_bytes(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.timeline.first()?, self.timeline.last()?);
        let pairs = first.broker_resident_bytes.iter().zip(&last.broker_resident_bytes);
        pairs.max_by_key(|(_, last)| **last).map(|(&first, &last)| (first, last))
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
    fn memory_is_told_of_the_largest_broker() {
        let sample = |resident: &[u64]| Sample {
            second: 1.0,
            broker_cpu_percent: None,
            client_cpu_percent: 0.0,
            disk_megabytes_per_second: None,
            broker_resident_bytes: resident.to_vec(),
            client_resident_bytes: 1,
        };
        let timeline = vec![sample(&[9, 5, 5]), sample(&[8, 8, 8]), sample(&[7, 6, 12])];
        let cost = Cost { timeline, ..Cost::default() };
        assert_eq!(cost.resident_bytes(), Some((5, 12)));
        assert_eq!(Cost::default().resident_bytes(), None);
    }

    #[test]
    fn a_counter_is_found_among_the_metrics() {
        let metrics = "# HELP ottla_storage_flushes Times\nottla_storage_flushes_total 42\nx 1\n";
        assert_eq!(counter(metrics, FLUSHES), Some(42));
        assert_eq!(counter("x 1\n", FLUSHES), None);
    }
}
