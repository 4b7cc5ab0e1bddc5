//! `jepsen run`, `jepsen replay` and `jepsen scenario`: all are a schedule that is carried out.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rand::Rng;

use jepsen::check::Verdict;
use jepsen::doctor::{Findings, Need};
use jepsen::environment::Kind as Ground;
use jepsen::fault::Kind;
use jepsen::run::{Ended, Profile, SCENARIOS, Scenario, Schedule, Settings, run};

use jepsen::workload::Workload;

use super::{UNKNOWN, check, failed, say};

/// What every run takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// All choices follow from it; drawn if missing
    #[arg(long)]
    seed: Option<u64>,
    /// How long the load lasts, in seconds (`150` or `150s`)
    #[arg(long, value_parser = seconds)]
    time: Option<Duration>,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,
    /// What the clients do
    #[arg(long, value_enum, default_value = "log")]
    workload: Workload,
    /// The storage engine
    #[arg(long, default_value = "segment", value_parser = ["segment", "sled"])]
    engine: String,
    /// Where the cluster lives: `namespaces` or `loopback`; the strongest possible one if missing
    #[arg(long, value_parser = ground)]
    environment: Option<Ground>,
    /// The server's binary; built with cargo if missing
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Where history, schedule and logs go
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many partitions
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// How many clients
    #[arg(long, default_value_t = 12)]
    clients: u32,
    /// How many operations a second they begin, at most
    #[arg(long, default_value_t = 250)]
    rate: u32,
}

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    common: Common,
    /// A run that has a name
    #[arg(long, value_enum, conflicts_with = "faults")]
    profile: Option<Profile>,
    /// Of a profile, only what this machine allows; without it the run proves nothing if something is missing
    #[arg(long, requires = "profile")]
    possible: bool,
    /// Faults or classes of them, with commas; all that are possible if missing, `none` for none
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
}

/// What `replay` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    common: Common,
    /// The `schedule.json` that a run left
    #[arg(long, value_name = "FILE")]
    schedule: PathBuf,
}

/// What `scenario` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ScenarioArguments {
    #[command(flatten)]
    common: Common,
    /// Which one; all are listed if missing
    name: Option<String>,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    number
        .parse()
        .map(Duration::from_secs)
        .map_err(|error| format!("{text:?} is no number of seconds: {error}"))
}

fn ground(text: &str) -> Result<Ground, String> {
    let found =
        [Ground::Namespaces, Ground::Loopback].into_iter().find(|it| it.to_string() == text);
    found.ok_or_else(|| "namespaces and loopback are possible".to_owned())
}

/// What this machine and these settings allow.
struct Possible {
    ground: Ground,
    kinds: Vec<Kind>,
}

impl Common {
    fn possible(&self) -> io::Result<Possible> {
        let dir = std::env::temp_dir().join(format!("jepsen-doctor-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let findings = runtime.block_on(Findings::gather(&std::env::current_exe()?, &dir));
        std::fs::remove_dir_all(&dir)?;
        let findings = findings?;
        let ground = self.environment.unwrap_or_else(|| findings.best());
        let lacks = |need: Need| match need {
            Need::FiveNodes => self.nodes < 5,
            Need::Segments => self.engine != "segment",
            Need::Groups => self.workload != Workload::Group,
            Need::Packets | Need::Volumes if ground == Ground::Loopback => true,
            machine @ (Need::Packets | Need::Volumes | Need::Tampering | Need::Clock) => {
                findings.missing(machine).is_some()
            }
        };
        let allowed = |kind: &Kind| !kind.needs().iter().copied().any(lacks);
        let (kinds, impossible): (Vec<Kind>, Vec<Kind>) =
            Kind::ALL.iter().copied().partition(allowed);
        for kind in impossible {
            let needs: Vec<&str> = kind.needs().iter().map(|need| need.name()).collect();
            say(format_args!("not possible here: {kind} (needs {})", needs.join(" and ")));
        }
        Ok(Possible { ground, kinds })
    }

    fn settings(
        self,
        ground: Ground,
        seed: u64,
        time: Duration,
        schedule: Schedule,
    ) -> io::Result<Settings> {
        let binary = match self.binary {
            Some(binary) => binary,
            None => build()?,
        };
        let named = PathBuf::from(format!("target/jepsen/{seed}-{}", self.engine));
        Ok(Settings {
            seed,
            time,
            workload: self.workload,
            nodes: self.nodes,
            environment: ground,
            engine: self.engine,
            binary,
            flags: Vec::new(),
            variables: Vec::new(),
            janitor: std::env::current_exe()?,
            dir: std::path::absolute(self.dir.unwrap_or(named))?,
            partitions: self.partitions,
            clients: self.clients,
            rate: self.rate,
            // A play, and what is replayed one by one, must come whole.
            required: if schedule.one_by_one { schedule.kinds() } else { Vec::new() },
            schedule,
        })
    }

    fn seed(&self) -> u64 {
        // Short enough to be typed.
        self.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()))
    }
}

