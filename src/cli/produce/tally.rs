//! How far a run is, and what it came to.

use crate::cli::output::Output;
use crate::cli::size::{Count, Size, rate, whole_rate};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io;
use tokio::time::Instant;

/// What was acknowledged so far.
pub(super) struct Tally {
    records: u64,
    bytes: u64,
    batches: u64,
    begun: Instant,
    bar: ProgressBar,
}

/// The end of it, for programs.
#[derive(Serialize)]
struct Summary {
    records: u64,
    bytes: u64,
    batches: u64,
    seconds: f64,
    records_per_second: f64,
}

impl Tally {
    /// Nothing yet. A bar is shown to people who send a file.
    pub(super) fn new(file_bytes: Option<u64>, output: &Output) -> Self {
        let bar = match file_bytes {
            Some(bytes) if output.shows_progress() => {
                let style = "{bar:40} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {msg}";
                ProgressBar::new(bytes)
                    .with_style(ProgressStyle::with_template(style).expect("a fixed template"))
            }
            Some(_) | None => ProgressBar::hidden(),
        };
        Self { records: 0, bytes: 0, batches: 0, begun: Instant::now(), bar }
    }

    /// So many bytes of the file were read.
    pub(super) fn read(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// A batch was acknowledged.
    pub(super) fn appended(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.batches += 1;
        self.bar.set_message(format!("{} records", Count(self.records)));
    }

    /// Tells what it came to.
    pub(super) fn tell(&self, output: &mut Output) -> io::Result<()> {
        self.bar.finish_and_clear();
        let elapsed = self.begun.elapsed();
        let summary = Summary {
            records: self.records,
            bytes: self.bytes,
            batches: self.batches,
            seconds: elapsed.as_secs_f64(),
            records_per_second: rate(self.records, elapsed).round(),
        };
        output.result(&summary, |summary| {
            format!(
                "produced {} records ({}) in {:.3} s: {} records/s",
                Count(summary.records),
                Size(summary.bytes),
                summary.seconds,
                whole_rate(summary.records, elapsed),
            )
        })
    }
}
