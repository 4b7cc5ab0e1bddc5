//! `ottla bench`: what a cluster does, measured so that it can be believed.
//!
//! ```text
//!   options ── Load ──> run ── site (a topic of its own) ──> producers, consumers ──> ledger
//!                        │                                        │ recorder              │
//!                        ├── roof: the machine without us         v                       v
//!                        ├── nodes: three of our own    meter: a line a second    readback: compared
//!                        └── report: text, JSON, one page with plots
//! ```
//!
//! - Latency counts from when a request was due, not from when it could be sent.
//! - What was acknowledged is read back and compared, by count and hash; a difference is a failure.
//! - What the run cost stands beside what it did, and what the machine does without us beside both.
//!
//! - A cluster that is somebody else's is left as it was, however a run ends.
//!
//! Memory is bounded: each producer holds one request, each consumer a page for each partition under
//! way; latencies are histograms, and what was acknowledged is a sum.

mod auditor;
mod batch;
mod connection;
mod consumer;
mod cost;
mod course;
mod crew;
mod failover;
mod fetcher;
mod html;
mod idle;
mod ledger;
mod meter;
mod nodes;
mod options;
mod plot;
mod process;
mod producer;
mod readback;
mod record;
mod recorder;
mod report;
mod request;
mod roof;
mod run;
mod site;
mod steady;
mod stop;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::client::Client;
use clap::Subcommand;
use failover::FailoverReport;
use idle::IdleReport;
use nodes::{Nodes, NodesArgs};
use options::{FailoverArgs, IdleArgs, Load, ProduceArgs, ReadArgs, ScanArgs};
use report::{Delivered, Report};
use run::{Job, Kind, Place};
use stop::Stop;

/// What to measure.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  ottla bench produce --demo                                 three nodes of its own, as fast as they go
  ottla bench produce --demo --path json --batch 1000
  ottla bench produce --demo --path single --producers 64 --rate 2500
  ottla bench e2e --demo --rate 10000 --batch 10 --html result.html
  ottla bench produce --server a:8080 --duration 60s --format json
  ottla bench failover --demo --times 30 --fault kill")]
pub(super) enum BenchCommand {
    /// Write as fast as answers come, or at a rate
    Produce(Box<ProduceArgs>),
    /// Read what was written before, over and over
    Consume(Box<ScanArgs>),
    /// Write, and read at the ends: how long a record takes from one to the other
    E2e(Box<ReadArgs>),
    /// Write, while others read what was written before
    Mixed(Box<ScanArgs>),
    /// Kill, stop and pause leaders: how long nothing is acknowledged, and whether anything is lost
    Failover(FailoverArgs),
    /// Many partitions that nobody uses: what they cost, and how long a killed node's have no leader
    Idle(IdleArgs),
}

/// Measures, tells, and fails if what was consumed is not what was acknowledged.
pub(super) async fn run(
    command: BenchCommand,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    match command {
        BenchCommand::Produce(args) => {
            let ProduceArgs { write, keep } = &*args;
            let keep = *keep;
            let job = Job { kind: Kind::Produce { keep }, args: write, consumers: 0 };
            measure(job, client, output, &mut stop).await
        }
        BenchCommand::E2e(args) => {
            let ReadArgs { write, consumers } = &*args;
            let job = Job { kind: Kind::EndToEnd, args: write, consumers: *consumers };
            measure(job, client, output, &mut stop).await
        }
        BenchCommand::Consume(args) => {
            let ScanArgs { read: ReadArgs { write, consumers }, records } = &*args;
            let job = Job { kind: Kind::Consume(*records), args: write, consumers: *consumers };
            measure(job, client, output, &mut stop).await
        }
        BenchCommand::Mixed(args) => {
            let ScanArgs { read: ReadArgs { write, consumers }, records } = &*args;
            let job = Job { kind: Kind::Mixed(*records), args: write, consumers: *consumers };
            measure(job, client, output, &mut stop).await
        }
        BenchCommand::Failover(args) => failover(&args, client, output, &mut stop).await,
        BenchCommand::Idle(args) => idle(&args, client, output, &mut stop).await,
    }
}