/// The server, built in this command's own profile.
fn build() -> io::Result<PathBuf> {
    let release = !cfg!(debug_assertions);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--workspace", "--bin", "ottla", "--quiet"]);
    if release {
        command.arg("--release");
    }
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cargo build ended with {status}")));
    }
    let me = std::env::current_exe()?;
    Ok(me.with_file_name("ottla"))
}

pub(crate) fn run_command(arguments: RunArguments) -> ExitCode {
    let RunArguments { common, profile, possible: only_possible, faults } = arguments;
    let seed = common.seed();
    let settings = common.possible().and_then(|possible| {
        let time = common.time.or(profile.map(Profile::time)).unwrap_or(Duration::from_secs(150));
        let schedule = match profile {
            Some(profile) if !profile.demands().is_empty() => {
                Schedule::of_profile(profile, seed, time, &possible.kinds)
            }
            _ => {
                let minority = u32::from(common.nodes.saturating_sub(1) / 2);
                Schedule::random(seed, time, &wanted(&faults, &possible.kinds)?, minority)
            }
        };
        let mut settings = common.settings(possible.ground, seed, time, schedule)?;
        settings.required = match profile {
            Some(profile) if !only_possible => {
                let demands = profile.demands().iter().copied();
                demands
                    .filter(|kind| possible.kinds.contains(kind) || is_of_machine(*kind))
                    .collect()
            }
            Some(_) => settings.schedule.kinds(),
            // Of random strikes that overlap, some find no target.
            None => Vec::new(),
        };
        settings.required.sort_unstable();
        settings.required.dedup();
        Ok(settings)
    });
    carry_out(settings)
}

/// Whether another machine might allow it, with the same workload, nodes and engine.
fn is_of_machine(kind: Kind) -> bool {
    kind.needs().iter().all(|need| need.is_of_machine())
}

fn wanted(faults: &[String], possible: &[Kind]) -> io::Result<Vec<Kind>> {
    if faults.is_empty() {
        return Ok(possible.to_vec());
    }
    let mut kinds = Vec::new();
    for name in faults.iter().filter(|name| *name != "none") {
        kinds.extend(Kind::named(name).map_err(io::Error::other)?);
    }
    kinds.retain(|kind| possible.contains(kind));
    Ok(kinds)
}

pub(crate) fn replay(arguments: ReplayArguments) -> ExitCode {
    let ReplayArguments { common, schedule } = arguments;
    let seed = common.seed();
    let settings = common.possible().and_then(|possible| {
        let schedule = Schedule::read(&schedule)?;
        let time = common.time.unwrap_or(Duration::ZERO);
        common.settings(possible.ground, seed, time, schedule)
    });
    carry_out(settings)
}

pub(crate) fn scenario(arguments: ScenarioArguments) -> ExitCode {
    let ScenarioArguments { common, name } = arguments;
    let Some(name) = name else {
        for scenario in SCENARIOS {
            say(format_args!("{:<18} {}", scenario.name, scenario.about));
        }
        return ExitCode::SUCCESS;
    };
    let seed = common.seed();
    let settings = common.possible().and_then(|possible| {
        let scenario = Scenario::named(&name).map_err(io::Error::other)?;
        let schedule = scenario.schedule(seed);
        let kinds = schedule.kinds();
        if let Some(lacking) = kinds.iter().find(|kind| !possible.kinds.contains(kind)) {
            return Err(io::Error::other(format!("{lacking} is not possible here")));
        }
        let time = common.time.unwrap_or(Duration::ZERO);
        common.settings(possible.ground, seed, time, schedule)
    });
    carry_out(settings)
}

fn carry_out(settings: io::Result<Settings>) -> ExitCode {
    let ended = settings.and_then(|settings| {
        say(format_args!(
            "seed {}, {} nodes on {}, engine {}, {} strikes; {}",
            settings.seed,
            settings.nodes,
            settings.environment,
            settings.engine,
            settings.schedule.strikes.len(),
            settings.dir.display()
        ));
        run(&settings)
    });
    match ended {
        Ok(ended) => judge(&ended),
        Err(error) => failed(error),
    }
}

/// What did not heal fails a run whatever its history says.
fn judge(ended: &Ended) -> ExitCode {
    let verdict = check::judge(&check::Arguments::of_run(&ended.history));
    say(format_args!("history, report and logs: {}", ended.history.with_file_name("").display()));
    for why in &ended.lasting {
        say(format_args!("did not heal: {why}"));
    }
    match verdict {
        Ok(_) if !ended.lasting.is_empty() => ExitCode::FAILURE,
        Ok(Verdict::Valid) => ExitCode::SUCCESS,
        Ok(Verdict::Invalid) => ExitCode::FAILURE,
        Ok(Verdict::Unknown) => ExitCode::from(UNKNOWN),
        Err(error) => failed(error),
    }
}
