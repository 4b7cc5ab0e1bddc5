//! `ottla bench` with nodes of its own: what it says is sane, and what was acknowledged was consumed.
//! How fast it was is nobody's business here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// One cluster at a time: a run of two seconds beside four others may see nothing at all.
static ONE: Mutex<()> = Mutex::new(());

fn ottla(line: &str) -> Output {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(line.split_whitespace()).env_remove("OTTLA_FORMAT").env_remove("OTTLA_SERVER");
    command.stdin(Stdio::null()).output().unwrap()
}

fn json(line: &str) -> Value {
    let output = ottla(&format!("{line} --format json"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What every run that compares must say.
fn assert_compared(report: &Value) {
    let comparison = &report["comparison"];
    assert_eq!(comparison["equal"], true, "{comparison}");
    assert_eq!(comparison["acknowledged"], comparison["consumed"], "{comparison}");
    assert!(comparison["acknowledged"]["records"].as_u64().unwrap() > 0, "{comparison}");
}

/// Of what was seen within the window, which on a slow machine may be nothing.
fn assert_flow(flow: &Value) {
    let number = |name: &str| flow[name].as_f64().unwrap();
    assert!(!flow["timeline"].as_array().unwrap().is_empty(), "{flow}");
    assert!(number("records") >= number("requests"), "{flow}");
    if number("requests") > 0.0 {
        let latency = |name: &str| flow["latency_ms"][name].as_f64().unwrap();
        assert!(latency("p50") > 0.0 && latency("p50") <= latency("p99"), "{flow}");
        assert!(latency("p99") <= latency("max"), "{flow}");
        assert!(!flow["percentiles"].as_array().unwrap().is_empty(), "{flow}");
    }
}

#[test]
fn producing_says_what_was_written_and_what_it_cost() {
    let line = "bench produce --demo --duration 2s --warm-up 500ms --partitions 4 --producers 4 \
                --batch 10";
    let report = json(line);
    assert_compared(&report);
    assert_flow(&report["written"]);
    let (acknowledged, written) = (&report["comparison"]["acknowledged"], &report["written"]);
    assert!(written["records"].as_u64() <= acknowledged["records"].as_u64(), "{report}");
    let bytes = acknowledged["bytes"].as_u64().unwrap();
    assert_eq!(bytes, 100 * acknowledged["records"].as_u64().unwrap(), "a record has 100 bytes");
    let cost = &report["cost"];
    assert!(cost["flushes_per_second"].as_f64().unwrap() > 0.0, "{cost}");
    if written["records"].as_u64() > Some(0) {
        assert!(cost["broker_cpu_seconds_per_million"].as_f64().unwrap() > 0.0, "{cost}");
        assert!(report["roof"]["of_echo"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert_eq!(cost["broker_resident_bytes_max"].as_array().unwrap().len(), 3, "{cost}");
    assert!(report["roof"]["file_megabytes_per_second"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn a_wrong_option_is_named_with_its_bounds_before_anything_is_started() {
    for (line, told) in [
        ("bench produce --demo --record-size 8", "--record-size 8: 32 to 1048576"),
        ("bench produce --demo --batch 5MiB", "at most 4194304"),
        ("bench produce --demo --duration 0s", "--duration"),
        ("bench produce --demo --path single --batch 9", "--batch 9"),
        ("bench produce --engine sled", "--demo"),
    ] {
        let output = ottla(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(stderr.contains(told), "{line}: {stderr}");
    }
}

#[test]
fn every_kind_of_run_compares_what_was_read_with_what_was_acknowledged() {
    let common = "--demo --duration 1s --warm-up 0s --partitions 3 --producers 3 --no-roof";
    for (kind, flows) in [
        ("consume --records 5000 --consumers 2", &["read"][..]),
        ("e2e --path json --rate 2000 --batch 10 --consumers 2", &["written", "read"]),
        ("mixed --path single --records 50 --consumers 5", &["written", "read"]),
        ("produce --path ndjson --batch 100 -z zstd --acks leader --flush os", &["written"]),
    ] {
        let report = json(&format!("bench {kind} {common}"));
        assert_compared(&report);
        for flow in flows {
            assert_flow(&report[flow]);
        }
        if flows.contains(&"read") {
            let delivered = &report["delivered"];
            assert_eq!(delivered["equal"], true, "{kind}: {delivered}");
            assert!(delivered["records"].as_u64().unwrap() > 0, "{kind}: {delivered}");
        }
        assert!(report["roof"].is_null(), "{kind}: {report}");
    }
}

#[test]
fn leaders_go_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    let report = json(&format!("bench failover --demo --times 1 --html {}", page.display()));
    assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()), "{report}");
    assert!(report["acknowledged"].as_u64().unwrap() > 0, "{report}");
    let faults = report["faults"].as_array().unwrap();
    let name = |at: usize| faults[at]["fault"].as_str().unwrap();
    assert_eq!([name(0), name(1), name(2)], ["kill", "terminate", "pause"], "{report}");
    for fault in faults {
        let gaps = fault["gaps_ms"].as_array().unwrap();
        assert!(gaps.iter().all(|gap| gap.as_f64().unwrap() > 0.0), "{fault}");
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"), "{page}");
    assert!(!page.contains("src=") && !page.contains("href="), "one page that needs no other");
}

#[test]
fn idle_partitions_are_watched_and_led_again() {
    let report = json("bench idle --demo --partitions 12 --duration 1s");
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{report}");
    assert!(nodes.iter().all(|node| node["resident_bytes"].as_u64().unwrap() > 0), "{report}");
    assert!(report["all_led_again_seconds"].as_f64().unwrap() > 0.0, "{report}");
}
