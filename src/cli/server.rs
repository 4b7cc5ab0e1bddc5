//! `ottla server`: one broker.

use std::process::ExitCode;

/// Flags of `ottla server`.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {}

/// Runs it.
pub(super) async fn run(_args: ServerArgs) -> ExitCode {
    std::future::ready(ExitCode::FAILURE).await
}
