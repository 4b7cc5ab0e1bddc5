//! `ottla bench failover`: how long a producer waits when its partition's leader goes, again and again.
//!
//! One producer writes one record after the other, idempotently, so that what is sent again is there once.
//! A gap goes from the last acknowledgement before to the first after. Each leader that comes back is
//! given its partition back by the cluster: that is the planned transfer, and its gap is measured too.

use super::nodes::Nodes;
use super::options::{FailoverArgs, Load};
use super::readback::{self, Item};
use super::record;
use super::recorder::{Latency, Recorder};
use super::site::{self, Site};
use super::steady::{Acknowledged, Writing};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::Count;
use crate::cli::table::Table;
use crate::client::Client;
use clap::ValueEnum;
use rustix::process::Signal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

/// Acknowledgements before each fault, and after it.
const STEADY: Duration = Duration::from_millis(500);
/// Between two looks at who leads.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A broker that does not say by then who leads is asked again.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// After each fault somebody else must lead by then.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// A leadership that has not come home by then is not waited for.
const HOME_MAX: Duration = Duration::from_secs(30);
/// What was seen of a leader is so old at most.
const SEEN_LATE: Duration = Duration::from_millis(100);

/// How the leader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    /// kill -9
    Kill,
    /// SIGTERM: it hands over, flushes and ends
    #[value(alias = "term")]
    Terminate,
    /// SIGSTOP: it hangs, and comes back later
    Pause,
    /// The cluster gives the leadership of a node that lives to another, as it does when that comes back
    /// (after SIGTERM, whose own gap is not counted); it is measured after every other fault too
    Transfer,
}

/// The whole result.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FailoverReport {
    bench: &'static str,
    version: &'static str,
    brokers: usize,
    engine: String,
    faults: Vec<Distribution>,
    /// Of the requests in between.
    steady_ms: Option<Latency>,
    acknowledged: u64,
    /// Acknowledged, and not there.
    pub(super) lost: u64,
    /// There more than once.
    pub(super) duplicated: u64,
}

/// From the last acknowledgement before to the first after, in order of length.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Distribution {
    fault: Fault,
    p50_ms: f64,
    p90_ms: f64,
    max_ms: f64,
    gaps_ms: Vec<f64>,
}

/// What the rounds have in common.
struct Rounds<'a> {
    nodes: &'a mut Nodes,
    site: &'a Site,
    acknowledged: &'a Acknowledged,
    /// The broker that the producer should write to.
    target: watch::Sender<String>,
    gaps: BTreeMap<Fault, Vec<Duration>>,
}

/// Makes leaders go, and counts what is there in the end.
pub(super) async fn run(
    args: &FailoverArgs,
    nodes: &mut Nodes,
    client: &Client,
    output: &Output,
) -> Result<FailoverReport, Failure> {
    let topic = site::name();
    site::make(client, &topic, &Load::one_record()).await?;
    let site = Site::open(client, topic).await?;
    let recorder = Arc::new(Recorder::default());
    let acknowledged = Arc::new(Acknowledged::default());
    let (target, targets) = watch::channel(site.leader(0).to_owned());
    let (stop, stopped) = watch::channel(false);
    let identity = client.new_producer().await?;
    let writing = Writing {
        site: site.clone(),
        identity,
        targets,
        stopped,
        acknowledged: Arc::clone(&acknowledged),
        recorder: Arc::clone(&recorder),
    };
    let mut producer = JoinSet::new();
    producer.spawn(writing.run());
    let mut rounds =
        Rounds { nodes, site: &site, acknowledged: &acknowledged, target, gaps: BTreeMap::new() };
    let all = async {
        for round in 1..=args.times {
            for &fault in &args.fault {
                let told = rounds.round(fault, client).await?;
                output.note(format!("{round:>4} of {}: {told}", args.times));
            }
        }
        Ok::<(), Failure>(())
    };
    tokio::select! {
        done = all => done?,
        Some(ended) = producer.join_next() => return Err(failed(ended)),
    }
    let (gaps, engine) = (rounds.gaps, rounds.nodes.engine().to_owned());
    stop.send_replace(true);
    let sent = match producer.join_next().await {
        Some(Ok(Ok(sent))) => sent,
        Some(ended) => return Err(failed(ended)),
        None => 0,
    };
    output.note("reading everything back");
    let (lost, duplicated) = count(&site, sent).await?;
    Ok(FailoverReport {
        bench: "failover",
        version: env!("CARGO_PKG_VERSION"),
        brokers: site.brokers.len(),
        engine,
        faults: gaps.into_iter().map(|(fault, gaps)| Distribution::of(fault, gaps)).collect(),
        steady_ms: recorder.take().latency(),
        acknowledged: sent,
        lost,
        duplicated,
    })
}

