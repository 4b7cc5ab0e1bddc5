//! Makes system calls of a running process fail, lie or take long, with `strace` attached to it.
//!
//! Attaching stops the process' threads for milliseconds and every system call of it costs more while it
//! lasts: itself a fault, and named as one.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::janitor::{Janitor, Made, began};

/// How long attaching and letting go may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The calls that make data durable.
const SYNCS: &str = "fsync,fdatasync,syncfs,sync_file_range";
/// The calls that take space: those with a position, for the others also go to sockets and to the log.
const WRITES: &str = "pwrite64,pwritev,pwritev2,fallocate,ftruncate";
/// What strace writes behind a call that it tampered with.
const MARK: &str = "(INJECTED)";
/// And behind one that it delayed.
const DELAYED_MARK: &str = "(DELAYED)";

/// What is done to the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tampering {
    /// Syncs fail with `EIO`.
    SyncFails,
    /// Syncs do nothing and say that they did.
    SyncLies,
    /// Syncs take longer by this.
    SyncSlow(Duration),
    /// Writes to files fail with `ENOSPC`.
    NoSpace,
}

impl Tampering {
    fn expression(self) -> String {
        match self {
            Self::SyncFails => format!("inject={SYNCS}:error=EIO"),
            Self::SyncLies => format!("inject={SYNCS}:retval=0"),
            Self::SyncSlow(delay) => format!("inject={SYNCS}:delay_enter={}", delay.as_micros()),
            Self::NoSpace => format!("inject={WRITES}:error=ENOSPC"),
        }
    }

    fn calls(self) -> &'static str {
        match self {
            Self::NoSpace => WRITES,
            Self::SyncFails | Self::SyncLies | Self::SyncSlow(_) => SYNCS,
        }
    }
}

/// An attached `strace`.
#[derive(Debug)]
pub struct Injector {
    child: Child,
    made: Made,
    janitor: Arc<Janitor>,
    output: PathBuf,
    paths: Vec<PathBuf>,
}

impl Injector {
    /// Attaches to a process; returns once it is attached to. `paths` restricts it to these files.
    pub async fn attach(
        process: u32,
        tampering: Tampering,
        paths: Vec<PathBuf>,
        output: PathBuf,
        janitor: Arc<Janitor>,
    ) -> io::Result<Self> {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o"])
            .arg(&output)
            .args(["-e", &format!("trace={}", tampering.calls())])
            .args(["-e", &tampering.expression()])
            .args(["-p", &process.to_string()]);
        for path in &paths {
            command.arg("-P").arg(path);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("strace: {error}")))?;
        let made = Made::Process(child.id(), began(child.id()).unwrap_or_default());
        janitor.made(made.clone())?;
        let mut injector = Self { child, made, janitor, output, paths };
        let deadline = Instant::now() + PATIENCE;
        while tracer(process) != Some(injector.child.id()) {
            if let Some(status) = injector.child.try_wait()? {
                return Err(io::Error::other(format!("strace of {process} ended with {status}")));
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("strace does not attach to {process}")));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(injector)
    }

    /// How many calls it has tampered with so far.
    pub fn tampered(&self) -> u64 {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let hits = text.lines().filter(|line| line.contains(MARK) || line.contains(DELAYED_MARK));
        u64::try_from(hits.count()).unwrap_or(u64::MAX)
    }

    /// The files it is restricted to.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Lets go of the process; says how many calls it has tampered with.
    pub async fn detach(mut self) -> io::Result<u64> {
        // It may have ended with the process that it watched.
        kill_process(Pid::from_child(&self.child), Signal::INT).ok();
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        self.janitor.gone(self.made.clone())?;
        Ok(self.tampered())
    }
}

/// Who traces a process.
fn tracer(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|tracer| *tracer != 0)
}
