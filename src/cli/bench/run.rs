//! One run: topic, roof, what must be there before, the load, the comparison.
//!
//! | | before | within the window | latency |
//! |---|---|---|---|
//! | `produce` | | producers (and who compares, with `--keep`) | of a request, from when it was due |
//! | `consume` | records | consumers read them over and over | of a page |
//! | `e2e` | | producers, and consumers at the ends | of a record, from when it was due until it was read |
//! | `mixed` | records | producers, and consumers that read what was there before | of both |

use super::cost::Cost;
use super::course::Course;
use super::crew::{CameTo, Crew};
use super::ledger::{Comparison, Ledger};
use super::meter::{self, Meter, Side};
use super::nodes::Nodes;
use super::options::{Load, WriteArgs};
use super::producer::Goal;
use super::readback::{self, Readback, Shelf};
use super::recorder::Recorder;
use super::report::{Delivered, Flow, Report};
use super::roof::{Roof, Under};
use super::site::Site;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::Count;
use crate::client::Client;
use crate::topic::{PartitionId, TopicName};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

/// Between two looks at what is written before a run, and at the disk.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where it runs.
pub(super) struct Place<'a> {
    pub(super) client: &'a Client,
    /// Our own nodes, if they are.
    pub(super) nodes: Option<&'a Nodes>,
    pub(super) output: &'a Output,
}

/// What is to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Produce {
        /// What is compared while it is written is removed but for so many bytes.
        keep: Option<u64>,
    },
    /// Of so many records.
    Consume(u64),
    EndToEnd,
    /// Beside so many records that are read.
    Mixed(u64),
}

/// A run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) kind: Kind,
    pub(super) args: &'a WriteArgs,
    pub(super) consumers: u32,
}

/// What a run works with.
struct Stage {
    site: Arc<Site>,
    load: Arc<Load>,
    ledger: Arc<Ledger>,
    /// What was there before, by partition.
    shelves: Arc<[Shelf]>,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Produce { .. } => "produce",
            Self::Consume(_) => "consume",
            Self::EndToEnd => "e2e",
            Self::Mixed(_) => "mixed",
        }
    }

    const fn records_before(self) -> u64 {
        match self {
            Self::Produce { .. } | Self::EndToEnd => 0,
            Self::Consume(records) | Self::Mixed(records) => records,
        }
    }

    const fn keep(self) -> Option<u64> {
        match self {
            Self::Produce { keep } => keep,
            Self::Consume(_) | Self::EndToEnd | Self::Mixed(_) => None,
        }
    }

    const fn reads(self) -> bool {
        match self {
            Self::Produce { .. } => false,
            Self::Consume(_) | Self::EndToEnd | Self::Mixed(_) => true,
        }
    }
}

/// Runs it on a topic that is there and empty, and compares.
pub(super) async fn run(
    job: Job<'_>,
    (topic, load): (TopicName, Load),
    place: &Place<'_>,
) -> Result<Report, Failure> {
    let load = Arc::new(load);
    let site = Arc::new(Site::open(place.client, topic).await?);
    let roof = roof(job, place, &site, &load).await?;
    let mut stage = Stage { site, load, ledger: Arc::default(), shelves: Arc::from([]) };
    if job.kind.records_before() > 0 {
        stage.fill(job.kind.records_before(), place).await?;
    }
    let course = Course::begin(&job.args.span);
    let mut written = (!matches!(job.kind, Kind::Consume(_))).then(|| Meter::new(Side::Written));
    let mut read = job.kind.reads().then(|| Meter::new(Side::Read));
    let meters = [written.as_mut(), read.as_mut()].into_iter().flatten().collect();
    let (came_to, cost) = stage.drive(job, course, meters, place).await?;
    let (acknowledged, unknown) = stage.ledger.close();
    let back = if job.kind.keep().is_some() {
        Readback { consumed: came_to.audited, ..Readback::default() }
    } else {
        place.output.note("reading everything back");
        readback::read(&stage.site, &unknown, place.output).await?
    };
    let comparison = Comparison::new(acknowledged, &unknown, &back.consumed);
    let written = written.map(|meter| Flow::of(meter, course.window()));
    let read = read.map(|meter| Flow::of(meter, course.window()));
    let roof = roof.map(|roof| roof.with(written.as_ref(), read.as_ref()));
    Ok(Report {
        bench: job.kind.name(),
        version: env!("CARGO_PKG_VERSION"),
        brokers: stage.site.brokers.len(),
        replicas: stage.site.replicas,
        engine: place.nodes.map(|nodes| nodes.engine().to_owned()),
        load: Load::clone(&stage.load),
        consumers: job.consumers,
        records_before: job.kind.records_before(),
        keep_bytes: job.kind.keep(),
        seconds: course.window().as_secs_f64(),
        written,
        read,
        unknown_requests: unknown.requests(),
        unsent_records: came_to.unsent,
        comparison,
        delivered: delivered(job.kind, &came_to, &back),
        cost,
        roof,
    })
}