/// The producer ends only when it is told, or has failed.
fn failed(ended: Result<Result<u64, Failure>, tokio::task::JoinError>) -> Failure {
    match ended {
        Ok(Err(failure)) => failure,
        Ok(Ok(_)) => Failure::new(Exit::Failed, "the producer ended early"),
        Err(error) => Failure::new(Exit::Failed, format!("the producer ended: {error}")),
    }
}

impl Rounds<'_> {
    /// One fault of the leader, and its way back.
    async fn round(&mut self, fault: Fault, client: &Client) -> Result<String, Failure> {
        let leader = leader(client, self.site).await.ok_or_else(|| no_leader("before a fault"))?;
        let address = self.nodes.address(leader).unwrap_or_default();
        self.target.send_replace(address.clone());
        self.acknowledged.clear();
        self.acknowledged.after(Instant::now() + STEADY, RECOVERY_MAX).await?;
        let others: Vec<String> =
            self.nodes.addresses().into_iter().filter(|other| *other != address).collect();
        // Only nodes that live are asked: one that hangs would not answer.
        let others = Client::new(&others, LOOK_TIMEOUT);
        let at = Instant::now();
        self.nodes.signal(leader, fault.signal());
        let changed = async {
            let mut every = interval(LOOK_EVERY);
            loop {
                every.tick().await;
                if self::leader(&others, self.site).await.is_some_and(|now| now != leader) {
                    return;
                }
            }
        };
        let in_time = timeout(RECOVERY_MAX, changed).await;
        in_time.map_err(|_elapsed| no_leader("after a fault"))?;
        self.acknowledged.after(Instant::now() + STEADY, RECOVERY_MAX).await?;
        let gap =
            self.acknowledged.gap(at, Instant::now()).ok_or_else(|| no_leader("after a fault"))?;
        if fault != Fault::Transfer {
            self.gaps.entry(fault).or_default().push(gap);
        }
        match fault {
            Fault::Kill | Fault::Terminate | Fault::Transfer => self.nodes.restart(leader).await?,
            Fault::Pause => self.nodes.signal(leader, Signal::CONT),
        }
        let home = self.home(leader, &others).await?;
        self.nodes.healthy(client).await?;
        let home = match home {
            Some(gap) => {
                self.gaps.entry(Fault::Transfer).or_default().push(gap);
                format!("; given back: {:.0} ms", ms(gap))
            }
            None => String::new(),
        };
        let what = match fault {
            Fault::Transfer => Fault::Terminate.name(),
            Fault::Kill | Fault::Terminate | Fault::Pause => fault.name(),
        };
        Ok(format!("{what} of node {leader}: {:.0} ms{home}", ms(gap)))
    }

    /// Waits until the others say that the leadership is back; gives the gap that it made.
    async fn home(&self, home: u64, others: &Client) -> Result<Option<Duration>, Failure> {
        self.acknowledged.clear();
        let mut every = interval(LOOK_EVERY);
        let (began, mut elsewhere) = (Instant::now(), None);
        loop {
            every.tick().await;
            let asked = Instant::now();
            if leader(others, self.site).await == Some(home) {
                break;
            }
            elsewhere = Some(asked);
            if began.elapsed() > HOME_MAX {
                return Ok(None);
            }
        }
        let seen = Instant::now();
        self.acknowledged.after(seen + STEADY, RECOVERY_MAX).await?;
        Ok(elsewhere.and_then(|last| self.acknowledged.gap(last, seen + SEEN_LATE)))
    }
}

/// Who leads the partition.
async fn leader(client: &Client, site: &Site) -> Option<u64> {
    client.describe(&site.topic).await.ok()?.partitions.first()?.leader
}

