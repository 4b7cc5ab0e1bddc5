//! `ottla bench` with nodes of its own: what it says is sane, and what was acknowledged was consumed.
//! How fast it was is nobody's business here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::{Cluster, Options};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use tokio::task::block_in_place;

/// One cluster at a time: a run of two seconds beside four others may see nothing at all.
static ONE: Mutex<()> = Mutex::new(());

fn command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(line.split_whitespace()).env_remove("OTTLA_FORMAT").env_remove("OTTLA_SERVER");
    command.stdin(Stdio::null());
    command
}

fn ottla(line: &str) -> Output {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    command(line).output().unwrap()
}

/// Starts a run, and sends it a signal once it has said this; gives its exit code.
fn ottla_until(said: &str, line: &str, signal: Signal) -> Option<i32> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut child = command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = lines.map(Result::unwrap).inspect(|line| eprintln!("{line}"));
    assert!(told.any(|line| line.contains(said)), "it never said {said:?}");
    kill_process(Pid::from_child(&child), signal).unwrap();
    assert_eq!(told.find(|line| line.contains("left behind")), None);
    child.wait().unwrap().code()
}

fn report(line: &str) -> Value {
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
    let report = report(line);
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
        for part in ["file", "file_each_copy", "http"] {
            assert!(
                report["roof"]["written_as_fraction_of"][part].as_f64().unwrap() > 0.0,
                "{report}"
            );
        }
    }
    assert_eq!(cost["broker_resident_bytes_max"].as_array().unwrap().len(), 3, "{cost}");
    let samples = cost["timeline"].as_array().unwrap();
    assert_eq!(samples.len(), report["written"]["timeline"].as_array().unwrap().len(), "{cost}");
    for sample in samples {
        let resident = sample["broker_resident_bytes"].as_array().unwrap();
        assert!(resident.len() == 3 && resident.iter().all(|bytes| bytes.as_u64() > Some(0)));
        assert!(sample["client_resident_bytes"].as_u64() > Some(0), "{sample}");
        assert!(sample["disk_megabytes_per_second"].is_number(), "{sample}");
    }
    assert_eq!((&report["engine"], &report["keep_bytes"]), (&"segment".into(), &Value::Null));
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
        ("bench produce --demo --keep 4", "no size"),
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
        ("produce --keep 1MiB --batch 256KiB -z lz4", &["written"]),
    ] {
        let report = report(&format!("bench {kind} {common}"));
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
    let report = report(&format!("bench failover --demo --times 1 --html {}", page.display()));
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
    let report = report("bench idle --demo --partitions 12 --duration 1s");
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{report}");
    assert!(nodes.iter().all(|node| node["resident_bytes"].as_u64().unwrap() > 0), "{report}");
    assert!(report["all_led_again_seconds"].as_f64().unwrap() > 0.0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_somebody_elses_is_left_as_it_was() {
    let cluster = Cluster::start(Options::three("segment")).await;
    cluster.create_topic("orders", 2, json!({})).await;
    let topics = async || cluster.get(0, "/v1/topics").await.unwrap();
    let before = topics().await;
    let run = format!(
        "bench produce --server {} -p 2 --producers 2 --batch 10 --warm-up 0s --no-roof",
        cluster.nodes[0].http
    );
    let done = block_in_place(|| report(&format!("{run} --duration 1s")));
    assert_compared(&done);
    assert!(done["engine"].is_null(), "nobody said which it is: {done}");
    assert_eq!(topics().await, before, "after a run");
    for (said, signal) in [
        ("records/s", Signal::INT),
        ("records/s", Signal::HUP),
        // The topic is about to be made, or just is.
        ("deleted afterwards", Signal::TERM),
    ] {
        let code = block_in_place(|| ottla_until(said, &format!("{run} --duration 1m"), signal));
        assert_eq!(code, Some(130), "{signal:?}");
        assert_eq!(topics().await, before, "after {signal:?}");
    }
    let refused = block_in_place(|| ottla(&format!("{run} --replication-factor 5")));
    assert!(!refused.status.success());
    assert_eq!(topics().await, before, "after a refusal");
}
