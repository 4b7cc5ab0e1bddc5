//! The lines of a history around its anomalies, found in a second pass: the index keeps no lines.

use std::collections::BTreeMap;
use std::io::BufRead;

use crate::check::Summary;
use crate::history::{Event, Kind, Micro, Operation, Reader, ReaderError};

/// Anomalies of each name that are shown with their lines.
const ANOMALIES_MAX: usize = 4;
/// Records of one key that a line shows.
const RECORDS_MAX: usize = 12;

/// Events, as a person reads them, by their number.
#[derive(Default)]
pub struct Excerpt {
    /// The lines.
    pub lines: BTreeMap<u64, Line>,
}

/// One event in words.
pub struct Line {
    /// When.
    pub time: u64,
    /// Who.
    pub process: String,
    /// Beginning or end.
    pub kind: &'static str,
    /// What.
    pub f: String,
    /// The rest.
    pub value: String,
    /// Which node.
    pub node: String,
}

impl Excerpt {
    /// Reads the lines that the anomalies of a summary point at.
    pub fn read<R: BufRead>(summary: &Summary, reader: Reader<R>) -> Result<Excerpt, ReaderError> {
        let mut excerpt = Excerpt::default();
        let mut wanted = std::collections::BTreeSet::new();
        for name in crate::check::Name::ALL {
            let shown = summary.shown.iter().filter(|anomaly| anomaly.name == *name);
            wanted.extend(
                shown.take(ANOMALIES_MAX).flat_map(|anomaly| anomaly.events.iter().copied()),
            );
        }
        if wanted.is_empty() {
            return Ok(excerpt);
        }
        for event in reader {
            let event = event?;
            if wanted.contains(&event.index) {
                excerpt.lines.insert(event.index, line(&event));
            }
        }
        Ok(excerpt)
    }
}

fn line(event: &Event) -> Line {
    let error = event.detail.error.as_ref().map(|error| format!(" {error}")).unwrap_or_default();
    Line {
        time: event.time,
        process: event.process.to_string(),
        kind: event.kind.name(),
        f: event.operation.name().to_owned(),
        value: words(event) + &error,
        node: event.detail.node.clone().unwrap_or_default(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others say it themselves")]
fn words(event: &Event) -> String {
    let mut words = match &event.operation {
        Operation::FinalRead(replica) | Operation::ReplicaDump(replica) => {
            let (node, key, round) = (&replica.node, replica.key, replica.round);
            let (count, start, end) =
                (replica.records.len(), replica.log_start, replica.high_watermark);
            match event.kind {
                Kind::Invoke => format!("the copy of {key} on {node}, round {round}"),
                Kind::Ok | Kind::Fail | Kind::Info => {
                    format!("{count} records of {key} on {node} in {start}..{end}, round {round}")
                }
            }
        }
        other => match other.micros() {
            Some(micros) => micros.iter().map(micro).collect::<Vec<_>>().join("; "),
            None => format!("{other:?}"),
        },
    };
    if !event.detail.high_watermarks.is_empty() {
        words.push_str("; high watermarks");
    }
    for (key, told) in &event.detail.high_watermarks {
        words.extend([" ".to_owned(), key.to_string(), ":".to_owned(), told.to_string()]);
    }
    words
}

fn micro(micro: &Micro) -> String {
    match micro {
        Micro::Send(key, sent) => match sent.offset {
            Some(offset) => format!("send {} to {key} at {offset}", sent.value),
            None => format!("send {} to {key}", sent.value),
        },
        Micro::Poll(None) => "poll".to_owned(),
        Micro::Poll(Some(polled)) => {
            let keys = polled.iter().map(|(key, records)| {
                let shown = records.iter().take(RECORDS_MAX);
                let shown: Vec<String> =
                    shown.map(|seen| format!("{}:{}", seen.offset, seen.value)).collect();
                let more = records.len().saturating_sub(RECORDS_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{key} [{}{more}]", shown.join(" "))
            });
            format!("polled {}", keys.collect::<Vec<_>>().join(", "))
        }
    }
}
