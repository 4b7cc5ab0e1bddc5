//! `ottla topic delete`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::topic::TopicName;
use std::io::{self, IsTerminal};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Flags of `ottla topic delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The topics
    #[arg(required = true, value_parser = super::name)]
    names: Vec<TopicName>,
    /// Do not ask; without a terminal nothing is asked
    #[arg(long, short)]
    yes: bool,
}

/// Deletes one after the other; the first that fails ends it.
pub(super) async fn run(
    args: DeleteArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let asks = !args.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    if asks && !confirmed(&args.names, output).await? {
        return Err(Failure::new(Exit::Failed, "nothing was deleted"));
    }
    let mut deleted = Vec::new();
    for name in &args.names {
        match client.delete(name).await {
            Ok(()) => deleted.push(name.as_str()),
            Err(error) => {
                output.deleted(&deleted)?;
                return Err(error.into());
            }
        }
    }
    output.deleted(&deleted)?;
    Ok(Exit::Done)
}

async fn confirmed(names: &[TopicName], output: &Output) -> Result<bool, Failure> {
    let names: Vec<&str> = names.iter().map(TopicName::as_str).collect();
    output.ask(&format!("Delete {} with all records? [y/N] ", names.join(", ")));
    let mut answer = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut answer).await?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
