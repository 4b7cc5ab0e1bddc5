//! What a cluster of three nodes on this machine does, against what the machine itself does.
//!
//! ```text
//! cargo bench --bench produce                          records/s, MB/s, latency, CPU (about a minute)
//! cargo bench --bench produce -- idle                  300 partitions × 3 replicas at rest
//! cargo bench --bench produce -- failover              kill -9 of a leader, ten times: the gap
//! cargo bench --bench produce -- --only json-keys --seconds 20 --format json
//! TMPDIR=/mnt/data cargo bench --bench produce         another file system
//! ```
//!
//! Three real `ottla` processes of the same build, replication 3, everything else at its default: an
//! answer means that a majority has the records on disk. The clients are in this process; nodes and
//! clients share the machine's cores, and the three copies share its disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::struct_field_names,
    clippy::disallowed_methods,
    clippy::allow_attributes_without_reason,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark fails by panicking, and its numbers are small"
)]

mod cell;
mod connection;
mod consume;
mod drive;
mod failover;
#[path = "../../tests/harness/mod.rs"]
#[allow(clippy::pedantic, clippy::wildcard_enum_match_arm, reason = "the tests' own")]
mod harness;
mod idle;
mod process;
mod report;
mod roof;

use clap::{Parser, ValueEnum};
use harness::{Cluster, Options};
use report::Table;
use std::time::Duration;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Produce,
    Idle,
    Failover,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Measures a cluster of three nodes on this machine.
#[derive(Parser)]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::Produce)]
    what: What,
    /// How the results are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How long each cell of `produce` is measured.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only this cell of `produce`.
    #[arg(long)]
    only: Option<String>,
    /// The nodes' engine.
    #[arg(long, default_value = "segment", value_parser = ["segment", "sled"])]
    engine: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    // `cargo test --benches` runs this too, to see that it starts.
    if !args.bench {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let table = runtime.block_on(measure(&args));
    match args.format {
        Format::Table => table.print(),
        Format::Json => table.print_json(),
    }
}

async fn measure(args: &Args) -> Table {
    let engine = if args.engine == "sled" { "sled" } else { "segment" };
    match args.what {
        What::Produce => {
            let window = Duration::from_secs(args.seconds);
            let mut lines = Vec::new();
            for cell in cell::all() {
                if args.only.as_ref().is_none_or(|only| only == cell.name) {
                    // A cluster each: what one cell left behind is no other's burden.
                    let cluster = Cluster::start(Options::three(engine)).await;
                    lines.push(cell.measure(&cluster, window).await);
                }
            }
            report::produce(&lines)
        }
        What::Idle => report::idle(&idle::measure(Options::three(engine)).await),
        What::Failover => report::failover(&failover::measure(Options::three(engine)).await),
    }
}
