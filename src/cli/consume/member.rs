//! `ottla consume -g`: as a member of a group, which shares the partitions with its other members.
//!
//! What was printed is committed, at most a second later and when the command ends; then the member
//! leaves, so that others take over at once. What could not be printed is not committed.

use super::start::Start;
use super::{ConsumeArgs, Shape, shape};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::client::Consumer;
use crate::client::consumer::{Begin, Place, Record};
use crate::coordinator::{GroupName, TopicPartition};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// What was printed is committed this often.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Records printed at once.
const RECORDS_MAX: usize = 500;
/// How long one call waits for a record; the next one follows at once.
const POLL: Duration = Duration::from_secs(5);

/// Prints a member's share of the records until the count or a signal.
pub(super) async fn run(
    args: ConsumeArgs,
    group: &GroupName,
    servers: &[String],
    timeout: Duration,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let begin = match args.offset {
        Start::Earliest => Begin::Earliest,
        Start::Latest => Begin::Latest,
        Start::At(_) | Start::Last(_) | Start::Since(_) | Start::Ago(_) => {
            let message = "a group goes on where it was: --offset earliest or latest says where it \
                           begins for the first time";
            return Err(
                Failure::new(Exit::Usage, message).hint("`ottla group reset` moves a group")
            );
        }
    };
    let mut left = args.num.unwrap_or(u64::MAX);
    let records_max = usize::try_from(left).unwrap_or(RECORDS_MAX).clamp(1, RECORDS_MAX);
    let builder = Consumer::builder(servers.to_vec())
        .group(group.as_str())
        .client_id("ottla-consume")
        .begin(begin)
        .auto_commit(COMMIT_EVERY)
        .records_max(records_max)
        .request_timeout(timeout);
    let builder = match (&args.topic, &args.topic_pattern) {
        (Some(topic), _) => builder.topics([topic.as_str()]),
        (None, Some(pattern)) => builder.pattern(pattern),
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "a topic or --topic-pattern is needed"));
        }
    };
    let stop = stopped()?;
    tokio::pin!(stop);
    let mut consumer = builder.build()?;
    let ended = loop {
        if left == 0 {
            break Ok(Exit::Done);
        }
        let polled = tokio::select! {
            () = &mut stop => break Err(Failure::interrupted()),
            polled = next(&mut consumer, left) => polled,
        };
        match polled {
            Ok(records) => {
                left -= u64::try_from(records.len()).unwrap_or(left).min(left);
                if let Err(error) = print(&records, &args.shape, output) {
                    give_back(&mut consumer, &records)?;
                    break Err(error.into());
                }
            }
            Err(error) => break Err(error.into()),
        }
    };
    let closed = consumer.close().await.map_err(Failure::from);
    match (ended, closed) {
        (Ok(_), Err(closed)) => Err(closed),
        (ended, _) => ended,
    }
}

/// The next records, never more than are left: what is given out is taken for printed.
async fn next(consumer: &mut Consumer, left: u64) -> Result<Vec<Record>, crate::client::Error> {
    if left < u64::try_from(RECORDS_MAX).unwrap_or(u64::MAX) {
        return consumer.next().await.map(|record| vec![record]);
    }
    consumer.poll(POLL).await
}

fn print(records: &[Record], shape: &Shape, output: &mut Output) -> io::Result<()> {
    for record in records {
        match output.format() {
            Format::Json => output.json(&shape::Object(record))?,
            Format::Text => {
                let mut bytes = Vec::new();
                shape.write(&mut bytes, record);
                output.bytes(&bytes)?;
            }
        }
    }
    // Only what has left counts as printed.
    output.flush()
}

/// Goes back to before these records, so that they are not committed.
fn give_back(consumer: &mut Consumer, records: &[Record]) -> Result<(), Failure> {
    let mut firsts: BTreeMap<&Arc<TopicPartition>, u64> = BTreeMap::new();
    for record in records {
        firsts.entry(&record.at).or_insert(record.offset);
    }
    for (at, first) in firsts {
        consumer.seek(at, Place::Offset(first))?;
    }
    Ok(())
}

/// Resolves at SIGINT or SIGTERM.
fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
        return Err(Failure::new(Exit::Failed, "signals cannot be listened to"));
    };
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
