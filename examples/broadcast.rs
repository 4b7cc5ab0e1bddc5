//! Broadcast: two groups read the same topic, each all of it and each at its own pace.
//!
//! ```sh
//! cargo run --example broadcast
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;

use cluster::{Cluster, Outcome};
use ottla::client::consumer::Begin;
use ottla::client::{Consumer, Producer};
use std::process::ExitCode;

const BOOK: &str = include_str!("data/alice.txt");

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(1).await?;
    cluster.topic("book", 2).await?;
    let producer = Producer::builder(cluster.servers()).build()?;
    for (number, paragraph) in BOOK.lines().enumerate() {
        producer.send("book", number.to_string(), paragraph).await?;
    }
    producer.close().await?;

    let (readers, counters) = tokio::try_join!(
        receive(&cluster, "readers", |text| text.contains("Rabbit")),
        receive(&cluster, "counters", |text| text.contains("Dinah")),
    )?;
    println!("readers: {} paragraphs, the Rabbit in {}", readers.0, readers.1);
    println!("counters: {} paragraphs, Dinah in {}", counters.0, counters.1);
    if readers.0 != counters.0 {
        return Err("a group did not get everything".into());
    }
    cluster.stop().await
}

/// Everything there is, as a group of its own: how many records, and in how many something is found.
async fn receive(
    cluster: &Cluster,
    group: &str,
    finds: impl Fn(&str) -> bool,
) -> Outcome<(usize, usize)> {
    let builder = Consumer::builder(cluster.servers()).group(group).topics(["book"]);
    let mut consumer = builder.begin(Begin::Earliest).build()?;
    let (mut received, mut found) = (0, 0);
    while received < BOOK.lines().count() {
        let record = consumer.next().await?;
        received += 1;
        found += usize::from(finds(&record.text()));
    }
    consumer.close().await?;
    Ok((received, found))
}
