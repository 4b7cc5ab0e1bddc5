//! The page: verdict first, then what proves it, then what happened.

use super::availability::{gaps, spans};
use super::chart::{distribution, latency, put, seconds, throughput};
use super::failover::{Failovers, failovers};
use super::lanes::{colour, nodes, partitions};
use super::{Report, escaped};
use crate::check::{Anomaly, Name, Verdict};
use crate::fault::Kind;
use crate::index::Index;
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");
/// Anomalies of each name that are shown with their lines.
const ANOMALIES_MAX: usize = 4;
/// Gaps that are listed, the longest first.
const GAPS_MAX: usize = 20;

pub(super) fn page(report: &Report<'_>) -> String {
    let summary = report.summary;
    let mut page = String::new();
    let title = format!("{} · {} · seed {}", summary.verdict, summary.workload, summary.seed);
    put!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>",
        escaped(&title)
    );
    verdict(report, &mut page);
    coverage(report, &mut page);
    anomalies(report, &mut page);
    over_time(report, &mut page);
    operations(report, &mut page);
    page + "</body></html>\n"
}

/// What a verdict says, to somebody who sees it for the first time.
fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => {
            "Nothing that clients saw contradicts what was promised, and every fault measurably did something."
        }
        Verdict::Invalid => "Clients saw what must not be: the operations that prove it are below.",
        Verdict::Unknown => "Too little was seen to tell: neither a pass nor a failure.",
    }
}

