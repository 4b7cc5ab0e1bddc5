//! Stream processing: words are counted while the text comes, and each new count is a record of its
//! word in another topic. Who reads that to its end knows the count of every word.
//!
//! ```sh
//! cargo run --example word_count
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;

use cluster::{Cluster, Outcome};
use ottla::client::consumer::{Begin, Place};
use ottla::client::{Consumer, Producer};
use ottla::topic::PartitionId;
use std::collections::BTreeMap;
use std::process::ExitCode;

const BOOK: &str = include_str!("data/alice.txt");
const PARTITIONS: u32 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(1).await?;
    cluster.topic("lines", PARTITIONS).await?;
    let counts_topic = cluster.topic("counts", PARTITIONS).await?;
    let producer = Producer::builder(cluster.servers()).build()?;
    for (number, line) in BOOK.lines().enumerate() {
        producer.send("lines", number.to_string(), line).await?;
    }
    producer.flush().await?;

    let mut lines = Consumer::builder(cluster.servers())
        .group("word-count")
        .topics(["lines"])
        .begin(Begin::Earliest)
        .manual_commit()
        .build()?;
    let mut counts = BTreeMap::<String, u64>::new();
    for _ in BOOK.lines() {
        let line = lines.next().await?;
        for word in words(&line.text()) {
            let count = counts.entry(word.clone()).or_default();
            *count += 1;
            producer.send("counts", &word, count.to_string()).await?;
        }
    }
    // A line is done when the counts that it made are there.
    producer.close().await?;
    lines.commit().await?;
    lines.close().await?;

    let found = latest(&cluster, &counts_topic).await?;
    if found != counts {
        return Err("what was written differs from what was counted".into());
    }
    let mut often: Vec<_> = found.iter().collect();
    often.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), *word));
    for (word, count) in often.iter().take(5) {
        println!("{count:>4}  {word}");
    }
    let all: u64 = found.values().sum();
    println!("{all} words, {} different ones", found.len());
    cluster.stop().await
}

/// The last count of each word.
async fn latest(
    cluster: &Cluster,
    topic: &ottla::topic::TopicName,
) -> Outcome<BTreeMap<String, u64>> {
    let mut consumer = Consumer::builder(cluster.servers()).build()?;
    consumer.assign_topic(topic.as_str(), Place::Earliest).await?;
    let mut left = 0;
    for partition in (0..PARTITIONS).map(PartitionId) {
        left += consumer.client().ends(topic, partition).await?.high_watermark;
    }
    let mut latest = BTreeMap::new();
    for _ in 0..left {
        let record = consumer.next().await?;
        latest.insert(record.key_text().into_owned(), record.text().parse()?);
    }
    Ok(latest)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|letter: char| !letter.is_alphabetic() && letter != '’');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}
