//! `ottla version`.

use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;

/// Prints it.
pub(super) fn run(output: &mut Output) -> Result<Exit, Failure> {
    let version = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
    output.result(&version, |_| format!("ottla {}", env!("CARGO_PKG_VERSION")))?;
    Ok(Exit::Done)
}
