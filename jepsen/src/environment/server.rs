//! A node's process: started in its place, killed, paused, continued, ended in good order.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::janitor::{Janitor, Made, began};
use super::links::Host;
use super::namespace::Namespace;
use super::proxy::Dialers;

/// Between two looks at a process that is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long a killed process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// More variables of its environment.
    pub variables: Vec<(String, String)>,
    /// Where it runs.
    pub namespace: Option<Namespace>,
    /// Its words are appended here.
    pub log: PathBuf,
}

/// A node's process, if it has one.
#[derive(Debug)]
pub struct Server {
    /// Who it is.
    pub host: Host,
    running: Option<Running>,
    janitor: Arc<Janitor>,
    dialers: Dialers,
}

#[derive(Debug)]
struct Running {
    child: Child,
    made: Made,
    paused: bool,
    /// The node ends when this is closed.
    #[expect(dead_code, reason = "it is held, and that is all")]
    pipe: Option<ChildStdin>,
}

/// What a node's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is none.
    None,
    /// It runs.
    Runs,
    /// It is stopped.
    Paused,
    /// It ended by itself.
    Ended(ExitStatus),
}

impl Server {
    pub(crate) fn new(host: Host, janitor: Arc<Janitor>, dialers: Dialers) -> Self {
        Self { host, running: None, janitor, dialers }
    }

    /// Starts it.
    pub fn start(&mut self, launch: &Launch) -> io::Result<()> {
        if self.running.is_some() {
            return Err(io::Error::other(format!("{} runs already", self.host)));
        }
        let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
        let mut command = Command::new(&launch.program);
        for (name, _) in std::env::vars_os() {
            // Nobody's settings but ours.
            if name.to_string_lossy().starts_with("OTTLA_") {
                command.env_remove(name);
            }
        }
        command
            .args(&launch.arguments)
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let mut child = match &launch.namespace {
            Some(namespace) => namespace.inside(|| command.spawn())??,
            None => command.spawn()?,
        };
        let made = Made::Process(child.id(), began(child.id()).unwrap_or_default());
        self.janitor.made(made.clone())?;
        let pipe = child.stdin.take();
        self.dialers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(self.host, child.id());
        self.running = Some(Running { child, made, paused: false, pipe });
        Ok(())
    }

    /// Its process id, while it has one.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// What it does now.
    pub fn life(&mut self) -> io::Result<Life> {
        let Some(running) = &mut self.running else { return Ok(Life::None) };
        if let Some(status) = running.child.try_wait()? {
            self.forget()?;
            return Ok(Life::Ended(status));
        }
        Ok(if running.paused { Life::Paused } else { Life::Runs })
    }

    /// SIGSTOP: it hangs, its connections stay.
    pub fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        self.mark_paused(true);
        Ok(())
    }

    /// SIGCONT.
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)?;
        self.mark_paused(false);
        Ok(())
    }

    fn mark_paused(&mut self, paused: bool) {
        if let Some(running) = &mut self.running {
            running.paused = paused;
        }
    }

    /// `kill -9`; returns once it is gone. Nothing if it has no process.
    pub async fn kill(&mut self) -> io::Result<()> {
        if self.running.is_none() {
            return Ok(());
        }
        self.signal(Signal::KILL)?;
        self.until_ended(KILL_PATIENCE).await.map(drop)
    }

    /// SIGTERM; returns how it ended.
    pub async fn terminate(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.until_ended(patience).await
    }

    /// Waits until it has ended by itself.
    pub async fn until_ended(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.life()? {
                Life::Ended(status) => return Ok(status),
                Life::None => {
                    return Err(io::Error::other(format!("{} has no process", self.host)));
                }
                Life::Runs | Life::Paused if Instant::now() >= deadline => {
                    let message = format!("{} has not ended within {patience:?}", self.host);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Life::Runs | Life::Paused => sleep(LOOK_AGAIN).await,
            }
        }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let running = self.running.as_ref();
        let running =
            running.ok_or_else(|| io::Error::other(format!("{} does not run", self.host)))?;
        kill_process(Pid::from_child(&running.child), signal)?;
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        if let Some(running) = self.running.take() {
            self.janitor.gone(running.made)?;
        }
        Ok(())
    }
}
