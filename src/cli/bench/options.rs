//! What a benchmark can be told, and what it refuses.

use super::batch::{self, Batch};
use super::failover::Fault;
use super::nodes::NodesArgs;
use super::steady;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::span;
use crate::client::Acks;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use storage::batch::Compression;

/// A record holds its number and when it was to be sent, 28 digits.
pub(super) const RECORD_BYTES_MIN: usize = 32;
const RECORD_BYTES_MAX: usize = 1 << 20;
/// A batch of a raw request must fit into what a topic can be set to take, 8 MiB.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// What ready requests take in memory, over all producers.
const REQUESTS_BYTES_MAX: usize = 512 << 20;
/// A request holds so much of records unless it is told otherwise.
const BATCH_BYTES: usize = 64 << 10;
/// The longest a run takes, 24 hours: its timeline has a point for each second.
const SECONDS_MAX: u64 = 24 * 3600;
/// A batch above it needs `max.message.bytes`, whose default is a little above 1 MiB.
const USUAL_BATCH_BYTES: usize = 900 << 10;

/// What is written and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// Bytes of each record's value (32 to 1048576)
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    record_size: usize,
    /// What one request holds: a number of records (1000), or as many as fit into a size (64KiB)
    /// [default: 64KiB; with --path single: 1]
    #[arg(long, value_name = "RECORDS|SIZE")]
    batch: Option<Batch>,
    /// Partitions of the topic (1 to 1000)
    #[arg(long, short, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) partitions: u32,
    /// Replicas of each partition: 1, 3 or 5 [default: 3, or what the cluster has]
    #[arg(long, value_name = "N")]
    pub(super) replication_factor: Option<u32>,
    /// Producers, each with one request under way (1 to 1024)
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) producers: u32,
    /// When a request counts as done
    #[arg(long, value_enum, default_value = "quorum")]
    acks: AcksArg,
    /// When a replica counts a write as its own (`flush.policy` of the topic)
    #[arg(long, value_enum, default_value = "always")]
    pub(super) flush: Flush,
    /// Codec: of the batches with --path raw, else of the topic: none, gzip, snappy, lz4, zstd
    #[arg(long, short = 'z', value_name = "CODEC", default_value = "none")]
    compression: Compression,
    /// Records a second over all producers, sent when they are due whatever the answers do; latency
    /// counts from then [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) rate: Option<u64>,
    /// How records are written
    #[arg(long, value_enum, default_value = "raw")]
    pub(super) path: Path,
}

/// For how long.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct SpanArgs {
    /// How long is measured (1s to 24h)
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::parse)]
    pub(super) duration: Duration,
    /// How long before that is not
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span::parse)]
    pub(super) warm_up: Duration,
}

/// What is left behind.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
pub(super) struct ResultArgs {
    /// Also write the result as one page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Do not measure what this machine does without the cluster (up to 5 seconds)
    #[arg(long)]
    pub(super) no_roof: bool,
}

/// Options of `produce`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ProduceArgs {
    #[command(flatten)]
    pub(super) write: WriteArgs,
    /// For a long run: read and compare while it writes, and remove what was compared but for the last
    /// so many bytes of the topic (4GiB); on disk there are as many again, and a segment of each
    /// partition [default: everything is kept, and compared afterwards]
    #[arg(long, value_name = "SIZE", value_parser = batch::size, help_heading = "Run")]
    pub(super) keep: Option<u64>,
}

/// Options of whatever writes.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct WriteArgs {
    #[command(flatten)]
    pub(super) nodes: NodesArgs,
    #[command(flatten)]
    pub(super) load: LoadArgs,
    #[command(flatten)]
    pub(super) span: SpanArgs,
    #[command(flatten)]
    pub(super) result: ResultArgs,
}

/// Options of `e2e`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ReadArgs {
    #[command(flatten)]
    pub(super) write: WriteArgs,
    /// Consumers, which share the partitions (1 to 1024)
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(super) consumers: u32,
}

/// Options of `consume` and `mixed`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ScanArgs {
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Records that are written before, and read over and over (1 to 1000000000)
    #[arg(long, value_name = "N", default_value_t = 1_000_000, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) records: u64,
}

/// Options of `failover`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
After each fault the leader comes back, and the cluster gives it its partition back: that is the planned
transfer, whose gap is measured too.")]
pub(in crate::cli) struct FailoverArgs {
    /// Start three nodes in a temporary directory: leaders are killed, so nothing else will do
    #[arg(long, required = true)]
    demo: bool,
    /// Storage engine of these nodes: segment or sled [default: segment]
    #[arg(long, value_name = "ENGINE", value_parser = ["segment", "sled"])]
    pub(super) engine: Option<String>,
    /// How often each (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) times: u32,
    /// How the leader goes
    #[arg(
        long,
        visible_alias = "how",
        value_enum,
        value_delimiter = ',',
        default_value = "kill,terminate,pause"
    )]
    pub(super) fault: Vec<Fault>,
    /// Also write the result as one page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// Options of `idle`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct IdleArgs {
    /// Start three nodes in a temporary directory: it is their processes that are measured
    #[arg(long, required = true)]
    demo: bool,
    /// Storage engine of these nodes: segment or sled [default: segment]
    #[arg(long, value_name = "ENGINE", value_parser = ["segment", "sled"])]
    pub(super) engine: Option<String>,
    /// Partitions, each with three replicas (1 to 10000; 1000 a topic)
    #[arg(long, short, value_name = "N", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) partitions: u32,
    /// How long the nodes are watched
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span::parse)]
    pub(super) duration: Duration,
}

/// When a request counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcksArg {
    /// A majority of the replicas has it
    Quorum,
    /// The leader has it
    Leader,
    /// At once; it may be lost without a word
    None,
}

