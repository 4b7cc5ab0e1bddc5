//! `ottla topic list`.

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::table::Table;
use crate::client::Client;

/// Lists all topics by name.
pub(super) async fn run(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let mut topics = client.topics().await?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    if topics.is_empty() && output.format() == Format::Text {
        output.note("no topics yet; create one with `ottla topic create NAME`");
        return Ok(Exit::Done);
    }
    output.result(&topics, |topics| {
        let mut table = Table::new(["TOPIC", "PARTITIONS", "REPLICAS"]).numbers([1, 2]);
        for topic in topics {
            table.row([
                topic.name.clone(),
                topic.partitions.to_string(),
                topic.replication_factor.to_string(),
            ]);
        }
        table.lines()
    })?;
    Ok(Exit::Done)
}
