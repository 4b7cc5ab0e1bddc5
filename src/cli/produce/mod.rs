//! `ottla produce`: lines in, batches out.
//!
//! ```text
//!   lines ── line ── keying ── gather ── closed batches ── lane (one a partition) ── broker
//! ```
//!
//! Invariants:
//! - one batch of a partition is under way at a time, so that lines keep their order in a partition;
//! - the batches that are not acknowledged have at most [`lane::UNDER_WAY_BYTES_MAX`] in all;
//! - a batch whose outcome is not known is sent again only with `--retry-unknown`.

mod gather;
mod header;
mod keying;
mod lane;
mod lines;
mod tally;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::{clock, interrupt, topic};
use crate::client::{Acks, Client};
use crate::topic::TopicName;
use clap::{Args, ValueEnum};
use gather::{Gather, Limits};
use header::Header;
use keying::Keying;
use lane::{Lanes, Sending};
use lines::Lines;
use std::path::PathBuf;
use std::time::Duration;
use storage::batch::Compression;
use tally::Tally;
use tokio::time::{Instant, sleep_until};

/// Flags of `ottla produce`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each line is a record. Lines with a key keep their order in the key's partition (murmur2 of the key,
as Kafka's clients do); lines without one go to the partitions in turn, a batch at a time.

What certainly was not appended is sent again until --timeout. If the outcome of a batch is not known
(the leader was lost while it had the batch), producing stops with exit code 6 and names the lines.

Examples:
  echo 'hello' | ottla produce greetings
  ottla produce access-log access.log -z zstd
  git log --format='%an:%s' | ottla produce commits --key-separator :
  ottla produce commits commits.jsonl --key-field author")]
pub(super) struct ProduceArgs {
    /// The topic
    #[arg(value_parser = topic::name)]
    topic: TopicName,
    /// A file of lines [default: standard input]
    file: Option<PathBuf>,
    #[command(flatten)]
    keying: KeyingArgs,
    /// A header for each record; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE")]
    headers: Vec<Header>,
    /// Send everything to this partition
    #[arg(long, short, value_name = "P")]
    partition: Option<u32>,
    /// Compress batches: none, gzip, snappy, lz4, zstd
    #[arg(long, short = 'z', value_name = "CODEC", default_value = "none")]
    compression: Compression,
    /// When a batch counts as sent
    #[arg(long, value_enum, default_value = "quorum")]
    acks: AcksArg,
    /// Send a batch again if its outcome is not known: its lines may be stored twice
    #[arg(long)]
    retry_unknown: bool,
    #[command(flatten)]
    batching: Batching,
}

/// Where keys come from.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct KeyingArgs {
    /// This key for each record
    #[arg(long, short)]
    key: Option<String>,
    /// The key is what stands in a line before the first SEPARATOR, the value what stands after it
    #[arg(long, value_name = "SEPARATOR")]
    key_separator: Option<String>,
    /// The key is a field of the line, which is a JSON object; the value is the whole line
    #[arg(long, value_name = "FIELD")]
    key_field: Option<String>,
}

/// When a batch is sent.
#[derive(Debug, Args)]
struct Batching {
    /// A batch is sent when it has so many records
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    batch_records: u32,
    /// … or so many bytes, before compression
    #[arg(long, value_name = "BYTES", default_value_t = 512 * 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    batch_bytes: u32,
    /// … or after this time
    #[arg(long, value_name = "MS", default_value_t = 10)]
    linger_ms: u64,
}

/// What an acknowledgement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcksArg {
    /// A majority of the replicas has it
    Quorum,
    /// The leader has it
    Leader,
    /// Nothing; a batch may be lost without a word
    None,
}

impl AcksArg {
    const fn acks(self) -> Acks {
        match self {
            Self::Quorum => Acks::Quorum,
            Self::Leader => Acks::Leader,
            Self::None => Acks::None,
        }
    }
}

