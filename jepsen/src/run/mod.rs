//! A run: a cluster, clients, a schedule of harm, the finale; and the history of it all.
//!
//! ```text
//!   environment ─▶ cluster ─▶ topic ─┬─ workload ────────────┐
//!                                    ├─ schedule of strikes ─┼─▶ finale ─▶ history on disk
//!                                    └─ observer ────────────┘
//! ```
//!
//! A strike that cannot be done is told as skipped, with its reason. A harness that fails, and a cluster that
//! does not come back, end the run at once.

mod dump;
mod finale;
mod observer;
mod profile;
mod progress;
mod scenario;
pub mod schedule;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

pub use profile::Profile;
pub use scenario::{SCENARIOS, Scenario};
pub use schedule::Schedule;

use crate::client::{Client, Failure};
use crate::cluster::{Cluster, Product, until};
use crate::environment::{Environment, Host, Janitor, Kind, Plan};
use crate::fault::{self, Arena, Budget, Stage, Trouble};
use crate::history::{Header, Kept, Key, SubscribedBy};
use crate::recorder::{Recorder, Tally};
use crate::workload::{GROUP, Load, Rules, Workload, dice};
use finale::{BROKEN_PATIENCE, Finale, HEAL_PATIENCE};
use progress::{PULSE, pulse, say};

/// The topic that everything is about.
const TOPIC: &str = "jepsen";
/// How long the cluster may take to be founded.
const FOUND_PATIENCE: Duration = Duration::from_mins(1);
/// The broker's deadline of each request: what an election takes, twice. Who waits longer sees nothing of what
/// comes meanwhile.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// A node's volume; sparse, so it takes what is written.
const VOLUME_BYTES: u64 = 1 << 30;
/// Small segments, so that rolls and recycled files are met.
const USUAL: &[&str] = &["--segment-bytes", "1048576"];
/// The smallest, and looked at often: only what is sealed is compacted.
const COMPACTED: &[&str] = &["--segment-bytes", "65536", "--retention-check-ms", "500"];
/// The stream of the run's seed that the finale draws from.
const FINALE_STREAM: u64 = 2_000_000;
/// How long strikes that go on at the end may take: each is bounded by itself.
const STRIKES_PATIENCE: Duration = Duration::from_mins(5);

/// What a run is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All choices follow from it.
    pub seed: u64,
    /// How long the load lasts.
    pub time: Duration,
    /// What the clients do.
    pub workload: Workload,
    /// How many nodes.
    pub nodes: u8,
    /// Where the cluster lives.
    pub environment: Kind,
    /// The storage engine.
    pub engine: String,
    /// The server's binary.
    pub binary: PathBuf,
    /// More flags for every node.
    pub flags: Vec<String>,
    /// More variables of every node's environment.
    pub variables: Vec<(String, String)>,
    /// This crate's own, for the janitor.
    pub janitor: PathBuf,
    /// Where history, schedule and logs go.
    pub dir: PathBuf,
    /// How many partitions.
    pub partitions: u32,
    /// How many clients.
    pub clients: u32,
    /// How many operations a second they begin.
    pub rate: u32,
    /// The harm.
    pub schedule: Schedule,
    /// What must have had an effect, or the run proves nothing.
    pub required: Vec<fault::Kind>,
}

/// What a run left.
#[derive(Debug)]
pub struct Ended {
    /// Its history.
    pub history: PathBuf,
    /// How the sends ended.
    pub tally: Tally,
    /// Why the cluster is not as it should be, though everything was healed.
    pub lasting: Vec<String>,
}

