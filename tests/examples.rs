//! The examples, run as they are: each with its own cluster, its output compared with what is right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const BOOK: &str = include_str!("../examples/data/alice.txt");
const LOG: &str = include_str!("../examples/data/nasa-1995.log");

/// Where the examples are. `cargo test` of all targets has built them; of this one alone it has not.
fn examples() -> &'static PathBuf {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let mut build = Command::new(cargo);
        build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--workspace", "--examples"]);
        let status = build.arg("--quiet").stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "cargo build --examples: {status}");
        PathBuf::from(env!("CARGO_BIN_EXE_ottla")).with_file_name("examples")
    })
}

/// Runs an example to its end; its lines.
fn run(name: &str) -> Vec<String> {
    let output = Command::new(examples().join(name)).stdin(Stdio::null()).output().unwrap();
    let (said, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{said}\n{failed}", output.status);
    said.lines().map(str::to_owned).collect()
}

fn last(lines: &[String]) -> &str {
    lines.last().unwrap()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_alphabetic() && letter != '’');
    words.filter(|word| !word.is_empty())
}

fn sentences() -> impl Iterator<Item = &'static str> {
    BOOK.split_inclusive(['.', '!', '?'])
}

#[test]
fn notification_fetches_the_record_of_each_notice() {
    let lines = run("notification");
    for (number, text) in BOOK.lines().enumerate() {
        let expected = format!("paragraph {} was updated: {} bytes", number + 1, text.len());
        assert!(lines[number].starts_with(&expected), "{}", lines[number]);
    }
    assert_eq!(last(&lines), format!("{} notices, each with its record", BOOK.lines().count()));
}

#[test]
fn work_queue_does_each_job_once_and_every_worker_has_some() {
    let lines = run("work_queue");
    let jobs = sentences().count();
    let all: usize = sentences().map(|sentence| sentence.split_whitespace().count()).sum();
    assert_eq!(last(&lines), format!("{jobs} jobs done once each by 3 workers: {all} words"));
}

#[test]
fn broadcast_gives_all_to_both_groups() {
    let lines = run("broadcast");
    let all = BOOK.lines().count();
    let with = |word| BOOK.lines().filter(|line| line.contains(word)).count();
    let expected = [
        format!("readers: {all} paragraphs, the Rabbit in {}", with("Rabbit")),
        format!("counters: {all} paragraphs, Dinah in {}", with("Dinah")),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn etl_reads_one_day_and_stops() {
    let lines = run("etl");
    let of_the_day = LOG.lines().filter(|line| line.contains("[01/Jul/1995:"));
    let gifs = of_the_day.clone().filter(|line| line.contains(".gif "));
    let bytes = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    let expected = format!("gif,{},{}", gifs.clone().count(), gifs.map(bytes).sum::<u64>());
    assert!(lines.contains(&expected), "{expected} in {lines:?}");
    let (day, all) = (of_the_day.count(), LOG.lines().count());
    assert_eq!(last(&lines), format!("{day} requests of {all} on that day"));
}

#[test]
fn word_count_counts_every_word() {
    let lines = run("word_count");
    let all: Vec<String> = words(BOOK).map(str::to_lowercase).collect();
    let mut different = all.clone();
    different.sort_unstable();
    different.dedup();
    let expected = format!("{} words, {} different ones", all.len(), different.len());
    assert_eq!(last(&lines), expected);
    let the = all.iter().filter(|word| *word == "the").count();
    assert!(lines.contains(&format!("{the:>4}  the")), "{lines:?}");
}

#[test]
fn pipeline_is_killed_twice_and_loses_and_doubles_nothing() {
    let lines = run("pipeline");
    let killed = lines.iter().filter(|line| line.contains("signal: 6"));
    assert_eq!(killed.count(), 2, "{lines:?}");
    assert_eq!(last(&lines), format!("{} words: none lost, none twice", words(BOOK).count()));
}

#[test]
fn activity_counts_visitors_paths_and_answers() {
    let lines = run("activity");
    let mut hosts: Vec<&str> = LOG.lines().filter_map(|line| line.split(' ').next()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let bytes = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    let (requests, bytes) = (LOG.lines().count(), LOG.lines().map(bytes).sum::<u64>());
    let expected = format!("{requests} requests by {} visitors, {bytes} bytes", hosts.len());
    assert_eq!(lines[0], expected);
    let ok = LOG.lines().filter(|line| line.contains("\" 200 ")).count();
    assert!(lines.contains(&format!("{ok:>4}  answered 200")), "{lines:?}");
}
