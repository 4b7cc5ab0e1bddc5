//! What a run came to: for programs one JSON object, for people a few lines.

use super::cost::Cost;
use super::ledger::Comparison;
use super::meter::{Meter, Tick};
use super::options::Load;
use super::recorder::Latency;
use super::roof::{FractionOf, Roof};
use crate::cli::size::{Count, Size, rounded};
use crate::cli::table::Table;
use serde::Serialize;
use std::time::Duration;

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// The subcommand.
    pub(super) bench: &'static str,
    pub(super) version: &'static str,
    pub(super) brokers: usize,
    pub(super) replicas: u32,
    /// Of the nodes that the run started itself.
    pub(super) engine: Option<String>,
    pub(super) load: Load,
    pub(super) consumers: u32,
    /// What was written before, to be read over and over.
    pub(super) records_before: u64,
    /// What was compared while it was written was removed but for so many bytes.
    pub(super) keep_bytes: Option<u64>,
    /// How long was measured.
    pub(super) seconds: f64,
    /// What was acknowledged, latency from when a request was due.
    pub(super) written: Option<Flow>,
    /// What was read; latency of a record from when it was due, or of a page where there is no such time.
    pub(super) read: Option<Flow>,
    /// Requests without an outcome, from the first to the last.
    pub(super) unknown_requests: usize,
    /// Records that were due within the run and not sent, as the cluster was too slow.
    pub(super) unsent_records: u64,
    pub(super) comparison: Comparison,
    /// What the consumers that ran beside got, compared too.
    pub(super) delivered: Option<Delivered>,
    pub(super) cost: Cost,
    pub(super) roof: Option<Roof>,
}

/// What the consumers of the run itself got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Delivered {
    pub(super) records: u64,
    /// The same as was read back afterwards.
    pub(super) equal: bool,
}

/// Records in one direction within the window.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Flow {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
    pub(super) refused_requests: u64,
    /// What producers waited for the comparison to come after them (`--keep`), all together.
    pub(super) held_back_seconds: f64,
    pub(super) records_per_second: f64,
    pub(super) megabytes_per_second: f64,
    pub(super) latency_ms: Option<Latency>,
    /// Percent of all, and the ms that they took at most.
    pub(super) percentiles: Vec<(f64, f64)>,
    pub(super) timeline: Vec<Tick>,
}

impl Flow {
    /// What a meter counted.
    pub(super) fn of(meter: Meter, window: Duration) -> Self {
        let Meter { total, ticks, .. } = meter;
        let seconds = window.as_secs_f64();
        Self {
            records: total.records,
            bytes: total.bytes,
            requests: total.requests,
            refused_requests: total.refused,
            held_back_seconds: total.held_back.as_secs_f64(),
            records_per_second: rounded(total.records) / seconds,
            megabytes_per_second: rounded(total.bytes) / 1e6 / seconds,
            latency_ms: total.latency(),
            percentiles: total.percentiles(),
            timeline: ticks,
        }
    }
}

impl Report {
    /// Two lines: what was done, and where.
    pub(super) fn title(&self) -> String {
        let load = &self.load;
        let mut did = Vec::new();
        if self.written.is_some() {
            let rate = match load.records_per_second {
                Some(rate) => format!("{} records/s asked for", Count(rate)),
                None => "as fast as answers come".to_owned(),
            };
            let (records, bytes) = (load.records_per_request, load.record_bytes);
            did.push(format!(
                "{} producers, {}, {records} × {bytes} B a request, acks={}, {rate}",
                load.producers,
                load.path.name(),
                load.acks.as_str(),
            ));
        }
        did.push(match (self.consumers, self.records_before) {
            (0, _) => String::new(),
            (consumers, 0) => format!("{consumers} consumers at the ends"),
            (consumers, records) => {
                format!("{consumers} consumers read {} records over and over", Count(records))
            }
        });
        did.retain(|part| !part.is_empty());
        let place = match &self.engine {
            Some(engine) => format!("{} nodes of its own, engine={engine}", self.brokers),
            None => format!("a cluster of {} that was there", self.brokers),
        };
        format!(
            "{}: {}\n{} partitions × {}, flush.policy={}, compression={}; {:.0} s on {place}",
            self.bench,
            did.join("; "),
            load.partitions,
            self.replicas,
            load.flush.name(),
            load.compression.name(),
            self.seconds,
        )
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("{}\n\n{}", self.title(), self.figures())
    }

    /// The tables, and what is to be said of them.
    pub(super) fn figures(&self) -> String {
        let mut parts = vec![self.flows()];
        parts.extend(self.roofs());
        parts.push(self.costs());
        if self.unsent_records > 0 {
            parts.push(format!("{} records were due and not sent", Count(self.unsent_records)));
        }
        if let Some(Delivered { records, equal }) = self.delivered {
            let word = if equal { "the same" } else { "not the same" };
            parts.push(format!("the consumers got {}: {word} as was read back", Count(records)));
        }
        parts.push(match self.keep_bytes {
            None => self.comparison.shown(),
            Some(bytes) => format!(
                "{}; compared while it was written, by this client; then removed but for {}",
                self.comparison.shown(),
                Size(bytes),
            ),
        });
        let held_back = self.written.as_ref().map_or(0.0, |written| written.held_back_seconds);
        if held_back > 0.0 {
            parts.push(format!(
                "producers waited {held_back:.1} s, all together, for the comparison to come after \
                 them: throughput is what both can do"
            ));
        }
        parts.join("\n\n")
    }

