//! One node of a demo: a child process that runs `ottla server`.

use super::plan::{self, NodePlan, Plan};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use tokio::process::{ChildStdin, Command};

/// How much of the end of a dead node's log is shown.
const LAST_LINES: usize = 8;
const LAST_BYTES: u64 = 8 * 1024;

/// A node that was started; it is killed when this is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Child {
    id: u64,
    process: tokio::process::Child,
    /// The other end is its standard input: it ends when this is closed.
    #[expect(dead_code, reason = "it is held, and that is all")]
    pipe: Option<ChildStdin>,
}

/// A node that is no more.
#[derive(Debug)]
pub(in crate::cli) struct Stopped {
    /// Which one.
    pub(in crate::cli) id: u64,
    /// How it ended.
    pub(in crate::cli) how: How,
}

/// How a node ended.
#[derive(Debug)]
pub(in crate::cli) enum How {
    /// With success.
    Well,
    /// Otherwise; what the system says of it.
    Badly(String),
}

impl Child {
    /// Starts a node. It has its own process group: Ctrl-C reaches it through us only.
    pub(in crate::cli) fn start(
        node: &NodePlan,
        plan: &Plan,
        data: &Path,
        engine: Option<&str>,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("node {} cannot be started: {error}", node.id))
        };
        fs::create_dir_all(data).map_err(failed)?;
        let log = plan::log(data, node.id);
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .arg("server")
            .args(["--node-id", &node.id.to_string(), "--http", &node.http, "--peer", &node.peer])
            .args(["--initial", &plan.initial(), "--exit-with-parent"])
            .arg("--data")
            .arg(plan::directory(data, node.id))
            .args(engine.map(|engine| format!("--engine={engine}")))
            .env_remove("OTTLA_JOIN")
            .env_remove("OTTLA_ADVERTISE_HTTP")
            .env_remove("OTTLA_ADVERTISE_PEER")
            .env_remove("OTTLA_ADDRESSES_FILE")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let mut process = command.spawn().map_err(failed)?;
        // Waiting for the process would close the pipe if it were left in there.
        let pipe = process.stdin.take();
        Ok(Self { id: node.id, process, pipe })
    }

    /// Its process id, while it lives.
    pub(in crate::cli) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Resolves once it has died.
    pub(in crate::cli) async fn death(&mut self) -> Stopped {
        let how = match self.process.wait().await {
            Ok(status) if status.success() => How::Well,
            Ok(status) => How::Badly(status.to_string()),
            Err(error) => How::Badly(error.to_string()),
        };
        Stopped { id: self.id, how }
    }

    /// Asks it to stop in good order.
    pub(in crate::cli) fn ask_to_stop(&mut self) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have died by itself just now.
            kill_process(pid, Signal::TERM).ok();
        }
    }

    /// Kills it, and waits until it is gone.
    pub(in crate::cli) async fn kill(&mut self) {
        // It may have died by itself just now.
        drop(self.process.kill().await);
    }
}

impl Stopped {
    /// What to tell of it: how it ended, and its last words.
    pub(in crate::cli) fn failure(&self, data: &Path) -> Failure {
        let log = plan::log(data, self.id);
        let how = match &self.how {
            How::Well => "stopped",
            How::Badly(how) => how.as_str(),
        };
        let words = last_lines(&log).unwrap_or_else(|error| format!("  ({error})"));
        let message = format!("node {} died: {how}; end of {}:\n{words}", self.id, log.display());
        Failure::new(Exit::Failed, message)
    }
}

fn last_lines(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
    lines.reverse();
    Ok(lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_last_lines() {
        let data = tempfile::tempdir().unwrap();
        let log = plan::log(data.path(), 1);
        let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let stopped = Stopped { id: 1, how: How::Badly("signal: 9 (SIGKILL)".to_owned()) };
        let message = stopped.failure(data.path()).message;
        assert!(message.starts_with("node 1 died: signal: 9 (SIGKILL); end of "), "{message}");
        assert!(message.ends_with("  line 4999"), "{message}");
        assert_eq!(message.lines().count(), 1 + LAST_LINES);
    }
}
