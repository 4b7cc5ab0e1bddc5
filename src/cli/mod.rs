//! The `ottla` command: one file per verb, one `match` over them.
//!
//! ```text
//!   demo         a whole cluster on this machine, as child processes
//!   server       one broker
//!   topic        create, list, describe, alter, delete, add-partitions, trim
//!   produce      lines in, batches out; many partitions at once, each in order
//!   consume      all partitions at once, each without gap or repetition; or a group's share
//!   group        list, describe, reset, delete
//!   cluster      health, info
//!   bench        throughput, latency and failover, with what they cost
//!   completions  for shells
//!   version
//! ```
//!
//! All but `server` are clients: they know the cluster by its HTTP interface only ([`crate::client`]), write
//! through [`output`], and end in an [`exit::Exit`] or a [`failure::Failure`].

mod bench;
mod clock;
mod cluster;
mod completions;
mod consume;
mod demo;
pub mod exit;
pub mod failure;
mod group;
pub mod output;
mod produce;
mod server;
mod size;
mod span;
mod table;
mod topic;
mod version;

use crate::client::Client;
use clap::{Args, Parser, Subcommand};
use exit::Exit;
use failure::Failure;
use output::{Colour, Format, Notes, Output};
use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// A replicated, partitioned event log over HTTP.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, about, after_help = Exit::HELP, propagate_version = true)]
#[command(max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every client command understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Brokers of the cluster; any one is enough, the others are found through it
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "OTTLA_SERVER",
        value_name = "HOST:PORT"
    )]
    #[arg(value_delimiter = ',', default_value = "127.0.0.1:8080", value_parser = address)]
    server: Vec<String>,
    /// How long to wait for an answer, retries included: 500ms, 30s, 2m
    #[arg(long, global = true, display_order = 900, env = "OTTLA_TIMEOUT", default_value = "30s")]
    #[arg(value_name = "TIME", value_parser = span::parse)]
    timeout: Duration,
    /// For whom results are written; with json, errors are one JSON object on standard error
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "OTTLA_FORMAT",
        value_enum,
        default_value = "text"
    )]
    format: Format,
    #[command(flatten)]
    look: Look,
}

/// What stands beside the result.
#[derive(Debug, Args)]
struct Look {
    /// No notes, no progress: errors only
    #[arg(long, short, global = true, display_order = 900)]
    quiet: bool,
    #[command(flatten)]
    colour: NoColour,
}

/// Its own struct, as each switch has one.
#[derive(Debug, Args)]
struct NoColour {
    /// No colours (also: `NO_COLOR` that is not empty)
    #[arg(long, global = true, display_order = 900)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole cluster on this machine, and stop it with Ctrl-C
    Demo(demo::DemoArgs),
    /// Run one broker
    Server(Box<server::ServerArgs>),
    /// Create, list, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Append lines of standard input, or of a file, to a topic
    Produce(produce::ProduceArgs),
    /// Print the records of a topic, and go on with what comes
    Consume(consume::ConsumeArgs),
    /// List, describe, reset and delete consumer groups
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Say how the cluster is, and who is in it
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Measure a cluster: throughput, latency, failover, and what they cost
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print a shell's completions for this command
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version,
}

impl Cli {
    /// Reads the command line. What clap has to say itself (help, a mistake) is printed here.
    pub fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|told| match (told.print(), told.exit_code()) {
            (Ok(()), 0) | (Err(_), _) => Exit::Done.into(),
            (Ok(()), _) => Exit::Usage.into(),
        })
    }

    /// Does what was asked.
    pub async fn run(self) -> ExitCode {
        let Self { global, command } = self;
        if let Command::Server(args) = command {
            return server::run(*args).await;
        }
        warn_on_stderr();
        let mut output = global.output();
        let client = Client::new(&global.server, global.timeout);
        let result = Box::pin(run(command, &client, &global.server, &mut output)).await;
        output.finish(result).into()
    }
}

async fn run(
    command: Command,
    client: &Client,
    servers: &[String],
    output: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(args, client, output).await,
        Command::Server(_) => unreachable!("a server has its own output, and was started before"),
        Command::Topic(command) => or_interrupt(topic::run(command, client, output)).await,
        Command::Produce(args) => produce::run(args, client, output).await,
        Command::Consume(args) => consume::run(args, client, servers, output).await,
        Command::Group(command) => or_interrupt(group::run(command, client, output)).await,
        Command::Cluster(command) => or_interrupt(cluster::run(command, client, output)).await,
        Command::Bench(command) => bench::run(command, client, output).await,
        Command::Completions(args) => completions::run(&args, output),
        Command::Version => version::run(output),
    }
}

/// For commands that may be dropped anywhere: they change nothing between two awaits.
async fn or_interrupt(
    command: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    tokio::select! {
        result = command => result,
        () = interrupt() => Err(Failure::interrupted()),
    }
}

/// Resolves at Ctrl-C; never, if the signal cannot be listened to.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Global {
    fn output(&self) -> Output {
        let never = self.look.colour.no_color || colour_is_forbidden();
        let colour = if never { Colour::Never } else { Colour::Auto };
        let notes = if self.look.quiet { Notes::Quiet } else { Notes::Shown };
        Output::new(self.format, colour, notes)
    }
}

/// `host:port`; `http://` in front and a `/` behind are forgiven.
fn address(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_start_matches("http://").trim_end_matches('/');
    let port = bare.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(_) => Ok(bare.to_owned()),
        None => Err(format!("{text:?} is not host:port")),
    }
}

/// Whether the environment asks for no colours (<https://no-color.org>).
fn colour_is_forbidden() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether log lines may be coloured: only a person at a terminal reads escapes as colours.
fn coloured_stderr() -> bool {
    std::io::stderr().is_terminal() && !colour_is_forbidden()
}

/// A client is quiet unless a library has something to warn of.
fn warn_on_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(coloured_stderr())
        .without_time();
    // Only a process that embeds us has one already; then it is the one to use.
    drop(subscriber.try_init());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_are_host_and_port() {
        assert_eq!(address("http://localhost:8080/"), Ok("localhost:8080".to_owned()));
        assert_eq!(address("[::1]:8080"), Ok("[::1]:8080".to_owned()));
        for wrong in ["", "localhost", ":8080", "localhost:http"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
