//! `jepsen sabotage`: plants bugs, and fails unless every one of them is found.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use jepsen::doctor::{Findings, Need};
use jepsen::environment;
use jepsen::fault::Kind;
use jepsen::sabotage::{Catch, Ground, Hunt, TRIALS, Table, Trial};
use jepsen::workload::Workload;
use rand::Rng;
use storage::sabotage::Bug;

use super::check::Format;
use super::run::seconds;
use super::{failed, say};

/// Where cargo builds the server with the bugs in it: beside the one without, never over it.
const TARGET: &str = "target/sabotage";

/// Stands for the controls where bugs are named.
const CONTROL: &str = "control";

/// What `sabotage` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these bugs, with commas, and no controls unless `control` is among them; all if missing
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// How long a bug is hunted, in seconds: the run that is under way then is the last
    #[arg(long, default_value = "120", value_parser = seconds)]
    time: Duration,
    /// What to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The server's binary, built with the feature `sabotage`; built with cargo if missing
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Where histories and logs go
    #[arg(long, value_name = "DIR", default_value = "target/jepsen/sabotage")]
    dir: PathBuf,
    /// The first seed; drawn if missing
    #[arg(long)]
    seed: Option<u64>,
    /// List the bugs, and do nothing
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.list {
        for bug in Bug::ALL {
            say(format_args!("{:<22} {}", bug.name(), bug.about()));
        }
        return ExitCode::SUCCESS;
    }
    match hunt(arguments) {
        Ok(table) => {
            match arguments.format {
                Format::Text => say(&table),
                Format::Json => match serde_json::to_string_pretty(&table) {
                    Ok(text) => say(text),
                    Err(error) => return failed(error),
                },
            }
            if table.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failed(error),
    }
}

fn hunt(arguments: &Arguments) -> io::Result<Table> {
    let trials = wanted(&arguments.only)?;
    let (environment, possible) = possible()?;
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    let ground = Ground {
        environment,
        possible,
        binary: std::path::absolute(binary)?,
        janitor: std::env::current_exe()?,
        dir: std::path::absolute(&arguments.dir)?,
        engine: "segment".to_owned(),
        seed: arguments.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>())),
    };
    let all: Vec<&Trial> = TRIALS.iter().collect();
    let workloads = [Workload::Log, Workload::Idempotent, Workload::Group];
    let controls = workloads.into_iter().map(|workload| Hunt::Control(workload, &all));
    let bugs = trials.into_iter().map(Hunt::Bug);
    let controlled = arguments.only.is_empty() || arguments.only.iter().any(|it| it == CONTROL);
    let mut table = Table::default();
    for hunt in controls.filter(|_| controlled).chain(bugs) {
        let catch = hunt.go(&ground, arguments.time);
        tell(&catch);
        table.catches.push(catch);
    }
    Ok(table)
}

/// A row as soon as there is one; on standard error, since the table comes on standard output.
fn tell(catch: &Catch) {
    use io::Write;
    drop(writeln!(io::stderr(), "{catch}\n    seed {}: {}", catch.seed, catch.words));
}

/// The strongest environment there is, and what can be done in it to three nodes.
fn possible() -> io::Result<(environment::Kind, Vec<Kind>)> {
    let dir = std::env::temp_dir().join(format!("jepsen-doctor-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(Findings::gather(&std::env::current_exe()?, &dir));
    std::fs::remove_dir_all(&dir)?;
    let findings = findings?;
    let ground = findings.best();
    let lacks = |need: Need| match need {
        Need::FiveNodes => true,
        // Who needs groups is in a trial of them.
        Need::Segments | Need::Groups => false,
        Need::Packets | Need::Volumes if ground == environment::Kind::Loopback => true,
        machine @ (Need::Packets | Need::Volumes | Need::Tampering | Need::Clock) => {
            findings.missing(machine).is_some()
        }
    };
    let kinds = Kind::ALL.iter().copied();
    Ok((ground, kinds.filter(|kind| !kind.needs().iter().copied().any(lacks)).collect()))
}

fn wanted(names: &[String]) -> io::Result<Vec<&'static Trial>> {
    if names.is_empty() {
        return Ok(TRIALS.iter().collect());
    }
    let trial = |name: &String| {
        let trial = Bug::named(name).and_then(Trial::of);
        trial.ok_or_else(|| io::Error::other(format!("no planted bug {name:?}; see --list")))
    };
    names.iter().filter(|name| *name != CONTROL).map(trial).collect()
}

/// The server with all bugs in it, all of them asleep. Never in the directory of the one that is used.
fn build() -> io::Result<PathBuf> {
    let release = !cfg!(debug_assertions);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--workspace", "--bin", "ottla", "--features", "sabotage", "--quiet"]);
    command.args(["--target-dir", TARGET]);
    if release {
        command.arg("--release");
    }
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cargo build ended with {status}")));
    }
    Ok(PathBuf::from(TARGET).join(if release { "release" } else { "debug" }).join("ottla"))
}