fn verdict(report: &Report<'_>, page: &mut String) {
    let summary = report.summary;
    let (verdict, workload) = (summary.verdict, escaped(&summary.workload));
    put!(
        page,
        "<header class=\"{verdict}\"><h1>{verdict}</h1><p>{}</p><p>{} nodes, workload {workload}, seed {}</p></header>",
        meaning(summary.verdict),
        report.index.header.nodes.len(),
        summary.seed
    );
    let injected: u64 = summary.faults.values().map(|fault| fault.injected).sum();
    let bad: u64 = summary.anomalies.values().sum();
    page.push_str("<section class=\"facts\">");
    for (number, words) in [
        (summary.acknowledged.to_string(), "records acknowledged"),
        (summary.lost.to_string(), "of them lost"),
        (bad.to_string(), "anomalies"),
        (injected.to_string(), "faults injected"),
        (format!("{:.1} s", summary.seconds), "of run"),
        (summary.events.to_string(), "events"),
    ] {
        put!(page, "<div><b>{number}</b>{words}</div>");
    }
    page.push_str("</section>");
    if !summary.reasons.is_empty() {
        page.push_str("<section class=\"doubt\"><h2>What this run does not prove</h2><ul>");
        for reason in &summary.reasons {
            put!(page, "<li>{}</li>", escaped(reason));
        }
        page.push_str("</ul></section>");
    }
    if !report.index.header.environment.is_empty() {
        page.push_str("<section><h2>Environment</h2><table>");
        for (name, value) in &report.index.header.environment {
            put!(page, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
        }
        page.push_str("</table></section>");
    }
}

fn coverage(report: &Report<'_>, page: &mut String) {
    page.push_str("<section><h2>Faults and what they did</h2>");
    if report.summary.faults.is_empty() {
        page.push_str("<p>No fault was injected.</p></section>");
        return;
    }
    page.push_str("<table><tr><th>fault</th><th>what it is</th><th class=\"n\">injected</th><th class=\"n\">with effect</th><th class=\"n\">skipped</th><th>measured effect</th></tr>");
    for (name, fault) in &report.summary.faults {
        let effects = fault
            .effect
            .iter()
            .map(|(name, amount)| format!("{amount} {}", name.replace('_', " ")));
        let reasons = fault.reasons.iter().cloned();
        let words: Vec<String> = effects.chain(reasons).collect();
        let about = name.parse::<Kind>().map_or("", Kind::about);
        let class = if fault.injected > 0 && fault.effective == 0 { " class=\"bad\"" } else { "" };
        put!(
            page,
            "<tr{class}><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escaped(name),
            escaped(&about.replace('`', "")),
            fault.injected,
            fault.effective,
            fault.skipped,
            escaped(&words.join(", "))
        );
    }
    page.push_str("</table></section>");
}

fn anomalies(report: &Report<'_>, page: &mut String) {
    let summary = report.summary;
    put!(page, "<section><h2>Anomalies</h2>");
    if summary.anomalies.is_empty() {
        put!(page, "<p>None of {} kinds.</p>", Name::ALL.len());
    }
    for (name, count) in &summary.anomalies {
        put!(
            page,
            "<h3>{name} <span class=\"count\">{count}</span></h3><p>{}</p>",
            escaped(name.meaning())
        );
        let shown = summary.shown.iter().filter(|anomaly| anomaly.name == *name);
        for anomaly in shown.take(ANOMALIES_MAX) {
            lines(report, anomaly, page);
        }
    }
    if !summary.allowed.is_empty() {
        page.push_str("<h3>Allowed, and counted</h3><table>");
        for (name, count) in &summary.allowed {
            put!(
                page,
                "<tr><td>{name}</td><td class=\"n\">{count}</td><td>{}</td></tr>",
                escaped(name.meaning())
            );
        }
        page.push_str("</table>");
    }
    page.push_str("</section>");
}

fn lines(report: &Report<'_>, anomaly: &Anomaly, page: &mut String) {
    let key = anomaly.key.map(|key| report.index.header.name_of(key) + ": ").unwrap_or_default();
    put!(
        page,
        "<div class=\"anomaly\"><p>{}{}</p><table class=\"lines\">",
        escaped(&key),
        escaped(&anomaly.what)
    );
    for event in &anomaly.events {
        let Some(line) = report.excerpt.lines.get(event) else { continue };
        put!(
            page,
            "<tr class=\"{kind}\"><td class=\"n\">{event}</td><td class=\"n\">{:.4} s</td><td>{}</td><td>{kind}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            seconds(line.time),
            escaped(&line.process),
            escaped(&line.f),
            escaped(&line.node),
            escaped(&line.value),
            kind = line.kind,
        );
    }
    page.push_str("</table></div>");
}

fn over_time(report: &Report<'_>, page: &mut String) {
    let index = report.index;
    let spans = spans(index);
    let gaps = gaps(index);
    page.push_str("<section><h2>Over time</h2><p class=\"key\"><i class=\"ok\"></i>ok <i class=\"info\"></i>unknown <i class=\"fail\"></i>failed <i class=\"band\"></i>a fault at work</p>");
    put!(page, "<h3>Operations per second</h3>{}", throughput(index, &spans));
    put!(page, "<h3>Latency</h3>{}", latency(index, &spans));
    page.push_str("<h3>Nodes</h3><p class=\"key\"><i class=\"up\"></i>up <i class=\"down\"></i>down <i class=\"paused\"></i>paused <i class=\"cut\"></i>cut off <i class=\"disk\"></i>disk fault</p>");
    page.push_str(&nodes(index, &spans));
    page.push_str("<h3>Partitions</h3><p class=\"key\">");
    for node in &index.header.nodes {
        put!(page, "<i class=\"leader{}\"></i>led by {} ", colour(index, node), escaped(node));
    }
    page.push_str(
        "<i class=\"none\"></i>without leader <i class=\"gap\"></i>acknowledged nothing</p>",
    );
    page.push_str(&partitions(index, &spans, &gaps));
    page.push_str("</section>");
    if !failovers(index).is_empty() {
        failover(index, page);
    }
    if !gaps.is_empty() {
        let mut longest = gaps;
        longest.sort_by_key(|gap| std::cmp::Reverse(gap.to - gap.from));
        put!(
            page,
            "<section><h2>Unavailability</h2><p>{} times a partition acknowledged nothing for much longer than usual; the longest:</p>",
            longest.len()
        );
        page.push_str("<table><tr><th>partition</th><th class=\"n\">from</th><th class=\"n\">for</th><th>cause</th></tr>");
        for gap in longest.iter().take(GAPS_MAX) {
            let causes =
                if gap.causes.is_empty() { "none known".to_owned() } else { gap.causes.join(", ") };
            put!(
                page,
                "<tr><td>{}</td><td class=\"n\">{:.2} s</td><td class=\"n\">{:.0} ms</td><td>{}</td></tr>",
                escaped(&index.header.name_of(gap.key)),
                seconds(gap.from),
                seconds(gap.to - gap.from) * 1e3,
                escaped(&causes)
            );
        }
        page.push_str("</table></section>");
    }
}

fn failover(index: &Index, page: &mut String) {
    let Failovers { all, by_fault } = Failovers::of(index);
    put!(
        page,
        "<section><h2>Failover</h2><p>From a strike at a partition's leader to the first acknowledgement of something sent after it: {all}.</p>"
    );
    page.push_str("<table><tr><th>fault</th><th class=\"n\">partitions</th><th class=\"n\">median</th><th class=\"n\">99 %</th><th class=\"n\">at most</th></tr>");
    for (name, waits) in &by_fault {
        put!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.0} ms</td><td class=\"n\">{:.0} ms</td><td class=\"n\">{:.0} ms</td></tr>",
            escaped(name),
            waits.count,
            waits.p50_ms,
            waits.p99_ms,
            waits.max_ms
        );
    }
    put!(page, "</table>{}</section>", distribution(&failovers(index)));
}

fn operations(report: &Report<'_>, page: &mut String) {
    page.push_str("<section><h2>Operations</h2><table><tr><th>operation</th><th class=\"n\">ok</th><th class=\"n\">unknown</th><th class=\"n\">failed</th></tr>");
    for (name, outcomes) in &report.summary.operations {
        put!(
            page,
            "<tr><td>{name}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            outcomes.ok,
            outcomes.info,
            outcomes.fail
        );
    }
    page.push_str("</table></section>");
}
