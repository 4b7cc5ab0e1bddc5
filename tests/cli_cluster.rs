//! The command against a cluster that it started itself.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// `ottla demo` on free ports; stopped when it is dropped.
struct Demo {
    process: Child,
    nodes: Vec<Value>,
    servers: String,
    data: TempDir,
}

impl Demo {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(data: TempDir) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["demo", "--any-port", "--format", "json", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready)
            .unwrap_or_else(|error| panic!("the demo said {ready:?}: {error}"));
        let nodes = ready["nodes"].as_array().unwrap().clone();
        let http: Vec<&str> = nodes.iter().map(|node| node["http"].as_str().unwrap()).collect();
        let servers = http.join(",");
        Self { process, nodes, servers, data }
    }

    /// The command, with this cluster as its server.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.args(args).env("OTTLA_SERVER", &self.servers).env_remove("OTTLA_FORMAT");
        command
    }

    fn ottla(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Standard output of a command that succeeds.
    fn said(&self, args: &[&str]) -> String {
        let output = self.ottla(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.said(&[args, &["--format", "json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {said}: {error}"))
    }

    /// Sends lines through standard input.
    fn produce(&self, args: &[&str], lines: &str) -> Output {
        let mut producer = self
            .command(&[&["produce"], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        producer.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        producer.wait_with_output().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn kill_node(&self, id: u64) {
        let node = self.nodes.iter().find(|node| node["id"] == id).unwrap();
        let pid = i32::try_from(node["pid"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    /// Asks it to stop; its directory stays.
    fn stop(mut self) -> TempDir {
        self.signal(Signal::INT);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        std::mem::replace(&mut self.data, tempfile::tempdir().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have been stopped before.
        if self.process.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            self.process.wait().unwrap();
        }
    }
}

fn lines(count: usize) -> String {
    let mut lines = String::new();
    for n in 0..count {
        writeln!(lines, "key-{}:value-{n}", n % 10).unwrap();
    }
    lines
}

#[test]
fn topics_are_created_listed_described_altered_and_deleted() {
    let demo = Demo::start();
    let created = demo.json(&["topic", "create", "orders", "-p", "6", "-r", "3"]);
    assert_eq!((&created["created"], &created["topic"]["partitions"]), (&true.into(), &6.into()));
    let again = demo.ottla(&["topic", "create", "orders", "-p", "6", "-r", "3"]);
    assert_eq!(again.status.code(), Some(5));
    let again = demo.json(&["topic", "create", "orders", "--if-not-exists"]);
    assert_eq!(again["created"], false);

    assert_eq!(demo.json(&["topic", "list"])[0]["name"], "orders");
    let table = demo.said(&["topic", "list"]);
    assert!(
        table.starts_with("TOPIC   PARTITIONS  REPLICAS\norders           6         3"),
        "{table}"
    );

    let view = demo.json(&["topic", "describe", "orders"]);
    assert_eq!(view["partitions"].as_array().unwrap().len(), 6);
    let text = demo.said(&["topic", "describe", "orders"]);
    assert!(text.contains("PARTITION") && text.contains("max.message.bytes"), "{text}");

    let altered = demo.json(&["topic", "alter", "orders", "--set", "max.message.bytes=60000"]);
    assert_eq!(
        (&altered[0]["name"], &altered[0]["value"]),
        (&"max.message.bytes".into(), &"60000".into())
    );
    let altered = demo.json(&["topic", "alter", "orders", "--delete", "max.message.bytes"]);
    assert_eq!(altered[0]["is_default"], true);

    let grown = demo.json(&["topic", "add-partitions", "orders", "--count", "8"]);
    assert_eq!(grown["partitions"], 8);

    assert_eq!(demo.json(&["topic", "delete", "orders", "--yes"])["deleted"][0], "orders");
    assert_eq!(demo.ottla(&["topic", "describe", "orders"]).status.code(), Some(3));
    assert_eq!(demo.json(&["topic", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn what_is_produced_is_consumed_in_the_order_of_its_keys() {
    let demo = Demo::start();
    demo.said(&["topic", "create", "events", "-p", "6"]);
    for (codec, count) in [("none", 1000), ("gzip", 10), ("snappy", 10), ("lz4", 10), ("zstd", 10)]
    {
        let args =
            ["events", "--key-separator", ":", "-z", codec, "-H", "from:test", "--format", "json"];
        let output = demo.produce(&args, &lines(count));
        assert_eq!(output.status.code(), Some(0), "{codec}: {output:?}");
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["records"], count, "{codec}");
    }
    let records = demo.said(&["consume", "events", "--no-follow", "--format", "json"]);
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records.lines() {
        let record: Value = serde_json::from_str(record).unwrap();
        assert_eq!(record["headers"][0]["value"], "test");
        let key = record["key"].as_str().unwrap().to_owned();
        keys.entry(key).or_default().push(record["value"].as_str().unwrap().to_owned());
    }
    assert_eq!(keys.len(), 10);
    for (key, values) in keys {
        let n: usize = key.strip_prefix("key-").unwrap().parse().unwrap();
        let first: Vec<String> = (0..100).map(|i| format!("value-{}", i * 10 + n)).collect();
        assert_eq!(values[..100], first, "{key}");
        assert_eq!(values[100..], vec![format!("value-{n}"); 4], "{key}");
    }
}

#[test]
fn consuming_begins_and_ends_where_it_is_told() {
    let demo = Demo::start();
    demo.said(&["topic", "create", "one"]);
    let output = demo.produce(&["one", "-k", "k"], "a\nb\nc\nd");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let consume = |args: &[&str]| demo.said(&[&["consume", "one", "-f", "%o%v "], args].concat());
    assert_eq!(consume(&["--no-follow"]), "0a 1b 2c 3d ");
    assert_eq!(consume(&["--no-follow", "-o", "-2"]), "2c 3d ");
    assert_eq!(consume(&["--no-follow", "-o", "1"]), "1b 2c 3d ");
    assert_eq!(consume(&["--no-follow", "-o", "latest"]), "");
    assert_eq!(consume(&["--no-follow", "-o", "@-1h"]), "0a 1b 2c 3d ");
    assert_eq!(consume(&["-n", "2"]), "0a 1b ", "a count ends it without --no-follow");
    assert_eq!(demo.ottla(&["consume", "one", "-p", "7"]).status.code(), Some(3));
    assert_eq!(demo.ottla(&["consume", "none-such"]).status.code(), Some(3));
    let beyond = demo.ottla(&["consume", "one", "--no-follow", "-o", "99"]);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("0..4"), "{beyond:?}");

    demo.said(&["topic", "trim", "one", "-p", "0", "--before", "2"]);
    assert_eq!(consume(&["--no-follow"]), "2c 3d ");
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let demo = Demo::start();
    demo.said(&["topic", "create", "pipe"]);
    let output = demo.produce(&["pipe"], &lines(50_000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut consumer = demo
        .command(&["consume", "pipe", "--no-follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    consumer.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn interrupted_commands_end_with_130() {
    let demo = Demo::start();
    demo.said(&["topic", "create", "wait"]);
    let output = demo.produce(&["wait"], "here\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut consumer = demo.command(&["consume", "wait"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(consumer.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    kill_process(Pid::from_child(&consumer), Signal::INT).unwrap();
    assert_eq!(consumer.wait().unwrap().code(), Some(130));
}

#[test]
fn a_consumer_and_a_producer_go_on_when_a_node_is_killed() {
    let demo = Demo::start();
    demo.said(&["topic", "create", "kill", "-p", "3", "-r", "3"]);
    let mut consumer = demo
        .command(&["consume", "kill", "-n", "2000", "-f", "%v\n"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = demo.produce(&["kill", "--key-separator", ":"], &lines(1000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let leader = demo.json(&["topic", "describe", "kill"])["partitions"][0]["leader"].as_u64();
    demo.kill_node(leader.unwrap());
    let output = demo.produce(&["kill", "--key-separator", ":"], &lines(1000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut came = String::new();
    consumer.stdout.take().unwrap().read_to_string(&mut came).unwrap();
    assert_eq!(consumer.wait().unwrap().code(), Some(0));
    let mut values: BTreeMap<&str, usize> = BTreeMap::new();
    came.lines().for_each(|value| *values.entry(value).or_default() += 1);
    assert_eq!(values.len(), 1000);
    assert!(values.values().all(|&times| times == 2), "{values:?}");
    assert_eq!(demo.ottla(&["cluster", "health"]).status.code(), Some(7));
}

#[test]
fn a_demo_started_again_goes_on_with_what_it_has() {
    let demo = Demo::start();
    assert_eq!(demo.json(&["cluster", "health"])["healthy"], true);
    let cluster = demo.json(&["cluster", "info"]);
    demo.said(&["topic", "create", "kept"]);
    let output = demo.produce(&["kept"], "still here\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let servers = demo.servers.clone();
    let demo = Demo::start_in(demo.stop());
    assert_eq!(demo.servers, servers);
    assert_eq!(demo.json(&["cluster", "info"])["cluster_id"], cluster["cluster_id"]);
    assert_eq!(demo.said(&["consume", "kept", "--no-follow"]), "still here\n");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let demo = Demo::start();
    let second = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(["demo", "--data"])
        .arg(demo.data.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(demo.nodes[0]["http"].as_str().unwrap()), "{said}");
    assert!(said.contains("--any-port"), "{said}");
}

#[test]
fn nodes_die_with_a_demo_that_is_killed() {
    let mut demo = Demo::start();
    demo.process.kill().unwrap();
    demo.process.wait().unwrap();
    for node in &demo.nodes {
        // The port is free once the node has gone; a deadline bounds the wait.
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(node["http"].as_str().unwrap()).is_ok() {
            assert!(begun.elapsed().as_secs() < 30, "node {} lives on", node["id"]);
            std::thread::yield_now();
        }
    }
}
