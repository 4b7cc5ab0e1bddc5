//! The watch beside a run: each second it takes what was counted, tells it, and keeps it for the plots.

use super::cost::{Cost, Reading, Usage};
use super::course::Course;
use super::nodes::Nodes;
use super::recorder::{Interval, Latency, Recorder};
use super::site::Site;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::{rounded, whole_rate};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Between two lines.
const TICK: Duration = Duration::from_secs(1);

/// Of the producers, or of the consumers.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) side: Side,
    pub(super) recorder: Arc<Recorder>,
    /// Within the window.
    pub(super) total: Interval,
    pub(super) ticks: Vec<Tick>,
}

/// Whose records are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The producers'.
    Written,
    /// The consumers'.
    Read,
}

/// One second.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tick {
    /// From the beginning of the window to the end of this one.
    pub(super) second: f64,
    pub(super) records_per_second: f64,
    pub(super) megabytes_per_second: f64,
    pub(super) latency_ms: Option<Latency>,
}

impl Meter {
    /// Nothing counted yet.
    pub(super) fn new(side: Side) -> Self {
        let (recorder, total) = (Arc::default(), Interval::default());
        Self { side, recorder, total, ticks: Vec::new() }
    }

    /// A line for people.
    fn shown(&self, interval: &Interval, took: Duration) -> String {
        let rate = whole_rate(interval.records, took);
        let megabytes = rounded(interval.bytes) / 1e6 / took.as_secs_f64().max(1e-6);
        let latency = interval.latency().map_or_else(String::new, |latency| latency.shown());
        let side = match self.side {
            Side::Written => "written",
            Side::Read => "read",
        };
        format!("{side:7} {rate:>11} records/s {megabytes:>8.1} MB/s  {latency}")
    }

    fn tick(&mut self, second: Duration, took: Duration) -> String {
        let interval = self.recorder.take();
        let seconds = took.as_secs_f64().max(1e-6);
        self.ticks.push(Tick {
            second: second.as_secs_f64(),
            records_per_second: rounded(interval.records) / seconds,
            megabytes_per_second: rounded(interval.bytes) / 1e6 / seconds,
            latency_ms: interval.latency(),
        });
        self.total.add(&interval);
        self.shown(&interval, took)
    }
}

/// Watches a run from its beginning to its end; what it cost is of the first meter's records.
pub(super) async fn watch(
    course: &Course,
    (site, nodes): (&Site, Option<&Nodes>),
    meters: &mut [&mut Meter],
    output: &Output,
) -> Result<Cost, Failure> {
    let mut at = course.began;
    while at < course.from {
        let next = (at + TICK).min(course.from);
        sleep_until(next).await;
        for meter in &*meters {
            let interval = meter.recorder.take();
            output.note(format!("warm-up  {}", meter.shown(&interval, next - at)));
        }
        at = next;
    }
    let before = Reading::take(site, nodes).await;
    let (mut usage, mut samples) = (before.usage(), Vec::new());
    for meter in &*meters {
        drop(meter.recorder.take());
    }
    // The first second is as much shorter as it took to read the counters.
    let (from, mut at) = (Instant::now().min(course.until), Instant::now());
    let mut ends = course.from;
    while ends < course.until {
        ends = (ends + TICK).min(course.until);
        sleep_until(ends).await;
        let (now, second) = (Instant::now(), ends - course.from);
        for meter in &mut *meters {
            let line = meter.tick(second, now - at);
            output.note(format!("{:>6.0} s {line}", second.as_secs_f64()));
        }
        let next = Usage::take(nodes);
        samples.push(next.sample(&usage, (second, now - at), nodes));
        (at, usage) = (now, next);
        if let Some(nodes) = nodes {
            nodes.check_disk()?;
        }
    }
    let window = at.saturating_duration_since(from);
    let after = Reading::take(site, nodes).await;
    let done = meters.first().map_or_else(Interval::default, |meter| meter.total.clone());
    let cost = after.since(&before, (&done, window, site.replicas), nodes, samples);
    let writes = meters.iter().any(|meter| meter.side == Side::Written);
    Ok(if writes { cost } else { cost.of_reading() })
}
