//! Whole runs of the command against real servers: one of each workload, and one that is killed and leaves
//! nothing. All need the server's binary beside this one, as a build of the whole workspace leaves it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

use jepsen::environment::janitor::is_mounted;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_mins(2);

fn server() -> Option<PathBuf> {
    let binary = Path::new(env!("CARGO_BIN_EXE_jepsen")).with_file_name("ottla");
    if !binary.is_file() {
        eprintln!("skipped: {} is not built", binary.display());
        return None;
    }
    Some(binary)
}

fn command(dir: &Path, server: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jepsen"));
    command.args(arguments).arg("--dir").arg(dir).arg("--binary").arg(server);
    command
}

/// Processes that have `words` on their command line.
fn processes_of(words: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(words) && line.contains("server")).collect()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn kills_and_cuts_on_loopback_lose_nothing_and_the_run_proves_it() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "--seed",
        "5",
        "--time",
        "15s",
        "--environment",
        "loopback",
        "--clients",
        "4",
        "--rate",
        "80",
        "--faults",
        "kill-leader,isolate-leader",
    ];
    let output = command(dir.path(), &server, &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let progress = String::from_utf8_lossy(&output.stderr).into_owned();
    let valid = said.lines().any(|line| line.starts_with("valid: "));
    assert!(output.status.success() && valid, "{said}\n{progress}");
    let summary = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert!(summary["acknowledged"].as_u64().unwrap() > 100, "{summary}");
    assert!(summary["faults"]["kill-leader"]["effect"]["processes_killed"].as_u64() > Some(0));
    assert!(summary["faults"]["isolate-leader"]["effect"]["packets_dropped"].as_u64() > Some(0));
    assert!(!dir.path().join("nodes").exists(), "its data is cleared away");
    assert_eq!(processes_of(dir.path().to_str().unwrap()), Vec::<String>::new());
}

/// What a short run of a workload says, with a leader or coordinator killed meanwhile.
fn run_of(workload: &str, faults: &str) -> Option<serde_json::Value> {
    let server = server()?;
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "--seed",
        "3",
        "--time",
        "12s",
        "--environment",
        "loopback",
        "--workload",
        workload,
        "--clients",
        "8",
        "--rate",
        "100",
        "--faults",
        faults,
    ];
    let output = command(dir.path(), &server, &arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let progress = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{progress}");
    let summary = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    Some(serde_json::from_str(&summary).unwrap())
}

#[test]
fn producers_that_insist_append_exactly_once() {
    let Some(summary) = run_of("idempotent", "kill-leader") else { return };
    assert_eq!(summary["workload"], "idempotent");
    assert!(summary["operations"]["send"]["ok"].as_u64() > Some(100), "{summary}");
    assert!(summary["fenced"].as_u64() > Some(0), "an older epoch was refused: {summary}");
}

#[test]
fn members_of_a_group_own_and_commit_while_its_coordinator_is_killed() {
    let Some(summary) = run_of("group", "kill-coordinator") else { return };
    assert!(summary["operations"]["group"]["ok"].as_u64() > Some(100), "{summary}");
    assert!(summary["operations"]["poll"]["ok"].as_u64() > Some(100), "{summary}");
}

#[test]
fn of_each_key_the_last_record_stays_while_leaders_are_killed() {
    let Some(summary) = run_of("compacted", "kill-leader") else { return };
    assert!(summary["compacted_away"].as_u64() > Some(0), "{summary}");
}

#[test]
fn topics_come_and_go_and_are_trimmed_while_leaders_are_killed() {
    let Some(summary) = run_of("topics", "kill-leader") else { return };
    assert!(summary["operations"]["metadata"]["ok"].as_u64() > Some(3), "{summary}");
}

#[test]
fn a_run_that_is_killed_leaves_nothing() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["run", "--seed", "5", "--time", "60s", "--faults", "none"];
    let mut run = command(dir.path(), &server, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the load begins", || {
        assert_eq!(run.try_wait().unwrap(), None, "the run ends by itself");
        fs::metadata(dir.path().join("history.ndjson")).is_ok_and(|found| found.len() > 10_000)
    });
    let words = dir.path().to_str().unwrap();
    assert_eq!(processes_of(words).len(), 3);
    run.kill().unwrap();
    run.wait().unwrap();
    until("its data is cleared away", || !dir.path().join("nodes").exists());
    assert_eq!(processes_of(words), Vec::<String>::new());
    assert!(!is_mounted(&dir.path().join("nodes/n1")));
}