    fn flows(&self) -> String {
        let titles = [
            "",
            "RECORDS/S",
            "MB/S",
            "p50 ms",
            "p90",
            "p99",
            "p99.9",
            "max",
            "REQUESTS",
            "REFUSED",
        ];
        let mut table = Table::new(titles).numbers([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let flows = [("written", &self.written), ("read", &self.read)];
        for (name, flow) in
            flows.into_iter().filter_map(|(name, flow)| Some((name, flow.as_ref()?)))
        {
            let ms = |value: fn(&Latency) -> f64| {
                flow.latency_ms
                    .as_ref()
                    .map_or_else(dash, |latency| format!("{:.2}", value(latency)))
            };
            table.row([
                name.to_owned(),
                whole(flow.records_per_second),
                format!("{:.1}", flow.megabytes_per_second),
                ms(|latency| latency.p50),
                ms(|latency| latency.p90),
                ms(|latency| latency.p99),
                ms(|latency| latency.p999),
                ms(|latency| latency.max),
                Count(flow.requests).to_string(),
                Count(flow.refused_requests).to_string(),
            ]);
        }
        table.lines()
    }

    /// What the machine does without us, and which part of it the result is.
    fn roofs(&self) -> Option<String> {
        let roof = self.roof.as_ref()?;
        let (written, read) = (&roof.written_as_fraction_of, &roof.read_as_fraction_of);
        let titles = ["ROOF", "RECORDS/S", "MB/S", "WRITTEN / ROOF", "READ / ROOF"];
        let mut table = Table::new(titles).numbers([1, 2, 3, 4]);
        let megabytes = |value: f64| format!("{value:.1}");
        let part = |of: &Option<FractionOf>, value: fn(&FractionOf) -> Option<f64>| {
            of.as_ref().and_then(value).map_or_else(dash, |part| format!("{part:.3}"))
        };
        let mut row = |name: String, each: [String; 4]| {
            let [records, megabytes, written, read] = each;
            table.row([name, records, megabytes, written, read]);
        };
        let of_file = |of| part(of, |of| Some(of.file));
        row(
            "one file, fdatasync after each round of requests".to_owned(),
            [dash(), megabytes(roof.file_megabytes_per_second), of_file(written), of_file(read)],
        );
        let of_each = |of| part(of, |of| Some(of.file_each_copy));
        row(
            format!("of it for each of {} copies, if they share the disk", self.replicas),
            [
                dash(),
                megabytes(roof.file_megabytes_per_second_each_copy),
                of_each(written),
                of_each(read),
            ],
        );
        if let Some(echo) = roof.echo_records_per_second {
            let of_http = part(written, |of| of.http);
            row(
                "bare HTTP server: the same requests, sent back".to_owned(),
                [whole(echo), dash(), of_http, dash()],
            );
        }
        if let Some(pages) = roof.pages_megabytes_per_second {
            row(
                "bare HTTP server: pages of 4 MiB from memory".to_owned(),
                [dash(), megabytes(pages), dash(), part(read, |of| of.http)],
            );
        }
        Some(table.lines())
    }

    fn costs(&self) -> String {
        let cost = &self.cost;
        let shown = |value: Option<f64>| value.map_or_else(dash, |value| format!("{value:.2}"));
        let resident = cost.broker_resident_bytes_max.iter().max().copied();
        let size = |bytes| Size(bytes).to_string();
        let over_time = cost.resident_bytes();
        let over_time = over_time.map(|(first, last)| format!("{} → {}", Size(first), Size(last)));
        let mut table = Table::new(["COST", ""]).numbers([1]);
        let done = if self.written.is_some() { "written" } else { "read" };
        let disk = [
            ("disk bytes per payload byte, all copies", cost.disk_bytes_per_payload_byte),
            ("disk bytes per payload byte, each copy", cost.disk_bytes_per_copied_byte),
        ];
        let (brokers, client) =
            (cost.broker_cpu_seconds_per_million, cost.client_cpu_seconds_per_million);
        let mut rows = vec![
            (format!("CPU s per million records {done}, brokers"), shown(brokers)),
            (format!("CPU s per million records {done}, client"), shown(client)),
        ];
        let of_disk = disk.into_iter().filter(|(_, value)| value.is_some());
        rows.extend(of_disk.map(|(name, value)| (name.to_owned(), shown(value))));
        rows.extend(
            [
                ("flushes per second, all brokers", shown(cost.flushes_per_second)),
                (
                    "memory, largest broker, at the start and the end",
                    over_time.unwrap_or_else(dash),
                ),
                ("memory, largest broker, the most", resident.map_or_else(dash, size)),
                ("memory, client, the most", size(cost.client_resident_bytes_max)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let known = |(_, value): &(String, String)| *value != dash();
        for (name, value) in rows.into_iter().filter(known) {
            table.row([name, value]);
        }
        match self.engine {
            Some(_) => table.lines(),
            None => format!("{}\n(more is known of nodes of its own: --demo)", table.lines()),
        }
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// A rate without a fraction, with thousands apart.
pub(super) fn whole(rate: f64) -> String {
    let nanos = Duration::try_from_secs_f64(rate / 1e9).unwrap_or_default().as_nanos();
    Count(u64::try_from(nanos).unwrap_or(u64::MAX)).to_string()
}
