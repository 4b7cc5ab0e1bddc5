//! `ottla group describe`.

use super::or_none;
use crate::broker::{GroupView, PlaceView};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::size::Count;
use crate::cli::table::Table;
use crate::client::Client;
use crate::coordinator::GroupName;
use std::collections::BTreeMap;

/// Flags of `ottla group describe`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DescribeArgs {
    /// The group
    #[arg(value_parser = super::name)]
    name: GroupName,
}

/// Shows all of a group.
pub(super) async fn run(
    args: DescribeArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let group = client.describe_group(args.name.as_str()).await?;
    output.result(&group, told)?;
    Ok(Exit::Done)
}

fn told(group: &GroupView) -> String {
    let mut told = format!(
        "group        {}\nstate        {}\ngeneration   {}\nassignor     {}\ncoordinator  {}\n\
         lag          {}",
        group.group,
        group.state,
        group.generation,
        group.assignor,
        group.coordinator,
        Count(group.lag),
    );
    for table in [members(group), offsets(group)].into_iter().flatten() {
        told += "\n\n";
        told += &table;
    }
    told
}

fn members(group: &GroupView) -> Option<String> {
    let titles = ["MEMBER", "CLIENT", "INSTANCE", "GENERATION", "HAS"];
    let mut table = Table::new(titles).numbers([3]);
    for member in &group.members {
        table.row([
            member.member_id.clone(),
            or_none(Some(&member.client_id).filter(|client| !client.is_empty())),
            or_none(member.instance_id.as_ref()),
            member.generation.to_string(),
            places(&member.assigned),
        ]);
    }
    (!group.members.is_empty()).then(|| table.lines())
}

/// `orders:0,2,4 users:1`.
fn places(places: &[PlaceView]) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for PlaceView { topic, partition } in places {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    let topics = topics.iter().map(|(topic, numbers)| format!("{topic}:{}", numbers.join(",")));
    let told = topics.collect::<Vec<_>>().join(" ");
    if told.is_empty() { "-".to_owned() } else { told }
}

fn offsets(group: &GroupView) -> Option<String> {
    let titles = ["TOPIC", "PARTITION", "COMMITTED", "START", "END", "LAG", "MEMBER"];
    let mut table = Table::new(titles).numbers([1, 2, 3, 4, 5]);
    for row in &group.offsets {
        table.row([
            row.topic.clone(),
            row.partition.to_string(),
            or_none(row.committed),
            or_none(row.log_start),
            or_none(row.log_end),
            or_none(row.lag),
            or_none(row.member_id.as_ref()),
        ]);
    }
    (!group.offsets.is_empty()).then(|| table.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_has_is_told_by_topic() {
        let place = |topic: &str, partition| PlaceView { topic: topic.to_owned(), partition };
        assert_eq!(places(&[]), "-");
        assert_eq!(places(&[place("b", 1), place("a", 0), place("b", 3)]), "a:0 b:1,3");
    }
}
