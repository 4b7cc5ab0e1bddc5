//! How far a run is, and what it came to.

use super::lane::Report;
use crate::cli::failure::Failure;
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
    unsent: u64,
    begun: Instant,
    bar: ProgressBar,
}

/// The end of it, for programs.
#[derive(Serialize)]
struct Summary {
    records: u64,
    bytes: u64,
    batches: u64,
    unsent: u64,
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
        Self { records: 0, bytes: 0, batches: 0, unsent: 0, begun: Instant::now(), bar }
    }

    /// So many bytes of the file were read.
    pub(super) fn read(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Counts what became of a batch; gives back a failure.
    pub(super) fn take(&mut self, report: Report) -> Result<(), Failure> {
        match report {
            Report::Appended { records, bytes } => self.appended(records, bytes),
            Report::Unsent { records } => self.unsent(records),
            Report::Failed(failure) => return Err(failure),
        }
        Ok(())
    }

    fn appended(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.batches += 1;
        self.bar.set_message(format!("{} records", Count(self.records)));
    }

    /// Records were read, but not sent since something before them failed.
    pub(super) fn unsent(&mut self, records: u64) {
        self.unsent += records;
    }

    /// Tells what it came to.
    pub(super) fn tell(&self, output: &mut Output) -> io::Result<()> {
        self.bar.finish_and_clear();
        let elapsed = self.begun.elapsed();
        let summary = Summary {
            records: self.records,
            bytes: self.bytes,
            batches: self.batches,
            unsent: self.unsent,
            seconds: elapsed.as_secs_f64(),
            records_per_second: rate(self.records, elapsed).round(),
        };
        output.result(&summary, |summary| {
            let unsent = match summary.unsent {
                0 => String::new(),
                records => format!("; {} more were read, but not sent", Count(records)),
            };
            format!(
                "produced {} records ({}) in {:.3} s: {} records/s{unsent}",
                Count(summary.records),
                Size(summary.bytes),
                summary.seconds,
                whole_rate(summary.records, elapsed),
            )
        })
    }
}
