//! The README's story, run end to end on real input, and checked:
//!
//! 1. starts a three-node cluster (`ottla demo`);
//! 2. publishes this repository's history as JSON lines, keyed by author, to six partitions;
//! 3. half-way, kills a leader with `kill -9`;
//! 4. consumes everything (`ottla consume`) and compares: the same records, in the order of their
//!    keys, nothing lost, nothing twice.
//!
//! Ends with 0 only if all of that holds.
//!
//! ```sh
//! cargo run --release --example walkthrough
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example tells a story")]
#![allow(clippy::indexing_slicing, reason = "a field that a JSON value does not have is null")]

mod cluster;
mod history;
mod publisher;
mod verdict;

use cluster::Cluster;
use history::Event;
use publisher::Publisher;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// All of it, or it has failed.
const DEADLINE: Duration = Duration::from_mins(3);
const TOPIC: &str = "history";
const PARTITIONS: u32 = 6;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let story = tokio::time::timeout(DEADLINE, tell()).await;
    match story.unwrap_or_else(|_late| Err(format!("not done within {DEADLINE:?}").into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn tell() -> Outcome<()> {
    let events = history::read()?;
    println!("{} records of real history, {} keys", events.len(), keys(&events));

    let cluster = Cluster::start().await?;
    println!("3 nodes: {}", cluster.addresses().join(", "));
    cluster.create_topic(TOPIC, PARTITIONS).await?;

    let publisher = Publisher::new(&cluster, TOPIC, PARTITIONS, &events);
    let done = publisher.run(&cluster).await?;
    println!(
        "published {} records in {:.2?}; half-way kill -9 of node {}, which led {} of {PARTITIONS} \
         partitions; its partitions took writes again after {:.0?}",
        events.len(),
        done.took,
        done.killed,
        done.led,
        done.gap,
    );

    let consumed = cluster.consume(TOPIC).await?;
    verdict::compare(&events, &consumed)?;
    println!(
        "consumed {} records: all there, none twice, each key in its order. It holds.",
        consumed.len()
    );
    cluster.stop().await
}

fn keys(events: &[Event]) -> usize {
    events.iter().map(|event| &event.key).collect::<std::collections::BTreeSet<_>>().len()
}
