//! What a person reads of a run: one self-contained page, and the result for a build server.

mod availability;
mod chart;
mod excerpt;
mod failover;
mod junit;
mod lanes;
mod page;

pub use availability::{Gap, gaps};
pub use excerpt::Excerpt;
pub use failover::{Failover, Failovers, Waits, failovers};

use serde::Serialize;

use crate::check::Summary;
use crate::index::Index;

/// Everything that a report tells of.
pub struct Report<'a> {
    /// The history.
    pub index: &'a Index,
    /// Its verdict.
    pub summary: &'a Summary,
    /// The lines around its anomalies.
    pub excerpt: &'a Excerpt,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        page::page(self)
    }

    /// What a program reads: the summary, and how long failovers took.
    pub fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Told<'a> {
            #[serde(flatten)]
            summary: &'a Summary,
            failovers: Failovers,
        }
        let failovers = Failovers::of(self.index);
        serde_json::to_string_pretty(&Told { summary: self.summary, failovers })
    }

    /// One test case per anomaly name, in `JUnit`'s XML.
    pub fn junit(&self) -> String {
        junit::junit(self.summary)
    }
}

/// Text that means nothing to HTML or XML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML 1.0 knows no other control characters, not even escaped.
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::history::{Reader, Writer};
    use crate::model::{Shape, Workload, events, header};

    #[test]
    fn the_page_stands_alone_and_escapes_what_others_wrote() {
        let shape = Shape {
            seed: 1,
            operations: 2_000,
            keys: 3,
            clients: 5,
            workload: Workload::Log,
            fault_every: 500,
            replicas: 3,
        };
        let mut head = header(&shape);
        head.environment.insert("commit".into(), "<script>alert(1)</script>".into());
        let mut writer = Writer::begin(Vec::new(), &head).unwrap();
        let mut events = events(&shape);
        crate::model::mutation::MUTATIONS[0].apply(&mut events);
        for event in &mut events {
            writer.append(event).unwrap();
        }
        let history = writer.finish().unwrap();
        let index = Index::read(Reader::open(history.as_slice()).unwrap()).unwrap();
        let summary = check(&index);
        let excerpt = Excerpt::read(&summary, Reader::open(history.as_slice()).unwrap()).unwrap();
        let report = Report { index: &index, summary: &summary, excerpt: &excerpt };
        let page = report.html();
        for wanted in
            ["invalid", "kill-leader", "missing-acked", "&lt;script&gt;", "<svg", "terms advanced"]
        {
            assert!(page.contains(wanted), "{wanted}");
        }
        for foreign in ["<script", "http://", "https://", "@import", "url("] {
            let own = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(foreign), "{foreign}");
        }
        let told: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(told["verdict"], "invalid");
        let of_kills = &told["failovers"]["by_fault"]["kill-leader"];
        assert!(of_kills["count"].as_u64() > Some(0), "{of_kills}");
        let median = format!("{:.0} ms", of_kills["p50_ms"].as_f64().unwrap());
        assert!(page.contains(&median), "the page has the same: {median}");
        let junit = report.junit();
        assert!(junit.contains(r#"<failure message="missing-acked"#), "{junit}");
        assert_eq!(junit.matches("<testcase").count(), crate::check::Name::ALL.len() + 1);
    }
}
