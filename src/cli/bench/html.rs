//! A result as one page: tables and plots (SVG) in one file that needs no other and no script.

use super::cost::Sample;
use super::failover::FailoverReport;
use super::meter::Tick;
use super::plot::{Bars, Line, Plot, Scale};
use super::recorder::Latency;
use super::report::{Flow, Report};
use crate::cli::failure::Failure;
use crate::cli::size::rounded;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::path::Path;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2430; --faint: #8a94a3; --line: #d9dee5; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --faint: #8e98a8; --line: #333b47; --back: #14181e; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
p { margin: .3rem 0; } .faint { color: var(--faint); }
pre { font: 12.5px/1.45 ui-monospace, monospace; white-space: pre-wrap; background: color-mix(in srgb, \
  var(--line) 35%, transparent); padding: .8rem 1rem; border-radius: 6px; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; \
  fill: var(--faint); } .grid { stroke: var(--line); stroke-width: 1; }
details { margin: 2rem 0; } .good { color: #1a7f4b; } .bad { color: #c0392b; font-weight: 600; }
";
/// Blue, orange, green, red: told apart by most eyes, on light and dark.
pub(super) const COLOURS: [&str; 4] = ["#3b7dd8", "#e08a1e", "#2f9e6e", "#d64550"];

/// Whether it can be written, before hours are spent on it. Nothing is left of the attempt.
pub(super) fn check(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let is_new = !path.exists();
    let opened = OpenOptions::new().create(true).append(true).open(path).map(drop);
    let closed = opened.and_then(|()| if is_new { std::fs::remove_file(path) } else { Ok(()) });
    closed.map_err(|error| Failure::file(path, &error))
}

/// Writes the page of a run.
pub(super) fn of_run(report: &Report, path: &Path) -> Result<(), Failure> {
    let mut body = String::new();
    let flows = [("Written", &report.written), ("Read", &report.read)];
    let flows: Vec<(&str, &Flow)> =
        flows.into_iter().filter_map(|(name, flow)| Some((name, flow.as_ref()?))).collect();
    body.push_str(&throughput(&flows));
    for (name, flow) in &flows {
        body.push_str(&latency(name, flow));
    }
    body.push_str(&percentiles(&flows));
    body.push_str(&usage(&report.cost.timeline));
    let verdict = (report.comparison.equal, report.comparison.shown());
    let (did, text) = (report.title(), report.figures());
    let page = Page { name: report.bench, did, verdict, plots: body, text };
    write(path, &page, report)
}

/// Writes the page of failovers.
pub(super) fn of_failover(report: &FailoverReport, path: &Path) -> Result<(), Failure> {
    let groups: Vec<(&str, &[f64])> = report.bars().collect();
    let bars =
        Bars { title: "Gap between acknowledgements, each time", unit: "ms", groups: &groups };
    let is_good = report.check().is_ok();
    let verdict = if is_good { "nothing lost, nothing double" } else { "records lost or double" };
    let verdict = (is_good, verdict.to_owned());
    let (did, text) = (report.title(), report.figures());
    let page = Page { name: "failover", did, verdict, plots: bars.svg(), text };
    write(path, &page, report)
}

fn throughput(flows: &[(&str, &Flow)]) -> String {
    let line = |((name, flow), colour): (&(&str, &Flow), &'static str)| {
        let point = |tick: &Tick| (tick.second, tick.records_per_second);
        let points = flow.timeline.iter().map(point).collect();
        Line { name: (*name).to_owned(), colour, points }
    };
    let lines = flows.iter().zip(COLOURS).map(line).collect();
    let plot =
        Plot { title: "Records a second", x: "s", y: "records/s", scale: Scale::Linear, lines };
    plot.svg()
}

fn latency(name: &str, flow: &Flow) -> String {
    let of = |name: &str, colour, value: fn(&Latency) -> f64| {
        let point = |tick: &Tick| Some((tick.second, value(tick.latency_ms.as_ref()?)));
        let points = flow.timeline.iter().filter_map(point).collect();
        Line { name: name.to_owned(), colour, points }
    };
    let [blue, orange, green, red] = COLOURS;
    let lines = vec![
        of("p50", green, |latency| latency.p50),
        of("p99", blue, |latency| latency.p99),
        of("p99.9", orange, |latency| latency.p999),
        of("max", red, |latency| latency.max),
    ];
    let title = format!("Latency: {}", name.to_lowercase());
    Plot { title: &title, x: "s", y: "ms", scale: Scale::Logarithmic, lines }.svg()
}

/// Over how many nines: 90 %, 99 %, 99.9 % are equally far apart.
fn percentiles(flows: &[(&str, &Flow)]) -> String {
    let nines = |percent: f64| (1.0 - percent / 100.0).max(1e-6).recip().log10();
    let line = |((name, flow), colour): (&(&str, &Flow), &'static str)| {
        // The longest is at all nines there are: it stands where the last but it does.
        let below = flow.percentiles.iter().map(|at| at.0).filter(|percent| *percent < 100.0);
        let last = below.fold(0.0, f64::max);
        let points = flow.percentiles.iter();
        let points = points.map(|&(percent, ms)| (nines(percent.min(last)), ms)).collect();
        Line { name: (*name).to_owned(), colour, points }
    };
    let lines = flows.iter().zip(COLOURS).map(line).collect();
    let title = "Latency by percentile";
    Plot {
        title,
        x: "nines: 1 is 90 %, 2 is 99 %, 3 is 99.9 %",
        y: "ms",
        scale: Scale::Logarithmic,
        lines,
    }
    .svg()
}

/// What the machine gave over time.
fn usage(samples: &[Sample]) -> String {
    let [blue, orange, green, red] = COLOURS;
    let line = |name: &str, colour, value: &dyn Fn(&Sample) -> Option<f64>| {
        let points = samples.iter().filter_map(|at| Some((at.second, value(at)?))).collect();
        Line { name: name.to_owned(), colour, points }
    };
    let mebibytes = |bytes: u64| rounded(bytes) / f64::from(1 << 20);
    let of_broker = |(at, colour): (usize, &'static str)| {
        let resident = |sample: &Sample| sample.broker_resident_bytes.get(at).copied();
        line(&format!("broker {}", at + 1), colour, &|sample| resident(sample).map(mebibytes))
    };
    let brokers = samples.first().map_or(0, |sample| sample.broker_resident_bytes.len());
    let mut memory: Vec<Line> = (0..brokers).zip([blue, orange, green]).map(of_broker).collect();
    memory.push(line("client", red, &|at| Some(mebibytes(at.client_resident_bytes))));
    let processor = vec![
        line("brokers", blue, &|at| at.broker_cpu_percent),
        line("client", red, &|at| Some(at.client_cpu_percent)),
    ];
    let disk = vec![line("brokers", blue, &|at| at.disk_megabytes_per_second)];
    let plots = [
        ("Memory", "MiB", memory),
        ("Processor: 100 is one core", "%", processor),
        ("Written to disk, all copies", "MB/s", disk),
    ];
    let plots =
        plots.map(|(title, y, lines)| Plot { title, x: "s", y, scale: Scale::Linear, lines }.svg());
    plots.concat()
}

/// What stands on a page, from top to bottom.
struct Page<'a> {
    name: &'a str,
    /// What was done, and where.
    did: String,
    /// Whether the result is what it must be, and the sentence that says so.
    verdict: (bool, String),
    plots: String,
    text: String,
}

fn write(path: &Path, page: &Page<'_>, report: &impl Serialize) -> Result<(), Failure> {
    let Page { name, did, verdict: (is_good, verdict), plots, text } = page;
    let title = format!("ottla bench {name}");
    let class = if *is_good { "good" } else { "bad" };
    let json = serde_json::to_string_pretty(report).expect("a report is plain data");
    let mut html =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let written = write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p>{}</p>\n<p class=\"{class}\">{}</p>\n{plots}\n<h2>Figures</h2>\n<pre>{}</pre>\n\
         <details><summary>JSON</summary><pre>{}</pre></details>\n\
         <p class=\"faint\">ottla {}</p></body></html>\n",
        escaped(did).replace('\n', "<br>"),
        escaped(verdict),
        escaped(text),
        escaped(&json),
        env!("CARGO_PKG_VERSION"),
    );
    written.expect("a string takes everything");
    std::fs::write(path, html).map_err(|error| Failure::file(path, &error))
}

/// Text between tags.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
