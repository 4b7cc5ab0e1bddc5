//! A work queue: three workers of one group share the work, each piece is done by one of them. When a
//! worker goes, the others take over what it had.
//!
//! ```sh
//! cargo run --example work_queue
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it got")]

mod cluster;

use cluster::{Cluster, Outcome};
use ottla::client::consumer::{Begin, Rebalance};
use ottla::client::{Consumer, Producer};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const BOOK: &str = include_str!("data/alice.txt");
const WORKERS: usize = 3;
const PARTITIONS: u32 = 6;

/// A piece of work that was done.
struct Done {
    worker: usize,
    job: String,
    words: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    cluster::run(example()).await
}

async fn example() -> Outcome<()> {
    let cluster = Cluster::open(1).await?;
    cluster.topic("jobs", PARTITIONS).await?;

    let (tell, mut done) = mpsc::channel(100);
    let (ready, mut shares) = mpsc::channel(100);
    let mut workers = JoinSet::new();
    for worker in 1..=WORKERS {
        let (tell, ready) = (tell.clone(), ready.clone());
        let announce = move |event: &Rebalance| {
            let (what, partitions) = read(event);
            println!("worker {worker} {what} {partitions:?}");
            // The receiver is gone once all have their shares.
            ready.try_send((worker, event.clone())).ok();
        };
        let consumer = Consumer::builder(cluster.servers())
            .group("workers")
            .topics(["jobs"])
            .begin(Begin::Earliest)
            .on_rebalance(announce)
            .build()?;
        workers.spawn(work(worker, consumer, tell));
    }
    drop(tell);
    until_shared(&mut shares).await?;

    let producer = Producer::builder(cluster.servers()).build()?;
    let sentences: Vec<&str> = BOOK.split_inclusive(['.', '!', '?']).collect();
    for (number, sentence) in sentences.iter().enumerate() {
        producer.send("jobs", number.to_string(), sentence).await?;
    }
    producer.close().await?;

    let (mut words, mut jobs) = (BTreeMap::<usize, usize>::new(), BTreeSet::new());
    while jobs.len() < sentences.len() {
        let Done { worker, job, words: count } = done.recv().await.ok_or("all workers ended")?;
        *words.entry(worker).or_default() += count;
        if !jobs.insert(job.clone()) {
            return Err(format!("job {job} was done twice").into());
        }
    }
    for (worker, words) in &words {
        println!("worker {worker} counted {words} words");
    }
    let (all, busy) = (words.values().sum::<usize>(), words.len());
    println!("{} jobs done once each by {busy} workers: {all} words", jobs.len());
    workers.shutdown().await;
    cluster.stop().await
}

/// Takes one job after the other, for ever.
async fn work(worker: usize, mut consumer: Consumer, tell: mpsc::Sender<Done>) -> Outcome<()> {
    loop {
        for job in consumer.poll(Duration::from_secs(1)).await? {
            let words = job.text().split_whitespace().count();
            tell.send(Done { worker, job: job.key_text().into_owned(), words }).await?;
        }
        consumer.commit().await?;
    }
}

/// Waits until every worker has its share, so that the book is not read by the first one alone.
async fn until_shared(shares: &mut mpsc::Receiver<(usize, Rebalance)>) -> Outcome<()> {
    let mut held = BTreeMap::<usize, BTreeSet<u32>>::new();
    let is_shared = |held: &BTreeMap<usize, BTreeSet<u32>>| {
        let sizes: Vec<usize> = held.values().map(BTreeSet::len).collect();
        sizes == [2; WORKERS]
    };
    while !is_shared(&held) {
        let (worker, event) = shares.recv().await.ok_or("all workers ended")?;
        let held = held.entry(worker).or_default();
        let (_, partitions) = read(&event);
        match event {
            Rebalance::Assigned(_) => held.extend(partitions),
            Rebalance::Revoked(_) | Rebalance::Lost(_) => {
                held.retain(|held| !partitions.contains(held));
            }
        }
    }
    Ok(())
}

/// What happens to a worker's share, and the partitions.
fn read(event: &Rebalance) -> (&'static str, Vec<u32>) {
    let (what, partitions) = match event {
        Rebalance::Assigned(partitions) => ("takes", partitions),
        Rebalance::Revoked(partitions) => ("gives back", partitions),
        Rebalance::Lost(partitions) => ("lost", partitions),
    };
    (what, partitions.iter().map(|at| at.partition.0).collect())
}