async fn measure(
    job: Job<'_>,
    client: &Client,
    output: &mut Output,
    stop: &mut Stop,
) -> Result<Exit, Failure> {
    let load = job.args.load.check()?;
    job.args.span.check()?;
    html::check(job.args.result.html.as_deref())?;
    let (nodes, client) = begin(&job.args.nodes, client, output, stop).await?;
    let place = Place { client: &client, nodes: nodes.as_ref(), output };
    let report = on_a_topic(job, load, &place, stop).await;
    end(nodes, output).await;
    let (report, removed) = report?;
    if let Some(path) = &job.args.result.html {
        html::of_run(&report, path)?;
    }
    let exit = told(&report, output)?;
    removed.map(|()| exit)
}

/// Runs on a topic of its own, which is deleted whatever happens; gives whether that could be done too.
async fn on_a_topic(
    job: Job<'_>,
    load: Load,
    place: &Place<'_>,
    stop: &mut Stop,
) -> Result<(Report, Result<(), Failure>), Failure> {
    let client = place.client;
    // Who does not reach the cluster has nothing to remove.
    stop.unless(async { Ok(client.discover().await?) }).await?;
    let topic = site::name();
    if place.nodes.is_none() {
        place.output.note(format!("topic {topic} is written, and deleted afterwards"));
    }
    let report = match stop.after(site::make(client, &topic, &load)).await {
        Ok(()) => stop.unless(run::run(job, (topic.clone(), load), place)).await,
        Err(failure) => Err(failure),
    };
    // Nodes of our own are removed with all that is on them.
    let removed = match place.nodes {
        Some(_) => Ok(()),
        None => site::remove(client, &topic, stop).await,
    };
    match (report, removed) {
        (Ok(report), removed) => Ok((report, removed)),
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(left)) if failure.message.is_empty() => Err(left),
        (Err(failure), Err(left)) => {
            let hint = left.hint.clone();
            let both = failure.and(left);
            Err(Failure { hint: hint.or(both.hint.clone()), ..both })
        }
    }
}

async fn failover(
    args: &FailoverArgs,
    client: &Client,
    output: &mut Output,
    stop: &mut Stop,
) -> Result<Exit, Failure> {
    html::check(args.html.as_deref())?;
    let (mut nodes, client) = start(args.engine.clone(), client, output, stop).await?;
    let report = Box::pin(stop.unless(failover::run(args, &mut nodes, &client, output))).await;
    end(Some(nodes), output).await;
    let report = report?;
    if let Some(path) = &args.html {
        html::of_failover(&report, path)?;
    }
    output.result(&report, FailoverReport::shown)?;
    report.check()
}

async fn idle(
    args: &IdleArgs,
    client: &Client,
    output: &mut Output,
    stop: &mut Stop,
) -> Result<Exit, Failure> {
    let (nodes, client) = start(args.engine.clone(), client, output, stop).await?;
    let report = stop.unless(idle::run(args, &nodes, &client, output)).await;
    end(Some(nodes), output).await;
    output.result(&report?, IdleReport::shown)?;
    Ok(Exit::Done)
}

/// Our own nodes, or the cluster that is there.
async fn begin(
    args: &NodesArgs,
    client: &Client,
    output: &Output,
    stop: &mut Stop,
) -> Result<(Option<Nodes>, Client), Failure> {
    if !args.demo {
        return Ok((None, client.clone()));
    }
    let (nodes, client) = start(args.engine.clone(), client, output, stop).await?;
    Ok((Some(nodes), client))
}

/// Our own nodes, and a client of them.
async fn start(
    engine: Option<String>,
    client: &Client,
    output: &Output,
    stop: &mut Stop,
) -> Result<(Nodes, Client), Failure> {
    output.note("starting three nodes");
    let unnamed = Client::new(&[], client.timeout());
    let nodes = stop.unless(Nodes::start(engine, &unnamed)).await?;
    let client = Client::new(&nodes.addresses(), client.timeout());
    Ok((nodes, client))
}

async fn end(nodes: Option<Nodes>, output: &Output) {
    if let Some(nodes) = nodes {
        output.note("stopping the nodes");
        nodes.stop().await;
    }
}

fn told(report: &Report, output: &mut Output) -> Result<Exit, Failure> {
    output.result(report, Report::shown)?;
    report.comparison.check()?;
    match report.delivered {
        Some(Delivered { records, equal: false }) => {
            let why = format!("the {records} records that consumers got are not what is there");
            Err(Failure::new(Exit::Failed, why))
        }
        Some(_) | None => Ok(Exit::Done),
    }
}