/// Does a run. Returns once everything is cleared away.
pub fn run(settings: &Settings) -> io::Result<Ended> {
    fs::create_dir_all(&settings.dir)?;
    settings.schedule.write(&settings.dir.join("schedule.json"))?;
    let janitor = Arc::new(Janitor::start(&settings.janitor)?);
    let plan = Plan {
        kind: settings.environment,
        nodes: settings.nodes,
        dir: settings.dir.join("nodes"),
        logs: settings.dir.clone(),
        volume_bytes: VOLUME_BYTES,
        seed: settings.seed,
    };
    let ended = Environment::build(&plan, Arc::clone(&janitor)).and_then(|environment| {
        let runtime = environment.runtime()?;
        let ended = runtime.block_on(Box::pin(play(settings, environment)));
        runtime.shutdown_timeout(Duration::from_secs(5));
        ended
    });
    // Whatever happened, it is cleared away; and if that fails, so has the run.
    janitor.finish()?;
    ended
}

async fn play(settings: &Settings, mut environment: Environment) -> io::Result<Ended> {
    let _doors = environment.open_doors()?;
    let product = Product {
        binary: settings.binary.clone(),
        engine: settings.engine.clone(),
        flags: if settings.flags.is_empty() {
            let flags = if settings.workload == Workload::Compacted { COMPACTED } else { USUAL };
            flags.iter().map(|flag| (*flag).to_owned()).collect()
        } else {
            settings.flags.clone()
        },
        variables: settings.variables.clone(),
        topic: TOPIC.to_owned(),
        partitions: settings.partitions,
    };
    let source = environment.source(Host::Clients);
    let cluster = Arc::new(Cluster::prepare(&mut environment, product)?);
    cluster.found(FOUND_PATIENCE).await?;

    let history = settings.dir.join("history.ndjson");
    let recorder = Arc::new(Recorder::begin(&history, &header(settings, &environment, &cluster))?);
    let doors = cluster.nodes.iter().map(|node| (node.site.id, node.site.http)).collect();
    let client = Client::new(doors, TOPIC, source, REQUEST_PATIENCE)?
        .with_keys(settings.workload.record_keys());
    if settings.workload == Workload::Compacted {
        compact(&client).await?;
    }
    let keys: Vec<Key> = cluster.keys().collect();
    let rules = Rules {
        workload: settings.workload,
        clients: settings.clients,
        rate: settings.rate,
        seed: settings.seed,
    };
    let load = Load::start(rules, &client, source, &keys, &recorder)?;
    let mut watching = JoinSet::new();
    watching.spawn(observer::observe(Arc::clone(&cluster), Arc::clone(&recorder)));
    watching.spawn(pulses(Arc::clone(&recorder)));

    let arena = Arc::new(Arena {
        cluster: Arc::clone(&cluster),
        recorder: Arc::clone(&recorder),
        budget: Budget::of(cluster.minority()),
        dir: settings.dir.clone(),
    });
    let harm = Box::pin(strike_all(settings, &arena));
    let interrupted = async { tokio::signal::ctrl_c().await };
    let mut lasting = tokio::select! {
        lasting = harm => lasting?,
        _ = interrupted => return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
    };
    let values = load.stop().await;
    let finale = Finale {
        cluster: Arc::clone(&cluster),
        recorder: Arc::clone(&recorder),
        client: client.fresh(source)?,
        source,
        values,
        group: (settings.workload == Workload::Group).then_some(GROUP),
        dice: dice(settings.seed, FINALE_STREAM),
        process: 0,
        patience: if lasting.is_empty() { HEAL_PATIENCE } else { BROKEN_PATIENCE },
    };
    match finale.play().await {
        Ok(()) => {}
        Err(Trouble::Harness(error)) => return Err(error),
        Err(other) => lasting.push(other.to_string()),
    }
    drop(watching);
    recorder.finish()?;
    Ok(Ended { history, tally: recorder.tally(), lasting })
}

/// Makes a topic one that keeps the last record of each key; before anything is in it.
async fn compact(client: &Client) -> io::Result<()> {
    let mut nodes = client.nodes().into_iter().cycle();
    let set = until(Instant::now() + FOUND_PATIENCE, async || {
        let node = nodes.next().ok_or("there are no nodes")?;
        let set = client.set(node, "cleanup.policy", "compact").await;
        set.map_err(Failure::into_words)
    });
    set.await.map_err(|why| io::Error::other(format!("the topic cannot be compacted: {why}")))
}

