//! Consumer groups by the command: `ottla consume -g` as a process that is stopped, beside brokers that are
//! killed, and `ottla group`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::{Cluster, DEADLINE, Options, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// The command, with all nodes as its servers.
fn command(cluster: &Cluster, args: &[&str]) -> Command {
    let servers: Vec<&str> = cluster.nodes.iter().map(|node| node.http.as_str()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env("OTTLA_SERVER", servers.join(",")).env_remove("OTTLA_FORMAT");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn ottla(cluster: &Cluster, args: &[&str]) -> Output {
    let running = command(cluster, args).output();
    timeout(DEADLINE, running).await.unwrap_or_else(|_| panic!("{args:?} hangs")).unwrap()
}

/// Standard output of a command that succeeds.
async fn said(cluster: &Cluster, args: &[&str]) -> String {
    let output = ottla(cluster, args).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(cluster: &Cluster, args: &[&str]) -> Value {
    let said = said(cluster, &[args, &["--format", "json"]].concat()).await;
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {said}: {error}"))
}

/// A consumer that runs.
struct Consumer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Consumer {
    fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let args = [&["consume", "-f", "%t %v\\n"], args].concat();
        let mut process = command(cluster, &args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        let line = timeout(DEADLINE, self.lines.next_line()).await.expect("a record comes");
        line.unwrap().expect("it goes on")
    }

    /// Asks it to stop; gives its exit code.
    async fn stop(mut self, signal: Signal) -> Option<i32> {
        let pid = i32::try_from(self.process.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let status = timeout(DEADLINE, self.process.wait()).await.expect("it stops").unwrap();
        status.code()
    }
}

async fn produce(cluster: &Cluster, at: usize, topic: &str, values: std::ops::Range<u32>) {
    let records: Vec<Value> =
        values.map(|value| json!({ "partition": value % 4, "value": value.to_string() })).collect();
    let body = json!({ "records": records });
    let url = cluster.url(at, &format!("/v1/topics/{topic}/records"));
    eventually("the records are taken", async || {
        let answer = cluster.client.post(&url).json(&body).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
}

async fn members(cluster: &Cluster, at: usize) -> usize {
    let group = cluster.get(at, "/v1/groups/g").await;
    group.map_or(usize::MAX, |group| group["members"].as_array().unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_consumed_described_reset_and_deleted() {
    let cluster = Cluster::start(Options::three("segment")).await;
    cluster.create_topic("t", 4, json!({})).await;
    produce(&cluster, 0, "t", 0..100).await;
    assert!(said(&cluster, &["group", "list"]).await.is_empty());

    // What one run printed the next one does not, and together it is everything.
    let first = said(&cluster, &["consume", "t", "-g", "g", "-n", "60"]).await;
    let second = said(&cluster, &["consume", "t", "-g", "g", "-n", "40"]).await;
    assert_eq!((first.lines().count(), second.lines().count()), (60, 40));
    let all: BTreeSet<&str> = first.lines().chain(second.lines()).collect();
    assert_eq!(all.len(), 100);

    let group = json_of(&cluster, &["group", "describe", "g"]).await;
    assert_eq!((&group["state"], &group["lag"]), (&json!("empty"), &json!(0)), "{group}");
    let text = said(&cluster, &["group", "describe", "g"]).await;
    assert!(text.contains("group        g\nstate        empty"), "{text}");
    assert!(text.contains("TOPIC  PARTITION  COMMITTED  START  END  LAG  MEMBER"), "{text}");
    let list = said(&cluster, &["group", "list"]).await;
    assert!(list.lines().nth(1).unwrap().starts_with("g      empty"), "{list}");

    // A reset is shown first.
    let plan = ottla(&cluster, &["group", "reset", "g", "--to", "earliest"]).await;
    let (shown, note) = (plan.stdout, String::from_utf8(plan.stderr).unwrap());
    assert_eq!(String::from_utf8(shown).unwrap().lines().count(), 5, "a row a partition");
    assert!(note.contains("--execute"), "{note}");
    assert_eq!(json_of(&cluster, &["group", "describe", "g"]).await["lag"], 0, "nothing changed");
    let done = json_of(&cluster, &["group", "reset", "g", "--by", "-5", "--execute"]).await;
    assert_eq!(done["dry_run"], false);
    assert_eq!(done["offsets"][0], json!({ "topic": "t", "partition": 0, "from": 25, "to": 20 }));
    assert_eq!(json_of(&cluster, &["group", "describe", "g"]).await["lag"], 20);

    // With a member it cannot be moved; the member leaves at once when it is told to stop.
    let mut consumer = Consumer::start(&cluster, &["t", "-g", "g"]);
    for _ in 0..20 {
        consumer.line().await;
    }
    let refused = ottla(&cluster, &["group", "reset", "g", "--to", "latest", "--execute"]).await;
    assert_eq!(refused.status.code(), Some(5));
    assert_eq!(ottla(&cluster, &["group", "delete", "g"]).await.status.code(), Some(5));
    assert_eq!(consumer.stop(Signal::TERM).await, Some(130));
    let group = json_of(&cluster, &["group", "describe", "g"]).await;
    assert_eq!((&group["state"], &group["lag"]), (&json!("empty"), &json!(0)), "{group}");
    assert_eq!(json_of(&cluster, &["group", "delete", "g"]).await, json!({ "deleted": ["g"] }));
    assert_eq!(ottla(&cluster, &["group", "describe", "g"]).await.status.code(), Some(3));

    for wrong in [
        &["consume", "t", "-g", "g", "-o", "17"][..],
        &["consume", "t", "--topic-pattern", "t.*"],
        &["consume"],
        &["group", "reset", "g"],
    ] {
        assert_eq!(ottla(&cluster, wrong).await.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_go_on_when_a_broker_is_killed_and_take_over_from_each_other() {
    let mut cluster = Cluster::start(Options::three("segment")).await;
    cluster.create_topic("a", 4, json!({})).await;
    cluster.create_topic("b", 4, json!({})).await;
    let pattern = ["-g", "g", "--topic-pattern", "[ab]"];
    let mut one = Consumer::start(&cluster, &pattern);
    let two = Consumer::start(&cluster, &pattern);
    eventually("both are in, and have their share", async || {
        let group = cluster.get(0, "/v1/groups/g").await?;
        let members = group["members"].as_array()?;
        let halves = members.iter().all(|each| each["assigned"].as_array().unwrap().len() == 4);
        (members.len() == 2 && halves).then_some(())
    })
    .await;
    assert_eq!(two.stop(Signal::INT).await, Some(130));
    eventually("the one that stopped has left", async || {
        (members(&cluster, 0).await == 1).then_some(())
    })
    .await;

    produce(&cluster, 0, "a", 0..8).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 8 {
        seen.insert(one.line().await);
    }
    cluster.kill(0);
    produce(&cluster, 1, "a", 8..16).await;
    produce(&cluster, 1, "b", 0..8).await;
    while seen.len() < 24 {
        seen.insert(one.line().await);
    }
    assert!(seen.contains("a 15") && seen.contains("b 7"), "{seen:?}");
    assert_eq!(one.stop(Signal::TERM).await, Some(130));
    eventually("it has left, and committed what it printed", async || {
        let group = cluster.get(1, "/v1/groups/g").await?;
        (group["state"] == "empty" && group["lag"] == 0).then_some(())
    })
    .await;
}