impl Stage {
    /// Writes what is to be there before, and reads it back.
    async fn fill(&mut self, records: u64, place: &Place<'_>) -> Result<(), Failure> {
        place.output.note(format!("writing {} records to be read", Count(records)));
        let each = u64::try_from(self.load.records_per_request).unwrap_or(u64::MAX);
        let requests = records.div_ceil(each * u64::from(self.load.producers));
        let mut crew = Crew::new(&self.site, &self.load, Course::now());
        let goal = (self.load.producers, Goal::Requests(requests), None);
        let recorder: Arc<Recorder> = Arc::default();
        crew.produce(goal, &self.ledger, &recorder);
        let mut ended = pin!(crew.ended());
        let (mut every, mut written) = (interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY), 0);
        loop {
            tokio::select! {
                ended = &mut ended => {
                    ended?;
                    break;
                }
                _ = every.tick() => {
                    written += recorder.take().records;
                    place.output.note(format!("         written {}", Count(written)));
                }
            }
            if let Some(nodes) = place.nodes {
                nodes.check_disk()?;
            }
        }
        let (acknowledged, unknown) = self.ledger.close();
        let back = readback::read(&self.site, &unknown, place.output).await?;
        Comparison::new(acknowledged, &unknown, &back.consumed).check()?;
        self.shelves = back.shelves.into();
        Ok(())
    }

    /// The part that is measured.
    async fn drive(
        &self,
        job: Job<'_>,
        course: Course,
        mut meters: Vec<&mut Meter>,
        place: &Place<'_>,
    ) -> Result<(CameTo, Cost), Failure> {
        let mut crew = Crew::new(&self.site, &self.load, course);
        let (ends, ended) = watch::channel(None);
        if let Some(bytes) = job.kind.keep() {
            crew.audit(bytes, &ended, &self.ledger);
        }
        for meter in &meters {
            let recorder = &meter.recorder;
            match (job.kind, meter.side) {
                (_, Side::Written) => {
                    crew.produce((0, Goal::Time, job.kind.keep()), &self.ledger, recorder);
                }
                (Kind::EndToEnd, Side::Read) => crew.tail(job.consumers, &ended, recorder),
                (Kind::Produce { .. } | Kind::Consume(_) | Kind::Mixed(_), Side::Read) => {
                    crew.scan(job.consumers, &self.shelves, recorder);
                }
            }
        }
        let at = (&*self.site, place.nodes);
        let cost = tokio::select! {
            cost = meter::watch(&course, at, &mut meters, place.output) => cost?,
            failure = crew.failure() => return Err(failure),
        };
        crew.produced().await?;
        ends.send_replace(Some(self.ends().await?));
        Ok((crew.ended().await?, cost))
    }

    /// Where each partition ends now.
    async fn ends(&self) -> Result<Arc<[u64]>, Failure> {
        let mut ends = Vec::new();
        for partition in (0..self.load.partitions).map(PartitionId) {
            ends.push(self.site.client.ends(&self.site.topic, partition).await?.high_watermark);
        }
        Ok(ends.into())
    }
}

/// What the consumers of the run itself got, beside what was read back.
fn delivered(kind: Kind, came_to: &CameTo, back: &Readback) -> Option<Delivered> {
    match kind {
        Kind::Produce { .. } => None,
        Kind::EndToEnd => {
            let all = back.consumed.expected + back.consumed.unknown;
            Some(Delivered { records: came_to.tailed.records, equal: came_to.tailed == all })
        }
        Kind::Consume(_) | Kind::Mixed(_) => {
            let scanned = came_to.scanned;
            Some(Delivered { records: scanned.records, equal: scanned.different == 0 })
        }
    }
}

/// What the machine does without us, unless nobody wants to know.
async fn roof(
    job: Job<'_>,
    place: &Place<'_>,
    site: &Site,
    load: &Arc<Load>,
) -> Result<Option<Roof>, Failure> {
    if job.args.result.no_roof {
        return Ok(None);
    }
    place.output.note("measuring the roof: a bare file and a bare HTTP server on this machine");
    let elsewhere = std::env::temp_dir();
    let directory = place.nodes.map_or(elsewhere.as_path(), Nodes::data);
    let writes = !matches!(job.kind, Kind::Consume(_));
    let under = Under { site, load, writes, consumers: job.consumers };
    Roof::measure(under, directory).await.map(Some)
}
