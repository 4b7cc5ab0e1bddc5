//! Charts over the time of a run, as inline SVG.

use std::fmt::Write as _;
use std::time::Duration;

use super::availability::Span;
use super::escaped;
use super::failover::Failover;
use crate::history::Outcome;
use crate::index::{FINAL_PROCESS_FIRST, Index, Op};

/// The whole width, and where time begins and ends.
pub(super) const WIDTH: f64 = 1320.0;
pub(super) const LEFT: f64 = 120.0;
const RIGHT: f64 = 1300.0;
const PLOT_HEIGHT: f64 = 150.0;
const BUCKETS: usize = 300;
/// More points than this nobody can tell apart.
const POINTS_MAX: usize = 4_000;

/// Appends to a string, which cannot fail.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {
        write!($text, $($arguments)*).expect("a string takes everything")
    };
}
pub(super) use put;

/// A count as a length; exact below 2^53.
pub(super) fn float(count: u64) -> f64 {
    Duration::from_secs(count).as_secs_f64()
}

pub(super) fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

/// Where time lies.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    end: f64,
}

impl Axis {
    pub(super) fn new(end: u64) -> Axis {
        Axis { end: seconds(end).max(0.001) }
    }

    pub(super) fn x(self, time: u64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds(time) / self.end).min(1.0)
    }

    /// Seconds between two ticks: 1, 2 or 5 of some power of ten, about ten ticks.
    fn step(self) -> f64 {
        let rough = self.end / 10.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough);
        step.unwrap_or(10.0) * power
    }

    /// The line of time, below everything.
    pub(super) fn ticks(self, svg: &mut String, top: f64, bottom: f64) {
        let step = self.step();
        let mut at = 0.0;
        while at <= self.end {
            let x = LEFT + (RIGHT - LEFT) * at / self.end;
            put!(
                svg,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top:.0}" y2="{bottom:.0}"/>"#
            );
            let words = if step < 1.0 { format!("{at:.1}") } else { format!("{at:.0}") };
            put!(svg, r#"<text class="tick" x="{x:.1}" y="{:.0}">{words} s</text>"#, bottom + 14.0);
            at += step;
        }
    }

    /// What was done to the cluster, behind everything.
    pub(super) fn bands(self, svg: &mut String, spans: &[Span<'_>], bottom: f64) {
        for span in spans {
            let (from, to) = (self.x(span.from), self.x(span.to));
            let width = (to - from).max(1.5);
            let (length, nodes) = (seconds(span.to - span.from), span.nodes.join(", "));
            put!(
                svg,
                r#"<rect class="band" x="{from:.1}" y="0" width="{width:.1}" height="{bottom:.0}"><title>{} {} at {:.2} s for {length:.2} s</title></rect>"#,
                escaped(span.name),
                escaped(&nodes),
                seconds(span.from),
            );
        }
    }
}

/// Opens a drawing.
pub(super) fn open(height: f64, what: &str) -> String {
    let what = escaped(what);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{what}">"#
    )
}

fn of_clients(index: &Index) -> impl Iterator<Item = &Op> {
    index.ops.iter().filter(|op| op.process < FINAL_PROCESS_FIRST && op.act.is_micro())
}

