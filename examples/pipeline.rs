//! Consume, transform, produce, exactly once: a program that is killed at any moment and started again
//! loses nothing and counts nothing twice.
//!
//! Each record of `sentences` becomes its words in `words`, in the partition of the same number. The
//! output says with each batch how far the input was read, in the header of its last record; so the last
//! record of the output is the state, written with the output or not at all. A batch is appended only
//! behind the one that this state was read from (`If-Match`), so that an answer that was lost, or a
//! second worker, can never append anything twice.
//!
//! The example starts its worker as a process of its own, lets it kill itself half-way, starts it again,
//! and compares.
//!
//! ```sh
//! cargo run --example pipeline
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;

use cluster::{Cluster, Outcome, flag};
use ottla::client::consumer::Place;
use ottla::client::{Acks, AppendAt, Client, Consumer, Producer, TopicPartition};
use ottla::topic::{PartitionId, TopicName};
use std::process::ExitCode;
use std::time::Duration;
use storage::batch::{BatchBuilder, Compression};
use tokio::process::Command;
use tokio::time::Instant;

const BOOK: &str = include_str!("data/alice.txt");
const PARTITIONS: u32 = 3;
/// The header that says where the input goes on.
const NEXT_INPUT: &str = "next-input";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    match flag("--die-after") {
        Some(batches) => cluster::run(work(batches)).await,
        None => cluster::run(example()).await,
    }
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(3).await?;
    cluster.topic("sentences", PARTITIONS).await?;
    cluster.topic("words", PARTITIONS).await?;
    let producer = Producer::builder(cluster.servers()).build()?;
    for (number, sentence) in sentences().enumerate() {
        producer.send("sentences", number.to_string(), sentence).await?;
    }
    producer.close().await?;

    for (die_after, survives) in [(5, false), (9, false), (u64::MAX, true)] {
        let status = worker(&cluster, die_after).await?;
        if status.success() != survives {
            return Err(format!("the worker ended with {status}").into());
        }
        println!("the worker ended with {status}");
    }

    let mut found = read(&cluster, "words").await?;
    let mut expected: Vec<String> = sentences().flat_map(words).map(str::to_owned).collect();
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        return Err(format!("{} words where {} are right", found.len(), expected.len()).into());
    }
    println!("{} words: none lost, none twice", found.len());
    cluster.stop().await
}

fn sentences() -> impl Iterator<Item = &'static str> {
    BOOK.split_inclusive(['.', '!', '?']).filter(|sentence| words(sentence).next().is_some())
}

fn words(sentence: &str) -> impl Iterator<Item = &str> {
    let words = sentence.split(|letter: char| !letter.is_alphabetic() && letter != '’');
    words.filter(|word| !word.is_empty())
}

/// Runs this program as the worker, and waits for its end.
async fn worker(cluster: &Cluster, die_after: u64) -> Outcome<std::process::ExitStatus> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--server", &cluster.servers().join(",")]);
    Ok(command.args(["--die-after", &die_after.to_string()]).status().await?)
}

/// The worker: goes on where the output says, until the input is done.
async fn work(die_after: String) -> Outcome<()> {
    let servers = flag("--server").ok_or("a worker needs --server")?;
    let servers: Vec<String> = servers.split(',').map(str::to_owned).collect();
    let mut left: u64 = die_after.parse()?;
    let input = TopicName::new("sentences")?;
    let output = TopicName::new("words")?;
    for partition in (0..PARTITIONS).map(PartitionId) {
        let client = Client::new(&servers, PATIENCE);
        let mut consumer = Consumer::builder(servers.clone()).build()?;
        let end = client.ends(&input, partition).await?.high_watermark;
        let mut state = state(&mut consumer, &output, partition).await?;
        let at = TopicPartition::new(input.clone(), partition);
        consumer.assign([(at, Place::Offset(state.next_input))])?;
        while state.next_input < end {
            let sentence = consumer.next().await?;
            state.next_input = sentence.offset + 1;
            append(
                &client,
                &output,
                partition,
                &words(&sentence.text()).collect::<Vec<_>>(),
                &mut state,
            )
            .await?;
            left -= 1;
            if left == 0 {
                // As a power cut would end it: nothing is closed, nothing is committed.
                std::process::abort();
            }
        }
    }
    Ok(())
}

/// How far a partition is, as its output says.
#[derive(Debug)]
struct State {
    /// The offset of the last record of the output, -1 if there is none.
    last_output: i64,
    next_input: u64,
}

async fn state(
    consumer: &mut Consumer,
    output: &TopicName,
    partition: PartitionId,
) -> Outcome<State> {
    let end = consumer.client().ends(output, partition).await?.high_watermark;
    let Some(last) = end.checked_sub(1) else {
        return Ok(State { last_output: -1, next_input: 0 });
    };
    let at = TopicPartition::new(output.clone(), partition);
    consumer.assign([(at, Place::Offset(last))])?;
    let record = consumer.next().await?;
    let header = record.headers.iter().find(|header| header.name == NEXT_INPUT);
    let value =
        header.and_then(|header| header.value.as_deref()).ok_or("output without a state")?;
    let next_input = std::str::from_utf8(value)?.parse()?;
    Ok(State { last_output: i64::try_from(last)?, next_input })
}

/// Appends words, the last one with the state, behind what the state was read from.
async fn append(
    client: &Client,
    output: &TopicName,
    partition: PartitionId,
    words: &[&str],
    state: &mut State,
) -> Outcome<()> {
    let next_input = state.next_input.to_string();
    let mut batch = BatchBuilder::new();
    for (number, word) in words.iter().enumerate() {
        let is_last = number + 1 == words.len();
        let header = is_last.then_some((NEXT_INPUT, Some(next_input.as_bytes())));
        batch.push(0, None, Some(word.as_bytes()), header);
    }
    let at = AppendAt {
        topic: output,
        partition,
        acks: Acks::Quorum,
        leader: None,
        after: Some(state.last_output),
    };
    let batch = batch.finish(Compression::None).into_bytes();
    client.append(at, batch, Instant::now() + PATIENCE).await?;
    state.last_output += i64::try_from(words.len())?;
    Ok(())
}

/// All values of a topic.
async fn read(cluster: &Cluster, topic: &str) -> Outcome<Vec<String>> {
    let mut consumer = Consumer::builder(cluster.servers()).build()?;
    consumer.assign_topic(topic, Place::Earliest).await?;
    let (name, mut left) = (TopicName::new(topic)?, 0);
    for partition in (0..PARTITIONS).map(PartitionId) {
        left += cluster.client().ends(&name, partition).await?.high_watermark;
    }
    let mut values = Vec::new();
    for _ in 0..left {
        values.push(consumer.next().await?.text().into_owned());
    }
    Ok(values)
}
