//! `ottla topic describe`.

use crate::broker::{PartitionView, TopicView};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::{Count, Size};
use crate::cli::table::Table;
use crate::client::Client;
use crate::topic::TopicName;

/// Flags of `ottla topic describe`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DescribeArgs {
    /// The topic
    #[arg(value_parser = super::name)]
    name: TopicName,
}

/// Shows all of a topic.
pub(super) async fn run(
    args: DescribeArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let topic = super::found(client, &args.name).await?;
    output.result(&topic, told)?;
    Ok(Exit::Done)
}

fn told(topic: &TopicView) -> String {
    let sum = |of: fn(&PartitionView) -> Option<u64>| -> u64 {
        topic.partitions.iter().filter_map(of).sum()
    };
    let records = sum(|p| Some(p.high_watermark?.saturating_sub(p.log_start_offset?)));
    format!(
        "topic       {}\nid          {}\npartitions  {}\nreplicas    {}\nrecords     {}\n\
         size        {}\n\n{}\n\n{}",
        topic.name,
        topic.id,
        topic.partitions.len(),
        topic.replication_factor,
        Count(records),
        Size(sum(|p| p.size_bytes)),
        partitions(topic),
        settings(topic),
    )
}

fn partitions(topic: &TopicView) -> String {
    let titles = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN-SYNC", "START", "END", "SIZE"];
    let mut table = Table::new(titles).numbers([0, 1, 2, 5, 6, 7]);
    for partition in &topic.partitions {
        table.row([
            partition.partition.to_string(),
            or_none(partition.leader),
            or_none(partition.leader_epoch),
            ids(&partition.replicas),
            ids(&partition.in_sync),
            or_none(partition.log_start_offset),
            or_none(partition.high_watermark),
            or_none(partition.size_bytes.map(Size)),
        ]);
    }
    table.lines()
}

fn settings(topic: &TopicView) -> String {
    let mut table = Table::new(["SETTING", "VALUE", "SOURCE"]);
    for setting in &topic.config {
        let source = if setting.is_default { "default" } else { "topic" };
        table.row([setting.name.clone(), setting.value.clone(), source.to_owned()]);
    }
    table.lines()
}

fn ids(nodes: &[u64]) -> String {
    let nodes: Vec<String> = nodes.iter().map(u64::to_string).collect();
    nodes.join(",")
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
