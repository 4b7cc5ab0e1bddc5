//! `ottla group list`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::table::Table;
use crate::client::Client;

/// Lists all groups by name.
pub(super) async fn run(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let groups = client.groups().await?;
    if groups.is_empty() && output.format() == Format::Text {
        output.note("no groups yet; make one with `ottla consume TOPIC -g GROUP`");
        return Ok(Exit::Done);
    }
    output.result(&groups, |groups| {
        let titles = ["GROUP", "STATE", "MEMBERS", "GENERATION", "ASSIGNOR", "COORDINATOR"];
        let mut table = Table::new(titles).numbers([2, 3, 5]);
        for group in groups {
            table.row([
                group.group.clone(),
                group.state.clone(),
                group.members.to_string(),
                group.generation.to_string(),
                group.assignor.clone(),
                group.coordinator.to_string(),
            ]);
        }
        table.lines()
    })?;
    Ok(Exit::Done)
}
