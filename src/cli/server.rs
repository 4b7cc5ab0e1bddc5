//! `ottla server`: one broker, until a signal, its parent's end, or a failure it cannot live with.

use super::coloured_stderr;
use super::exit::Exit;
use crate::config::{Config, LogFormat, Overrides};
use crate::server::Server;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries that tell what only their authors want to know; a filter of the operator's goes before.
/// openraft warns of each request that a starting peer cannot answer yet; what an operator wants of
/// it (who leads, what stopped, who cannot be reached) we say ourselves.
const QUIET: &str = "openraft=error,sled=warn,hyper=warn";

/// Flags of `ottla server`.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArgs {
    #[command(flatten)]
    overrides: Overrides,
    /// Reads what no flag and no variable says from this TOML file
    #[arg(long, env = "OTTLA_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    /// Stops when standard input is closed: when whoever started it is gone
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

/// Runs it.
pub(super) async fn run(args: ServerArgs) -> ExitCode {
    let config = match configure(args.overrides, args.config) {
        Ok(config) => config,
        Err(why) => return refuse(&why, Exit::Usage),
    };
    if let Err(why) = log(&config) {
        return refuse(&why, Exit::Usage);
    }
    // Before the start: a signal that comes during it is not lost.
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return refuse(&format!("signals: {error}"), Exit::Failed),
    };
    let server = match Box::pin(Server::start(config)).await {
        Ok(server) => server,
        Err(error) => return refuse(&error.to_string(), Exit::Failed),
    };
    let orphaned = async {
        if args.exit_with_parent {
            closed_stdin().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let failure = tokio::select! {
        signal = stop => {
            tracing::info!(signal, "stopping");
            None
        }
        () = orphaned => {
            tracing::info!("stopping: standard input was closed");
            None
        }
        why = server.failed() => Some(why),
    };
    let closed = server.shutdown().await;
    match (failure, closed) {
        (Some(why), _) => refuse(&why, Exit::Failed),
        (None, Err(error)) => refuse(&format!("not closed in order: {error}"), Exit::Failed),
        (None, Ok(())) => {
            tracing::info!("stopped");
            Exit::Done.into()
        }
    }
}

fn configure(said: Overrides, file: Option<PathBuf>) -> Result<Config, String> {
    let from_file = match file {
        Some(path) => {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("config {}: {error}", path.display()))?;
            Overrides::from_toml(&path, &text).map_err(|error| error.0)?
        }
        None => Overrides::default(),
    };
    said.or(from_file).resolve().map_err(|error| error.0)
}

/// Log lines go to standard error, from here on.
fn log(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.log_level))
        .map_err(|error| format!("log-level {:?}: {error}", config.log_level))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(coloured_stderr());
    let set = match config.log_format {
        LogFormat::Text => lines.with_target(false).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    // Only a process that embeds us has one already; then it is the one to use.
    drop(set);
    Ok(())
}

/// Resolves at SIGTERM or SIGINT, with its name.
fn stop_signal() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Resolves when standard input has ended.
async fn closed_stdin() {
    let mut stdin = tokio::io::stdin();
    let mut unread = [0; 256];
    while stdin.read(&mut unread).await.is_ok_and(|read| read > 0) {}
}

/// Says why it does not run, in one line.
fn refuse(why: &str, exit: Exit) -> ExitCode {
    // There is nobody to tell if standard error is closed.
    drop(writeln!(io::stderr(), "ottla server: {why}"));
    exit.into()
}
