//! `ottla topic trim`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::topic::{PartitionId, TopicName};

/// Flags of `ottla topic trim`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TrimArgs {
    /// The topic
    #[arg(value_parser = super::name)]
    name: TopicName,
    /// The partition
    #[arg(long, short, value_name = "P")]
    partition: u32,
    /// The first offset to keep
    #[arg(long, value_name = "OFFSET")]
    before: u64,
}

/// Moves the log start up.
pub(super) async fn run(
    args: TrimArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let TrimArgs { name, partition, before } = args;
    let ends = client.trim(&name, PartitionId(partition), before).await?;
    output.result(&ends, |ends| {
        format!("{name} partition {partition}: offsets {}..{}", ends.log_start, ends.high_watermark)
    })?;
    Ok(Exit::Done)
}
