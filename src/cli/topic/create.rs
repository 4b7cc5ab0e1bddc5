//! `ottla topic create`.

use super::setting::Setting;
use crate::broker::TopicSummary;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::{Client, NewTopic};
use crate::topic::TopicName;
use serde::Serialize;

/// Flags of `ottla topic create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// The topic's name: a-z, A-Z, 0-9, '.', '_' and '-'
    #[arg(value_parser = super::name)]
    name: TopicName,
    /// How many partitions (1 to 1000)
    #[arg(long, short, value_name = "N", default_value_t = 1)]
    partitions: u32,
    /// How many replicas of each partition: 1, 3 or 5 [default: 3, or what the cluster has]
    #[arg(long, short, value_name = "N")]
    replication_factor: Option<u32>,
    /// A setting of the topic; may be given several times
    #[arg(long = "config", short, value_name = "NAME=VALUE")]
    config: Vec<Setting>,
    /// Succeed also if the topic exists, whatever its settings
    #[arg(long)]
    if_not_exists: bool,
}

#[derive(Serialize)]
struct Created {
    created: bool,
    topic: TopicSummary,
}

/// Creates it; it can be produced to once this returns.
pub(super) async fn run(
    args: CreateArgs,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let CreateArgs { name, partitions, replication_factor, config, if_not_exists } = args;
    let config = config.into_iter().map(|setting| (setting.name, setting.value)).collect();
    let new = NewTopic { partitions: Some(partitions), replication_factor, config };
    let created = match client.create(&name, &new).await.map_err(Failure::from) {
        Ok((true, topic)) => Created { created: true, topic },
        Ok((false, topic)) if if_not_exists => Created { created: false, topic },
        Ok((false, _)) => return Err(exists(format!("topic {name} exists already"))),
        Err(failure) if failure.exit == Exit::Conflict && if_not_exists => {
            Created { created: false, topic: summary(client, &name).await? }
        }
        Err(failure) if failure.exit == Exit::Conflict => return Err(exists(failure.message)),
        Err(failure) => return Err(failure),
    };
    output.result(&created, |Created { created, topic }| {
        let done = if *created { "created" } else { "exists already:" };
        let TopicSummary { name, partitions, replication_factor, .. } = topic;
        format!("{done} topic {name}: partitions {partitions}, replicas {replication_factor}")
    })?;
    Ok(Exit::Done)
}

fn exists(message: String) -> Failure {
    Failure::new(Exit::Conflict, message).hint("--if-not-exists takes it as it is")
}

async fn summary(client: &Client, name: &TopicName) -> Result<TopicSummary, Failure> {
    let topics = client.topics().await?;
    let found = topics.into_iter().find(|topic| topic.name == name.as_str());
    found.ok_or_else(|| Failure::new(Exit::NotFound, format!("topic {name} was deleted just now")))
}
