//! `ottla cluster`: how it is, and who is in it.

use super::exit::Exit;
use super::failure::Failure;
use super::output::{Format, GREEN, Output, RED};
use super::table::Table;
use crate::broker::{ClusterView, HealthView};
use crate::client::Client;
use clap::{Args, Subcommand};
use std::io;
use std::time::Duration;

/// Between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// What to say of the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Whether the cluster is healthy; if not, why not (exit code 7)
    Health(HealthArgs),
    /// The cluster's identity and its brokers
    Info,
}

/// Flags of `ottla cluster health`.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Look every second, and tell each change
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    until: Until,
}

/// When watching ends.
#[derive(Debug, Args)]
struct Until {
    /// Look every second until the cluster is healthy; give up after --timeout
    #[arg(long, short)]
    exit_when_healthy: bool,
}

/// Runs one of them.
pub(super) async fn run(
    command: ClusterCommand,
    client: &Client,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        ClusterCommand::Info => {
            output.result(&client.cluster().await?, brokers)?;
            Ok(Exit::Done)
        }
        ClusterCommand::Health(args) if args.until.exit_when_healthy => {
            until_healthy(client, output).await
        }
        ClusterCommand::Health(args) if args.watch => watch(client, output).await,
        ClusterCommand::Health(_) => {
            let health = client.health().await?;
            tell(&health, output)?;
            Ok(if health.healthy { Exit::Done } else { Exit::Unhealthy })
        }
    }
}

/// Tells each change, until Ctrl-C.
async fn watch(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let mut told = None;
    let mut every = tokio::time::interval(WATCH_EVERY);
    loop {
        every.tick().await;
        let health = client.health().await.map_err(|error| error.to_string());
        if told.as_ref() == Some(&health) {
            continue;
        }
        match &health {
            Ok(health) => tell(health, output)?,
            Err(message) => output.note(message),
        }
        output.flush()?;
        told = Some(health);
    }
}

/// Waits; an unreachable cluster may still come up.
async fn until_healthy(client: &Client, output: &mut Output) -> Result<Exit, Failure> {
    let deadline = tokio::time::Instant::now() + client.timeout();
    let mut every = tokio::time::interval(WATCH_EVERY / 4);
    loop {
        every.tick().await;
        let health = client.health().await;
        let late = tokio::time::Instant::now() >= deadline;
        match health {
            Ok(health) if health.healthy || late => {
                tell(&health, output)?;
                return Ok(if health.healthy { Exit::Done } else { Exit::Unhealthy });
            }
            Err(error) if late => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
}

fn tell(health: &HealthView, output: &mut Output) -> io::Result<()> {
    if output.format() == Format::Json {
        return output.json(health);
    }
    let (colour, word) = if health.healthy { (GREEN, "healthy") } else { (RED, "not healthy") };
    let word = output.paint(&io::stdout(), colour, word);
    output.line(word)?;
    for reason in &health.reasons {
        output.line(format!("  {reason}"))?;
    }
    output.line(report(health))
}

fn report(health: &HealthView) -> String {
    let controller = health.controller.map_or("none".to_owned(), |id| id.to_string());
    let down: Vec<String> = health.nodes_down.iter().map(u64::to_string).collect();
    [
        ("controller", controller),
        ("brokers down", listed(&down)),
        ("leaderless partitions", listed(&health.leaderless)),
        ("under-replicated partitions", listed(&health.under_replicated)),
        ("stopped replicas", listed(&health.broken)),
    ]
    .map(|(title, value)| format!("{title:<28} {value}"))
    .join("\n")
}

/// How many and, as far as they fit on a line, which.
fn listed(names: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let more = if names.len() > SHOWN_MAX { ", …" } else { "" };
    match names.len() {
        0 => "0".to_owned(),
        count => format!("{count} ({}{more})", shown.join(", ")),
    }
}

fn brokers(cluster: &ClusterView) -> String {
    let mut table = Table::new(["BROKER", "HTTP", "PEERS", "RACK", "STATE", "ROLE"]).numbers([0]);
    for broker in &cluster.brokers {
        let role = if cluster.controller == Some(broker.id) { "controller" } else { "" };
        table.row([
            broker.id.to_string(),
            broker.http.clone(),
            broker.peer.clone(),
            broker.rack.clone().unwrap_or_else(|| "-".to_owned()),
            if broker.alive { "up" } else { "down" }.to_owned(),
            role.to_owned(),
        ]);
    }
    format!("cluster {}\n\n{}", cluster.cluster_id, table.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_but_counted() {
        assert_eq!(listed(&[]), "0");
        let names: Vec<String> = (0..10).map(|p| format!("t-{p}")).collect();
        assert_eq!(listed(&names), "10 (t-0, t-1, t-2, t-3, t-4, t-5, t-6, t-7, …)");
    }
}