/// Sends all lines, and tells how many there were.
pub(super) async fn run(
    args: ProduceArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let lines = Lines::open(args.file.as_deref()).await?;
    let brokers = client.discover().await?;
    let topic = topic::found(client, &args.topic).await?;
    let count = u32::try_from(topic.partitions.len()).expect("a topic has at most 1000 partitions");
    if let Some(partition) = args.partition.filter(|&partition| partition >= count) {
        let message = format!("topic {} has no partition {partition}: it has {count}", topic.name);
        return Err(Failure::new(Exit::NotFound, message));
    }
    let limits = Limits {
        records_max: args.batching.batch_records,
        bytes_max: args.batching.batch_bytes.try_into().expect("a usize has 32 bits at least"),
        linger: Duration::from_millis(args.batching.linger_ms),
    };
    let start = args.partition.unwrap_or_else(|| rand::random_range(0..count));
    let sending = Sending {
        client: client.clone(),
        topic: args.topic,
        compression: args.compression,
        acks: args.acks.acks(),
        retry_unknown: args.retry_unknown,
    };
    let producing = Producing {
        tally: Tally::new(lines.bytes(), output),
        lines,
        keying: args.keying.into(),
        gather: Gather::new(count, args.partition, start, limits, args.headers),
        lanes: Lanes::new(sending, lane::leaders(&topic, &brokers)),
    };
    let (tally, result) = producing.run().await;
    tally.tell(output)?;
    result
}

impl From<KeyingArgs> for Keying {
    fn from(args: KeyingArgs) -> Self {
        match (args.key, args.key_separator, args.key_field) {
            (Some(key), ..) => Self::Fixed(key.into_bytes()),
            (_, Some(separator), _) => Self::Before(separator.into_bytes()),
            (.., Some(field)) => Self::Field(field),
            (None, None, None) => Self::Without,
        }
    }
}

/// A run from the first line to the last acknowledgement.
struct Producing {
    lines: Lines,
    keying: Keying,
    gather: Gather,
    lanes: Lanes,
    tally: Tally,
}

/// Why no more lines are read.
enum Stop {
    End,
    Interrupted,
    Failed(Failure),
}

impl Producing {
    /// Reads until the end, then waits for what is under way; both end early at a failure.
    async fn run(mut self) -> (Tally, Result<Exit, Failure>) {
        let mut stop = self.read().await;
        if matches!(stop, Stop::Failed(_)) {
            self.tally.unsent(self.gather.open_records());
        } else {
            // What was read before Ctrl-C is still sent: those lines have left their source.
            for closed in self.gather.close_all() {
                self.lanes.submit(closed).await;
            }
        }
        self.lanes.close();
        let interrupted = interrupt();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                report = self.lanes.report() => match report {
                    Some(report) => {
                        if let Err(failure) = self.tally.take(report) {
                            stop = stop.and_failed(failure);
                        }
                    }
                    None => break,
                },
                // The first Ctrl-C ended the reading, if that had not ended before; this one is meant.
                () = &mut interrupted => {
                    stop = Stop::Interrupted;
                    break;
                }
            }
        }
        let result = match stop {
            Stop::End => Ok(Exit::Done),
            Stop::Interrupted => Err(Failure::interrupted()),
            Stop::Failed(failure) => Err(failure),
        };
        (self.tally, result)
    }

    async fn read(&mut self) -> Stop {
        let interrupted = interrupt();
        tokio::pin!(interrupted);
        loop {
            let due = self.gather.due();
            tokio::select! {
                biased;
                () = &mut interrupted => return Stop::Interrupted,
                Some(report) = self.lanes.report() => {
                    if let Err(failure) = self.tally.take(report) {
                        return Stop::Failed(failure);
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    for closed in self.gather.close_due(Instant::now()) {
                        self.lanes.submit(closed).await;
                    }
                }
                more = self.lines.fill() => match more {
                    Ok(more) => match self.take(more).await {
                        Ok(()) if more => {}
                        Ok(()) => return Stop::End,
                        Err(failure) => return Stop::Failed(failure),
                    },
                    Err(failure) => return Stop::Failed(failure),
                },
            }
        }
    }

    /// Takes all lines that were read so far; at the end also the one without a line end.
    async fn take(&mut self, more: bool) -> Result<(), Failure> {
        let now = clock::now_ms();
        let opened = Instant::now();
        loop {
            let (number, line) = match self.lines.next() {
                Some(line) => line,
                None if more => break,
                None => match self.lines.last() {
                    Some(line) => line,
                    None => break,
                },
            };
            let (key, value) = self
                .keying
                .split(line)
                .map_err(|why| Failure::new(Exit::Failed, format!("line {number}: {why}")))?;
            let closed = self.gather.push(&gather::Line { number, now, opened, key, value });
            for closed in closed {
                self.lanes.submit(closed).await;
            }
        }
        self.tally.read(self.lines.position());
        Ok(())
    }
}

impl Stop {
    /// Each partition may fail in its own way, and all of it is told.
    fn and_failed(self, failure: Failure) -> Self {
        match self {
            Self::End | Self::Interrupted => Self::Failed(failure),
            Self::Failed(first) => Self::Failed(first.and(failure)),
        }
    }
}