/// When a replica counts a write as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Flush {
    /// Once it is on disk
    Always,
    /// Once it is written; on disk within a second
    Interval,
    /// Once it is written; the operating system flushes
    Os,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Path {
    /// A ready `RecordBatch` to a partition, at its leader
    Raw,
    /// `{"records":[…]}` to the topic, through any broker
    Json,
    /// The same a line each
    Ndjson,
    /// JSON requests of one record
    Single,
}

/// The load, checked.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Load {
    pub(super) path: Path,
    pub(super) record_bytes: usize,
    pub(super) records_per_request: usize,
    pub(super) partitions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replication_factor: Option<u32>,
    pub(super) producers: u32,
    #[serde(serialize_with = "acks_name")]
    pub(super) acks: Acks,
    pub(super) flush: Flush,
    #[serde(serialize_with = "codec_name")]
    pub(super) compression: Compression,
    /// `None`: as fast as answers come.
    pub(super) records_per_second: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn acks_name<S: serde::Serializer>(acks: &Acks, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(acks.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn codec_name<S: serde::Serializer>(codec: &Compression, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(codec.name())
}

impl LoadArgs {
    /// What can be done of it; the refusal names the option and its bounds.
    pub(super) fn check(&self) -> Result<Load, Failure> {
        let refuse = |why: String| Err(Failure::new(Exit::Usage, why));
        let size = self.record_size;
        if !(RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&size) {
            return refuse(format!(
                "--record-size {size}: {RECORD_BYTES_MIN} to {RECORD_BYTES_MAX}"
            ));
        }
        let batch = match (self.path, self.batch) {
            (Path::Single, None) => Batch::Records(1),
            (Path::Single, Some(batch)) if batch.records(size) != 1 => {
                return refuse(format!("--batch {batch}: --path single is one record a request"));
            }
            (_, Some(batch)) => batch,
            (Path::Raw | Path::Json | Path::Ndjson, None) => Batch::Bytes(BATCH_BYTES),
        };
        let records = batch.records(size);
        let bytes = records.saturating_mul(size);
        if bytes > BATCH_BYTES_MAX {
            return refuse(format!(
                "--batch {batch} × --record-size {size} is {bytes} B: at most {BATCH_BYTES_MAX}"
            ));
        }
        let producers = usize::try_from(self.producers).expect("at most 1024");
        if bytes * producers > REQUESTS_BYTES_MAX {
            return refuse(format!(
                "--producers {producers} × {bytes} B a request: at most {REQUESTS_BYTES_MAX} B in all"
            ));
        }
        if let Some(replicas @ (0 | 2 | 4 | 6..)) = self.replication_factor {
            return refuse(format!("--replication-factor {replicas}: 1, 3 or 5"));
        }
        Ok(Load {
            path: self.path,
            record_bytes: size,
            records_per_request: records,
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            producers: self.producers,
            acks: self.acks.acks(),
            flush: self.flush,
            compression: self.compression,
            records_per_second: self.rate,
        })
    }
}

impl Load {
    /// One record at a time into one partition.
    pub(super) fn one_record() -> Self {
        Self {
            path: Path::Raw,
            record_bytes: steady::RECORD_BYTES,
            records_per_request: 1,
            partitions: 1,
            replication_factor: None,
            producers: 1,
            acks: Acks::Quorum,
            flush: Flush::Always,
            compression: Compression::None,
            records_per_second: None,
        }
    }

    /// Bytes of values in one request.
    pub(super) fn request_bytes(&self) -> usize {
        self.record_bytes * self.records_per_request
    }

    /// The topic's settings that differ from the default.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("flush.policy", self.flush.name().to_owned())];
        if self.compression != Compression::None && self.path != Path::Raw {
            settings.push(("compression.type", self.compression.name().to_owned()));
        }
        if self.request_bytes() > USUAL_BATCH_BYTES {
            settings.push(("max.message.bytes", (8 << 20).to_string()));
        }
        settings
    }
}

impl SpanArgs {
    /// Within bounds.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let seconds = self.duration.as_secs();
        if !(1..=SECONDS_MAX).contains(&seconds) || self.warm_up.as_secs() > SECONDS_MAX {
            let why = "--duration is 1s to 24h, --warm-up 0s to 24h";
            return Err(Failure::new(Exit::Usage, why));
        }
        Ok(())
    }
}

impl AcksArg {
    const fn acks(self) -> Acks {
        match self {
            Self::Quorum => Acks::Quorum,
            Self::Leader => Acks::Leader,
            Self::None => Acks::None,
        }
    }
}

impl Flush {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Interval => "interval",
            Self::Os => "os",
        }
    }
}

impl Path {
    /// As it is said on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Single => "single",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn check(line: &str) -> Result<Load, Failure> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().load.check()
    }

    #[test]
    fn a_request_holds_what_was_asked_for() {
        for (line, records) in [
            ("", 655),
            ("--path single", 1),
            ("--batch 1000", 1000),
            ("--batch 1MiB --record-size 1024", 1024),
            ("--batch 10B", 1),
        ] {
            assert_eq!(check(line).unwrap().records_per_request, records, "{line}");
        }
    }

    #[test]
    fn a_refusal_names_the_option_and_its_bounds() {
        for (line, told) in [
            ("--record-size 31", "--record-size 31: 32 to 1048576"),
            ("--path single --batch 2", "--batch 2: --path single is one record a request"),
            ("--batch 5MiB", "at most 4194304"),
            ("--batch 4MiB --record-size 1024 --producers 129", "at most 536870912 B in all"),
            ("--replication-factor 2", "--replication-factor 2: 1, 3 or 5"),
        ] {
            let failure = check(line).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains(told), "{line}: {}", failure.message);
        }
    }
}
