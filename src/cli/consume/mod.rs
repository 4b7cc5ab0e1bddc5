//! `ottla consume`: all partitions at once, each from its start without gap or repetition.
//!
//! ```text
//!   tail (one a partition) ── pages ──> here ── shape ──> standard output
//! ```
//!
//! As a member of a group it reads that group's share instead (`member`).
//!
//! Between partitions there is no order. A page is asked for again, from another broker if need be,
//! until it has come whole; only then the position moves on.

mod member;
mod shape;
mod start;
mod tail;

use super::exit::Exit;
use super::failure::Failure;
use super::output::{Format, Output};
use super::{clock, group, or_interrupt, topic};
use crate::client::Client;
use crate::coordinator::GroupName;
use crate::topic::{PartitionId, TopicName};
use clap::Args;
use shape::Shape;
use start::Start;
use std::collections::BTreeSet;
use storage::batch::RecordRef;
use tail::{Event, Page, Tail, Until};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pages that wait to be printed, beside the one that each partition holds.
const PAGES_WAITING_MAX: usize = 4;
/// Bytes asked for at once, over all partitions, and what a single one gets at least and at most.
const FETCH_BYTES_ALL: u64 = 32 * 1024 * 1024;
const FETCH_BYTES_MIN: u64 = 64 * 1024;
const FETCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What a batch may inflate to.
const INFLATED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Flags of `ottla consume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Format:
  %v value    %k key        %t topic   %p partition   %o offset   %T timestamp in ms
  %V its size %K its size   %h headers %H how many    %d time     %% %   \\n \\t \\r \\\\

Examples:
  ottla consume commits                        everything, and what comes
  ottla consume commits -o latest              only what comes
  ottla consume commits -o -10 --no-follow     the last 10 of each partition
  ottla consume commits -o @-1h                since an hour ago
  ottla consume commits -f '%p/%o %k: %v\\n' -n 5
  ottla consume commits -g billing             a share of it, going on where the group was")]
pub(super) struct ConsumeArgs {
    /// The topic
    #[arg(value_parser = topic::name, required_unless_present = "topic_pattern")]
    topic: Option<TopicName>,
    /// As a member of this group: its members share the partitions, and what was printed is committed
    #[arg(long, short, value_name = "GROUP", value_parser = group::name)]
    group: Option<GroupName>,
    /// Every topic, present or future, whose whole name matches; for a group
    #[arg(long, value_name = "REGEX", requires = "group", conflicts_with = "topic")]
    topic_pattern: Option<String>,
    /// Where to begin: earliest, latest, N (this offset), -N (the last N of each partition),
    /// @TIME (RFC 3339, ms since 1970, or -1h)
    #[arg(
        long,
        short,
        value_name = "WHERE",
        default_value = "earliest",
        allow_hyphen_values = true
    )]
    offset: Start,
    /// Only these partitions
    #[arg(long, short, value_name = "P,P…", value_delimiter = ',', conflicts_with = "group")]
    partitions: Vec<u32>,
    /// End after so many records
    #[arg(long, short, value_name = "COUNT")]
    num: Option<u64>,
    /// How each record is printed
    #[arg(long = "output", short = 'f', value_name = "FORMAT", default_value = "%v\\n")]
    shape: Shape,
    /// End at what is the end now, instead of waiting for more
    #[arg(long, conflicts_with = "group")]
    no_follow: bool,
}

/// Prints records until the count, the end or a signal.
pub(super) async fn run(
    mut args: ConsumeArgs,
    client: &Client,
    servers: &[String],
    output: &mut Output,
) -> Result<Exit, Failure> {
    match (args.group.take(), args.topic.clone()) {
        (Some(group), _) => member::run(args, &group, servers, client.timeout(), output).await,
        (None, Some(topic)) => or_interrupt(read(args, topic, client, output)).await,
        (None, None) => Err(Failure::new(Exit::Usage, "a topic is needed")),
    }
}

/// Prints the records of a topic.
async fn read(
    args: ConsumeArgs,
    name: TopicName,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    client.discover().await?;
    let topic = topic::found(client, &name).await?;
    let all = topic.partitions.iter().map(|at| at.partition);
    let wanted = wanted(&args, &name, &all.collect())?;
    let (pages, mut events) = mpsc::channel(PAGES_WAITING_MAX);
    let mut tails = JoinSet::new();
    let share = FETCH_BYTES_ALL / u64::try_from(wanted.len().max(1)).unwrap_or(u64::MAX);
    for partition in wanted {
        let tail = Tail {
            client: client.clone(),
            topic: name.clone(),
            partition: PartitionId(partition),
            start: args.offset,
            until: if args.no_follow { Until::TheEndNow } else { Until::Dropped },
            bytes_max: share.clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX),
            events: pages.clone(),
        };
        tails.spawn(tail.run());
    }
    drop(pages);
    let mut printing =
        Printing { topic: name, shape: args.shape, left: args.num, troubled: BTreeSet::new() };
    while printing.left != Some(0) {
        if events.is_empty() {
            output.flush()?;
        }
        match events.recv().await {
            Some(event) => printing.take(event, output)?,
            None => break,
        }
    }
    Ok(Exit::Done)
}

/// The partitions asked for, all if none was named.
fn wanted(
    args: &ConsumeArgs,
    topic: &TopicName,
    all: &BTreeSet<u32>,
) -> Result<BTreeSet<u32>, Failure> {
    let named: BTreeSet<u32> = args.partitions.iter().copied().collect();
    if named.is_empty() {
        return Ok(all.clone());
    }
    match named.difference(all).next() {
        None => Ok(named),
        Some(partition) => {
            let count = all.len();
            let message = format!("topic {topic} has no partition {partition}: it has {count}");
            Err(Failure::new(Exit::NotFound, message))
        }
    }
}

/// What is printed, and how much of it is left.
struct Printing {
    topic: TopicName,
    shape: Shape,
    left: Option<u64>,
    /// Partitions that are not read at the moment.
    troubled: BTreeSet<PartitionId>,
}

impl Printing {
    fn take(&mut self, event: Event, output: &mut Output) -> Result<(), Failure> {
        match event {
            Event::Page(page) => self.print(&page, output),
            Event::Trimmed { partition, missed } => {
                output.note(format!(
                    "partition {partition}: offsets {}..{} were removed before they were read",
                    missed.start, missed.end
                ));
                Ok(())
            }
            Event::Trouble { partition, why } => {
                if self.troubled.is_empty() {
                    output.note(format!("partition {partition}: {why}; trying on"));
                }
                self.troubled.insert(partition);
                Ok(())
            }
            Event::Recovered(partition) => {
                if self.troubled.remove(&partition) && self.troubled.is_empty() {
                    output.note("reading again");
                }
                Ok(())
            }
            Event::Failed(failure) => Err(failure),
        }
    }

    fn print(&mut self, page: &Page, output: &mut Output) -> Result<(), Failure> {
        for batch in &page.batches {
            let damaged = |error| {
                let at = format!("{} partition {}", self.topic, page.partition);
                Failure::new(Exit::Failed, format!("{at} offset {}: {error}", batch.base_offset()))
            };
            let records = batch.decode(INFLATED_BYTES_MAX).map_err(damaged)?;
            for record in records.iter_from(page.from) {
                let record = record.map_err(damaged)?;
                if self.left == Some(0) {
                    return Ok(());
                }
                self.left = self.left.map(|left| left - 1);
                self.record(page.partition, &record, output)?;
            }
        }
        Ok(())
    }

    fn record(
        &self,
        partition: PartitionId,
        record: &RecordRef<'_>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let record = shape::InBatch { topic: &self.topic, partition, record };
        match output.format() {
            Format::Json => output.json(&shape::Object(&record))?,
            Format::Text => {
                let mut bytes = Vec::new();
                self.shape.write(&mut bytes, &record);
                output.bytes(&bytes)?;
            }
        }
        Ok(())
    }
}
