//! `jepsen check`: judges a history; `jepsen imagine`: writes one that no cluster made.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use jepsen::check::{Summary, Verdict};
use jepsen::history::{Reader, Writer, edn};
use jepsen::index::Index;
use jepsen::model::{self, Shape, Workload};
use jepsen::report::{Excerpt, Failovers, Report};

use super::{UNKNOWN, failed, say};

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines for a person
    Text,
    /// The summary as JSON
    Json,
}

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The history, as newline-delimited JSON
    history: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write it as `jepsen.tests.kafka` reads it, for a second verdict
    #[arg(long, value_name = "FILE")]
    edn: Option<PathBuf>,
    /// Write the report, one self-contained page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the result for a build server
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print how long it took and how much memory at most
    #[arg(long)]
    measure: bool,
}

/// What `imagine` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Imagine {
    /// Where to write it
    history: PathBuf,
    /// All choices follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many operations
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// What clients do: log, idempotent, group, compacted
    #[arg(long, default_value = "log", value_parser = workload)]
    workload: Workload,
    /// Operations between two faults; 0 for none
    #[arg(long, default_value_t = 2_000)]
    fault_every: u64,
    /// Spoil it with the n-th mutation
    #[arg(long, value_name = "N")]
    mutation: Option<usize>,
}

fn workload(word: &str) -> Result<Workload, String> {
    match word {
        "log" => Ok(Workload::Log),
        "idempotent" => Ok(Workload::Idempotent),
        "group" => Ok(Workload::Group),
        "compacted" => Ok(Workload::Compacted),
        other => Err(format!("no workload {other}")),
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match judge(arguments) {
        Ok(Verdict::Valid) => ExitCode::SUCCESS,
        Ok(Verdict::Invalid) => ExitCode::FAILURE,
        Ok(Verdict::Unknown) => ExitCode::from(UNKNOWN),
        Err(error) => failed(error),
    }
}

fn open(history: &Path) -> Result<Reader<BufReader<File>>, Box<dyn Error>> {
    let file = File::open(history).map_err(|error| format!("{}: {error}", history.display()))?;
    let reader = Reader::open(BufReader::with_capacity(1 << 20, file));
    Ok(reader.map_err(|error| format!("{}: {error}", history.display()))?)
}

impl Arguments {
    /// What is written after a run, beside its history.
    pub(crate) fn of_run(history: &Path) -> Self {
        Self {
            history: history.to_owned(),
            format: Format::Text,
            edn: None,
            html: Some(history.with_file_name("report.html")),
            junit: Some(history.with_file_name("junit.xml")),
            json: Some(history.with_file_name("summary.json")),
            measure: false,
        }
    }
}

pub(crate) fn judge(arguments: &Arguments) -> Result<Verdict, Box<dyn Error>> {
    let began = Instant::now();
    let index = Index::read(open(&arguments.history)?)
        .map_err(|error| format!("{}: {error}", arguments.history.display()))?;
    let summary = jepsen::check::check(&index);
    let seconds = began.elapsed().as_secs_f64();
    // A second pass for the lines around the anomalies: the index keeps none.
    let excerpt = Excerpt::read(&summary, open(&arguments.history)?)?;
    let report = Report { index: &index, summary: &summary, excerpt: &excerpt };
    match arguments.format {
        Format::Text => tell(&index, &summary),
        Format::Json => say(report.json()?),
    }
    if arguments.measure {
        let operations = index.ops.len();
        let peak = peak_bytes().map_or("unknown".to_owned(), |kib| format!("{} MiB", kib / 1024));
        say(format_args!("{operations} operations in {seconds:.2} s, at most {peak} of memory"));
    }
    if let Some(to) = &arguments.edn {
        let to = BufWriter::new(File::create(to)?);
        edn::export(open(&arguments.history)?, &summary.original_names(), to)?;
    }
    if let Some(to) = &arguments.html {
        std::fs::write(to, report.html())?;
    }
    if let Some(to) = &arguments.json {
        std::fs::write(to, report.json()?)?;
    }
    if let Some(to) = &arguments.junit {
        std::fs::write(to, report.junit())?;
    }
    Ok(summary.verdict)
}

fn tell(index: &Index, summary: &Summary) {
    let header = &index.header;
    say(format_args!("{}: {} events, {:.1} s", summary.verdict, summary.events, summary.seconds));
    say(format_args!("acknowledged {}, lost {}", summary.acknowledged, summary.lost));
    if summary.fenced > 0 {
        say(format_args!("  {} writes of producers' older epochs were refused", summary.fenced));
    }
    if summary.compacted_away > 0 {
        say(format_args!("  {} records were compacted away", summary.compacted_away));
    }
    for reason in &summary.reasons {
        say(format_args!("  unproved: {reason}"));
    }
    for (name, coverage) in &summary.faults {
        let (injected, effective) = (coverage.injected, coverage.effective);
        say(format_args!("  fault {name}: {injected} injected, {effective} with effect"));
    }
    for (name, waits) in &Failovers::of(index).by_fault {
        say(format_args!("  failover after {name}: {waits}"));
    }
    for (name, count) in &summary.allowed {
        say(format_args!("  allowed {name}: {count}"));
    }
    for (name, count) in &summary.anomalies {
        say(format_args!("  {name}: {count} ({})", name.meaning()));
        for anomaly in summary.shown.iter().filter(|anomaly| anomaly.name == *name).take(3) {
            let key = anomaly.key.map_or_else(String::new, |key| header.name_of(key) + ": ");
            say(format_args!("    {key}{} (events {:?})", anomaly.what, anomaly.events));
        }
    }
}

/// The most memory this process ever had, in KiB.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

pub(crate) fn imagine(arguments: &Imagine) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    }
}

fn write(arguments: &Imagine) -> Result<(), Box<dyn Error>> {
    let shape = Shape {
        seed: arguments.seed,
        operations: arguments.operations,
        keys: 6,
        clients: 10,
        workload: arguments.workload,
        fault_every: arguments.fault_every,
        replicas: 3,
    };
    let out = BufWriter::with_capacity(1 << 20, File::create(&arguments.history)?);
    let mut writer = Writer::begin(out, &model::header(&shape))?;
    let mut result = Ok(());
    if let Some(nth) = arguments.mutation {
        let mutation = model::mutation::MUTATIONS.get(nth).ok_or("no such mutation")?;
        let mut events = model::events(&shape);
        if !mutation.apply(&mut events) {
            return Err(format!("no place for it: {}", mutation.what).into());
        }
        say(format_args!("{}: to be found as {}", mutation.what, mutation.name));
        events.iter_mut().try_for_each(|event| writer.append(event))?;
    } else {
        model::run(&shape, &mut |mut event| {
            if result.is_ok() {
                result = writer.append(&mut event);
            }
        });
    }
    result?;
    writer.finish()?;
    Ok(())
}
