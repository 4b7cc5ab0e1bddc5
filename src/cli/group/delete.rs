//! `ottla group delete`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::coordinator::GroupName;

/// Flags of `ottla group delete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DeleteArgs {
    /// The groups
    #[arg(required = true, value_parser = super::name)]
    names: Vec<GroupName>,
}

/// Deletes one after the other; the first that fails ends it.
pub(super) async fn run(
    args: DeleteArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut deleted = Vec::new();
    for name in &args.names {
        match client.delete_group(name.as_str()).await {
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
