//! `ottla topic`: one file per verb, one `match` over them.

mod add_partitions;
mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod setting;
mod trim;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::broker::TopicView;
use crate::client::Client;
use crate::topic::TopicName;
use clap::Subcommand;

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub(super) enum TopicCommand {
    /// Create a topic
    Create(create::CreateArgs),
    /// List all topics
    #[command(visible_alias = "ls")]
    List,
    /// Show a topic's partitions, replicas, offsets and settings
    Describe(describe::DescribeArgs),
    /// Set or reset settings of a topic
    Alter(alter::AlterArgs),
    /// Delete topics and all their records
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
    /// Give a topic more partitions
    AddPartitions(add_partitions::AddPartitionsArgs),
    /// Remove the records of a partition before an offset
    Trim(trim::TrimArgs),
}

/// Runs one of them.
pub(super) async fn run(
    command: TopicCommand,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        TopicCommand::Create(args) => create::run(args, client, output).await,
        TopicCommand::List => list::run(client, output).await,
        TopicCommand::Describe(args) => describe::run(args, client, output).await,
        TopicCommand::Alter(args) => alter::run(args, client, output).await,
        TopicCommand::Delete(args) => delete::run(args, client, output).await,
        TopicCommand::AddPartitions(args) => add_partitions::run(args, client, output).await,
        TopicCommand::Trim(args) => trim::run(args, client, output).await,
    }
}

/// A topic's name on the command line.
pub(super) fn name(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.message)
}

/// All of a topic; says how to make one that is not there.
pub(super) async fn found(client: &Client, name: &TopicName) -> Result<TopicView, Failure> {
    client.describe(name).await.map_err(|error| {
        let failure = Failure::from(error);
        if failure.exit != Exit::NotFound {
            return failure;
        }
        failure.hint(format!("create it with `ottla topic create {name}`"))
    })
}
