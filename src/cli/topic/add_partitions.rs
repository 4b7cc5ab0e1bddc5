//! `ottla topic add-partitions`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::topic::TopicName;

/// Flags of `ottla topic add-partitions`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AddPartitionsArgs {
    /// The topic
    #[arg(value_parser = super::name)]
    name: TopicName,
    /// How many partitions it shall have then; keys go to other partitions afterwards
    #[arg(long, value_name = "N")]
    count: u32,
}

/// Adds them.
pub(super) async fn run(
    args: AddPartitionsArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let topic = client.grow(&args.name, args.count).await?;
    output
        .result(&topic, |topic| format!("topic {}: partitions {}", topic.name, topic.partitions))?;
    Ok(Exit::Done)
}