fn no_leader(when: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("no other leader within {RECOVERY_MAX:?} {when}"))
}

/// Of the first `sent` records: how many are missing, and how many copies there are too many.
async fn count(site: &Site, sent: u64) -> Result<(u64, u64), Failure> {
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    readback::walk(site, 0, |item| {
        if let Item::Record(value) = item {
            *seen.entry(record::number(value).unwrap_or(u64::MAX)).or_default() += 1;
        }
    })
    .await?;
    let lost = (0..sent).filter(|number| !seen.contains_key(number)).count();
    let duplicated: u64 = seen.values().map(|copies| copies - 1).sum();
    Ok((u64::try_from(lost).unwrap_or(u64::MAX), duplicated))
}

impl Fault {
    const fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Terminate | Self::Transfer => Signal::TERM,
            Self::Pause => Signal::STOP,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Terminate => "SIGTERM",
            Self::Pause => "pause (SIGSTOP)",
            Self::Transfer => "planned transfer",
        }
    }
}

impl Distribution {
    fn of(fault: Fault, mut gaps: Vec<Duration>) -> Self {
        gaps.sort_unstable();
        let at = |percent: usize| {
            let rank = (gaps.len() * percent).div_ceil(100).max(1) - 1;
            gaps.get(rank).copied().map_or(0.0, ms)
        };
        let (p50_ms, p90_ms, max_ms) = (at(50), at(90), at(100));
        Self { fault, p50_ms, p90_ms, max_ms, gaps_ms: gaps.into_iter().map(ms).collect() }
    }
}

impl FailoverReport {
    /// Two lines: what was done, and where.
    pub(super) fn title(&self) -> String {
        format!(
            "failover: one partition, one producer, one record a request; from the last \
             acknowledgement before to the first after\n{} nodes of its own, engine={}",
            self.brokers, self.engine,
        )
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("{}\n\n{}", self.title(), self.figures())
    }

    /// The table, and what is to be said of it.
    pub(super) fn figures(&self) -> String {
        let titles = ["THE LEADER GOES BY", "TIMES", "p50 ms", "p90", "max"];
        let mut table = Table::new(titles).numbers([1, 2, 3, 4]);
        for Distribution { fault, p50_ms, p90_ms, max_ms, gaps_ms } in &self.faults {
            let times = gaps_ms.len().to_string();
            let [p50, p90, max] = [p50_ms, p90_ms, max_ms].map(|gap| format!("{gap:.0}"));
            table.row([fault.name().to_owned(), times, p50, p90, max]);
        }
        let steady = self.steady_ms.map_or_else(String::new, |steady| steady.shown());
        format!(
            "{}\n\nplanned transfer: the cluster gives a node that is back its partition again\n\
             all requests: {steady}\n{} acknowledged, {} lost, {} duplicated",
            table.lines(),
            Count(self.acknowledged),
            self.lost,
            self.duplicated,
        )
    }

    /// A record that is missing or there twice is a failure.
    pub(super) fn check(&self) -> Result<Exit, Failure> {
        if self.lost == 0 && self.duplicated == 0 {
            return Ok(Exit::Done);
        }
        let Self { acknowledged, lost, duplicated, .. } = self;
        let why = format!(
            "of {acknowledged} acknowledged records {lost} are lost, {duplicated} are double"
        );
        Err(Failure::new(Exit::Failed, why))
    }

    /// Bars of a plot: what, and its gaps.
    pub(super) fn bars(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        self.faults.iter().map(|gaps| (gaps.fault.name(), gaps.gaps_ms.as_slice()))
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_by_rank() {
        let gaps = (1..=10).rev().map(Duration::from_millis).collect();
        let gaps = Distribution::of(Fault::Kill, gaps);
        let whole = |ms: f64| format!("{ms:.0}");
        assert_eq!([gaps.p50_ms, gaps.p90_ms, gaps.max_ms].map(whole), ["5", "9", "10"]);
        let one = Distribution::of(Fault::Pause, vec![Duration::from_millis(7)]);
        assert_eq!([one.p50_ms, one.max_ms].map(whole), ["7", "7"]);
    }
}
