//! `ottla group`: one file per verb, one `match` over them.

mod delete;
mod describe;
mod list;
mod reset;

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::client::Client;
use crate::coordinator::GroupName;
use clap::Subcommand;

/// What to do with consumer groups.
#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// List all groups
    #[command(visible_alias = "ls")]
    List,
    /// Show a group's members, what each has, and how far behind it is
    Describe(describe::DescribeArgs),
    /// Put the offsets of a group without members elsewhere; shows what that does, unless --execute
    Reset(reset::ResetArgs),
    /// Delete groups without members, and their offsets
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
}

/// Runs one of them.
pub(super) async fn run(
    command: GroupCommand,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        GroupCommand::List => list::run(client, output).await,
        GroupCommand::Describe(args) => describe::run(args, client, output).await,
        GroupCommand::Reset(args) => reset::run(args, client, output).await,
        GroupCommand::Delete(args) => delete::run(args, client, output).await,
    }
}

/// A group's name on the command line.
pub(super) fn name(text: &str) -> Result<GroupName, String> {
    GroupName::new(text).map_err(|error| error.message)
}

/// A cell of a table.
fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