fn header(settings: &Settings, environment: &Environment, cluster: &Cluster) -> Header {
    let mut header = Header {
        seed: settings.seed,
        workload: settings.workload.to_string(),
        compacted: settings.workload.record_keys(),
        environment: environment.describe(),
        kept: match settings.workload {
            // It changes how long they are.
            Workload::Topics | Workload::Compacted => Kept::Limited,
            Workload::Log | Workload::Idempotent | Workload::Group => Kept::UntilTrimmed,
        },
        subscribed_by: match settings.workload {
            Workload::Group => SubscribedBy::Subscribe,
            Workload::Log | Workload::Idempotent | Workload::Compacted | Workload::Topics => {
                SubscribedBy::Assign
            }
        },
        ..Header::default()
    };
    cluster.describe(&mut header);
    header.required_faults = settings.required.iter().map(|kind| kind.name().to_owned()).collect();
    header.final_replicas = u32::from(settings.nodes);
    header
}

async fn pulses(recorder: Arc<Recorder>) {
    let mut beat = interval(PULSE);
    loop {
        beat.tick().await;
        pulse(&recorder);
    }
}

/// Does all strikes of the schedule, and lets the load go on to its end. Returns what did not heal.
async fn strike_all(settings: &Settings, arena: &Arc<Arena>) -> io::Result<Vec<String>> {
    let began = Instant::now();
    let mut lasting = Vec::new();
    // On this task, not on tasks of their own: they end when the run does.
    let mut running = FuturesUnordered::new();
    for (id, planned) in (1..).zip(&settings.schedule.strikes) {
        let at = sleep_until(began + Duration::from_millis(planned.at_ms));
        tokio::pin!(at);
        loop {
            tokio::select! {
                () = &mut at => break,
                Some(ended) = running.next() => note(ended, &mut lasting)?,
            }
        }
        let hold = Duration::from_millis(planned.hold_ms);
        let stage = Stage::new(Arc::clone(arena), id, planned.kind, hold, dice(planned.seed, 0));
        running.push(Box::pin(strike(planned.kind, stage)));
        if settings.schedule.one_by_one
            && let Some(ended) = running.next().await
        {
            note(ended, &mut lasting)?;
        }
        if !lasting.is_empty() {
            break;
        }
    }
    let deadline = Instant::now() + STRIKES_PATIENCE;
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, running.next()).await {
        note(ended, &mut lasting)?;
    }
    if lasting.is_empty() {
        sleep_until(began + settings.time).await;
    }
    Ok(lasting)
}

async fn strike(kind: fault::Kind, mut stage: Stage) -> Result<(), Trouble> {
    let recorder = Arc::clone(stage.recorder());
    let began = Instant::now();
    let outcome = kind.strike(&mut stage).await;
    stage.ends(&outcome);
    let took = began.elapsed().as_secs_f32();
    match &outcome {
        Ok(effect) => {
            let amounts: Vec<String> =
                effect.amounts().iter().map(|(name, amount)| format!("{amount} {name}")).collect();
            say(&recorder, format_args!("{kind} ({took:.1} s): {}", amounts.join(", ")));
        }
        Err(Trouble::Skipped(why)) => say(&recorder, format_args!("{kind}: skipped: {why}")),
        Err(other) => say(&recorder, format_args!("{kind} ({took:.1} s): {other}")),
    }
    match outcome {
        Ok(_) | Err(Trouble::Skipped(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

fn note(ended: Result<(), Trouble>, lasting: &mut Vec<String>) -> io::Result<()> {
    match ended {
        Ok(()) | Err(Trouble::Skipped(_)) => Ok(()),
        Err(Trouble::Harness(error)) => Err(error),
        Err(Trouble::Lasting(why)) => {
            lasting.push(why);
            Ok(())
        }
    }
}
