//! Runs of one trial, each with a new seed, until the bug is found or its time is over.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use storage::sabotage::VARIABLE;

use super::trial::{LOAD, Sign, Trial};
use crate::check::{Summary, Verdict, check};
use crate::environment::Kind;
use crate::fault;
use crate::history::Reader;
use crate::index::Index;
use crate::run::{Schedule, Settings, run};
use crate::workload::Workload;

/// Clients of a run.
const CLIENTS: u32 = 8;
/// Operations a second that they begin at most.
const RATE: u32 = 250;

/// Where all hunts take place.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The environment.
    pub environment: Kind,
    /// What can be done there.
    pub possible: Vec<fault::Kind>,
    /// The server, built with the bugs in it.
    pub binary: PathBuf,
    /// This crate's own, for the janitor.
    pub janitor: PathBuf,
    /// Where histories and logs go.
    pub dir: PathBuf,
    /// The storage engine.
    pub engine: String,
    /// The first seed; each run has the next.
    pub seed: u64,
}

/// What is hunted.
#[derive(Clone, Copy, Debug)]
pub enum Hunt<'a> {
    /// The bug of a trial.
    Bug(&'a Trial),
    /// Nothing: all that the trials of a workload do, with no bug awake.
    Control(Workload, &'a [&'a Trial]),
}

/// What came of a hunt.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Catch {
    /// The bug's name, or the control's.
    pub name: String,
    /// Whether it came out as it has to: a bug found under one of its names, a control valid.
    pub good: bool,
    /// What was done to the cluster, each once.
    pub faults: Vec<&'static str>,
    /// What the last run was found to be, each sign once; of a bug those that it has to be found as first.
    pub signs: Vec<String>,
    /// The first of these in words; or why nothing can be said.
    pub words: String,
    /// Runs that it took.
    pub runs: u32,
    /// Seconds, all runs together, building the cluster and reading everything back included.
    pub seconds: f64,
    /// The seed of the last run.
    pub seed: u64,
}

/// What a run was found to be.
struct Finding {
    verdict: Verdict,
    signs: Vec<(Sign, String)>,
    reasons: Vec<String>,
}

impl Hunt<'_> {
    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Bug(trial) => trial.bug.name().to_owned(),
            Self::Control(workload, _) => format!("control ({workload})"),
        }
    }

    fn schedule(&self, seed: u64) -> Schedule {
        match self {
            Self::Bug(trial) => trial.schedule(seed),
            Self::Control(workload, trials) => Trial::control(*workload, trials, seed),
        }
    }

    /// Hunts for so long, to the end of the run that is under way then.
    pub fn go(&self, ground: &Ground, time: Duration) -> Catch {
        let began = Instant::now();
        let kinds = self.schedule(0).kinds();
        let mut last = Catch {
            name: self.name(),
            good: false,
            faults: kinds.iter().map(|kind| kind.name()).collect(),
            signs: Vec::new(),
            words: String::new(),
            runs: 0,
            seconds: 0.0,
            seed: ground.seed,
        };
        if let Some(lacking) = kinds.iter().find(|kind| !ground.possible.contains(kind)) {
            last.words = format!("{lacking} is not possible here");
            return last;
        }
        loop {
            last.runs += 1;
            let found = self.run(ground, last.seed);
            last.seconds = began.elapsed().as_secs_f64();
            self.note(found, &mut last);
            // A control has one try: what is right is right the first time.
            let is_over = began.elapsed() >= time || matches!(self, Self::Control(..));
            if last.good || is_over {
                return last;
            }
            last.seed = last.seed.wrapping_add(1);
        }
    }

    fn note(&self, found: io::Result<Finding>, last: &mut Catch) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                last.words = format!("the harness failed: {error}");
                return;
            }
        };
        let mut signs = found.signs;
        last.good = match self {
            Self::Bug(trial) => {
                signs.sort_by_key(|(sign, _)| !trial.signs.contains(sign));
                signs.first().is_some_and(|(sign, _)| trial.signs.contains(sign))
            }
            Self::Control(..) => signs.is_empty() && found.verdict == Verdict::Valid,
        };
        last.signs = signs.iter().map(|(sign, _)| sign.to_string()).collect();
        last.words = match signs.into_iter().next() {
            Some((_, words)) => words,
            None => format!("{}: {}", found.verdict, found.reasons.join("; ")),
        };
    }

    fn run(&self, ground: &Ground, seed: u64) -> io::Result<Finding> {
        let nothing: &[&str] = &[];
        let (workload, partitions, flags, variables, load) = match self {
            Self::Bug(trial) => {
                let planted = (VARIABLE.to_owned(), trial.bug.name().to_owned());
                (trial.workload, trial.partitions, trial.flags, vec![planted], trial.load)
            }
            Self::Control(workload, _) => (*workload, 4, nothing, Vec::new(), LOAD),
        };
        let schedule = self.schedule(seed);
        let folder = format!("{}-{seed}", self.name().replace([' ', '(', ')'], ""));
        let ended = run(&Settings {
            seed,
            time: Duration::from_secs(load),
            workload,
            nodes: 3,
            environment: ground.environment,
            engine: ground.engine.clone(),
            binary: ground.binary.clone(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            variables,
            janitor: ground.janitor.clone(),
            dir: ground.dir.join(folder),
            partitions,
            clients: CLIENTS,
            rate: RATE,
            required: schedule.kinds(),
            schedule,
        })?;
        let summary = judged(&ended.history)?;
        let lasting = ended.lasting.into_iter().map(|why| (Sign::DoesNotHeal, why));
        let anomalies = summary.anomalies.keys().map(|name| {
            let first = summary.shown.iter().find(|anomaly| anomaly.name == *name);
            let words = first.map_or_else(String::new, |anomaly| anomaly.what.clone());
            (Sign::Anomaly(*name), words)
        });
        let signs = anomalies.chain(lasting.take(1)).collect();
        Ok(Finding { verdict: summary.verdict, signs, reasons: summary.reasons })
    }
}

fn judged(history: &Path) -> io::Result<Summary> {
    let reader = Reader::open(BufReader::new(File::open(history)?)).map_err(io::Error::other)?;
    Ok(check(&Index::read(reader).map_err(io::Error::other)?))
}
