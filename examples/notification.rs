//! Notification: when a record was updated, those who want to know are told so, and fetch the record.
//! The notice holds no text, only where the record is; who needs it reads it there.
//!
//! ```sh
//! cargo run --example notification
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;

use cluster::{Cluster, Outcome};
use ottla::client::consumer::Place;
use ottla::client::{Consumer, Producer, TopicPartition};
use ottla::topic::{PartitionId, TopicName};
use std::process::ExitCode;

const BOOK: &str = include_str!("data/alice.txt");

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(1).await?;
    let paragraphs = cluster.topic("paragraphs", 3).await?;
    cluster.topic("updated", 1).await?;

    // Who writes says where, once the record is there to stay.
    let producer = Producer::builder(cluster.servers()).build()?;
    for (number, text) in BOOK.lines().enumerate() {
        let key = format!("paragraph {}", number + 1);
        let sent = producer.send("paragraphs", &key, text).await?.await?;
        let place = format!("{}:{}", sent.partition, sent.offset);
        producer.send("updated", &key, place).await?;
    }
    producer.close().await?;

    let mut notices = Consumer::builder(cluster.servers()).build()?;
    notices.assign_topic("updated", Place::Earliest).await?;
    let mut records = Consumer::builder(cluster.servers()).build()?;
    for _ in BOOK.lines() {
        let notice = notices.next().await?;
        let (partition, offset) = place(&notice.text())?;
        let text = fetch(&mut records, &paragraphs, partition, offset).await?;
        println!("{} was updated: {} bytes at {partition}:{offset}", notice.key_text(), text.len());
    }
    println!("{} notices, each with its record", BOOK.lines().count());
    cluster.stop().await
}

/// One record, wherever it is.
async fn fetch(
    records: &mut Consumer,
    topic: &TopicName,
    partition: PartitionId,
    offset: u64,
) -> Outcome<String> {
    let at = TopicPartition::new(topic.clone(), partition);
    records.assign([(at, Place::Offset(offset))])?;
    let record = records.next().await?;
    if record.offset != offset {
        return Err(format!("asked for {offset}, found {}", record.offset).into());
    }
    Ok(record.text().into_owned())
}

fn place(text: &str) -> Outcome<(PartitionId, u64)> {
    let (partition, offset) = text.split_once(':').ok_or("a notice without a place")?;
    Ok((PartitionId(partition.parse()?), offset.parse()?))
}
