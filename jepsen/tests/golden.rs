//! Histories with expected verdicts: `golden/NAME.ndjson`, and beside it `NAME.txt` with the verdict and the names.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use jepsen::check::check;
use jepsen::history::Reader;
use jepsen::index::Index;

#[test]
fn every_golden_history_gets_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut wrong = Vec::new();
    let mut judged = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ndjson") {
            continue;
        }
        let reader = Reader::open(BufReader::new(File::open(&path).unwrap())).unwrap();
        let summary = check(&Index::read(reader).unwrap());
        let names = summary.anomalies.keys().map(|name| name.word().to_owned());
        let got: Vec<String> = [summary.verdict.to_string()].into_iter().chain(names).collect();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        if expected.lines().collect::<Vec<_>>() != got {
            wrong.push(format!("{}: {got:?}", path.display()));
        }
        judged += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged >= 10, "{judged} golden histories");
}