/// Operations per second by outcome.
pub(super) fn throughput(index: &Index, spans: &[Span<'_>]) -> String {
    let axis = Axis::new(index.ended);
    let mut counts = vec![[0_u64; 3]; BUCKETS];
    let width = (index.ended / float_buckets()).max(1);
    for op in of_clients(index) {
        let bucket = usize::try_from(op.ended / width).unwrap_or(BUCKETS).min(BUCKETS - 1);
        let place = match op.outcome {
            Outcome::Ok => 0,
            Outcome::Info => 1,
            Outcome::Fail => 2,
        };
        if let Some(count) = counts.get_mut(bucket).and_then(|counts| counts.get_mut(place)) {
            *count += 1;
        }
    }
    let per_second = |count: u64| float(count) / seconds(width);
    let most = counts.iter().flatten().copied().max().unwrap_or_default().max(1);
    let y = |count: u64| PLOT_HEIGHT - (PLOT_HEIGHT - 12.0) * float(count) / float(most);
    let mut svg = open(PLOT_HEIGHT + 22.0, "operations per second over time");
    axis.bands(&mut svg, spans, PLOT_HEIGHT);
    axis.ticks(&mut svg, 0.0, PLOT_HEIGHT);
    put!(svg, r#"<text class="lane" x="8" y="16">{:.0}/s</text>"#, per_second(most));
    for (place, class) in [(2, "fail"), (1, "info"), (0, "ok")] {
        let mut path = String::new();
        for (bucket, count) in counts.iter().enumerate() {
            let time = width.saturating_mul(u64::try_from(bucket).unwrap_or_default());
            let count = count.get(place).copied().unwrap_or_default();
            put!(
                path,
                "{}{:.1} {:.1}",
                if bucket == 0 { "M" } else { "L" },
                axis.x(time),
                y(count)
            );
        }
        put!(svg, r#"<path class="line {class}" d="{path}"/>"#);
    }
    svg + "</svg>"
}

fn float_buckets() -> u64 {
    u64::try_from(BUCKETS).unwrap_or(1)
}

/// How long operations took, each a point, on a scale of powers of ten.
pub(super) fn latency(index: &Index, spans: &[Span<'_>]) -> String {
    let axis = Axis::new(index.ended);
    let count = of_clients(index).count();
    let every = count.div_ceil(POINTS_MAX).max(1);
    let points: Vec<&Op> =
        of_clients(index).step_by(every).filter(|op| op.completed.is_some()).collect();
    let log = |op: &Op| seconds(op.ended - op.began).max(1e-6).log10();
    let low = points.iter().map(|op| log(op)).fold(0.0_f64, f64::min).floor();
    let high = points.iter().map(|op| log(op)).fold(low + 1.0, f64::max).ceil();
    let y = |log: f64| PLOT_HEIGHT - (PLOT_HEIGHT - 12.0) * (log - low) / (high - low);
    let mut svg = open(PLOT_HEIGHT + 22.0, "latency over time");
    axis.bands(&mut svg, spans, PLOT_HEIGHT);
    axis.ticks(&mut svg, 0.0, PLOT_HEIGHT);
    let mut power = low;
    while power <= high {
        let words = match power {
            power if power >= 0.0 => format!("{:.0} s", 10_f64.powf(power)),
            power if power >= -3.0 => format!("{:.0} ms", 10_f64.powf(power + 3.0)),
            power => format!("{:.0} µs", 10_f64.powf(power + 6.0)),
        };
        let at = y(power);
        put!(svg, r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}"/>"#);
        put!(svg, r#"<text class="lane" x="8" y="{:.1}">{words}</text>"#, at + 4.0);
        power += 1.0;
    }
    for op in points {
        let class = match op.outcome {
            Outcome::Ok => "ok",
            Outcome::Info => "info",
            Outcome::Fail => "fail",
        };
        put!(
            svg,
            r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="1.4"/>"#,
            axis.x(op.ended),
            y(log(op))
        );
    }
    svg + "</svg>"
}

/// How many failovers took at most so long.
pub(super) fn distribution(failovers: &[Failover]) -> String {
    let mut nanos: Vec<u64> = failovers.iter().map(|failover| failover.nanos).collect();
    nanos.sort_unstable();
    let axis = Axis::new(nanos.last().copied().unwrap_or(1));
    let mut svg = open(PLOT_HEIGHT + 22.0, "distribution of failover times");
    axis.ticks(&mut svg, 0.0, PLOT_HEIGHT);
    let count = float(u64::try_from(nanos.len()).unwrap_or(1)).max(1.0);
    let mut path = format!("M{LEFT} {PLOT_HEIGHT}");
    for (place, nanos) in nanos.iter().enumerate() {
        let share = float(u64::try_from(place + 1).unwrap_or_default()) / count;
        put!(path, "H{:.1}V{:.1}", axis.x(*nanos), PLOT_HEIGHT - (PLOT_HEIGHT - 12.0) * share);
    }
    for (share, words) in [(0.5, "50 %"), (0.99, "99 %")] {
        let at = PLOT_HEIGHT - (PLOT_HEIGHT - 12.0) * share;
        put!(svg, r#"<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}"/>"#);
        put!(svg, r#"<text class="lane" x="8" y="{:.1}">{words}</text>"#, at + 4.0);
    }
    put!(svg, r#"<path class="line ok" d="{path}"/>"#);
    svg + "</svg>"
}
