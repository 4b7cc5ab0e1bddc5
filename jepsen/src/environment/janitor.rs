//! Undoes everything a run made, however the run ends.
//!
//! A process of its own, in its own process group, that is told of every thing *before* it is used. When its
//! standard input ends (the run is over, panicked, was interrupted or killed) it undoes them in reverse
//! order: kills processes, unmounts, detaches loop devices, deletes namespaces, removes directories. There
//! is no other way to clean up, so this one is exercised by every run. It touches only what it was told of;
//! a process only if it is still the same one (its start time tells).

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::tool;

/// How long a killed process may take to be gone, and a file system to be free.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Something a run made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// A process, and when it began (in ticks since boot): a number may be used again, a pair is not.
    Process(u32, u64),
    /// A mounted directory.
    Mount(PathBuf),
    /// A loop device with an image.
    Loop(PathBuf),
    /// A network namespace.
    Namespace(String),
    /// A directory, with all that is in it.
    Directory(PathBuf),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Made(Made),
    Gone(Made),
}

/// The run's end of it.
#[derive(Debug)]
pub struct Janitor {
    /// `None` once it was let go.
    inner: Mutex<Option<(Child, ChildStdin)>>,
}

impl Janitor {
    /// Starts it; `program` is this crate's binary.
    pub fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("janitor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        let input = child.stdin.take().expect("its standard input was asked for");
        Ok(Self { inner: Mutex::new(Some((child, input))) })
    }

    /// Tells of something that is about to be made, or just was.
    pub fn made(&self, made: Made) -> io::Result<()> {
        self.tell(&Line::Made(made))
    }

    /// Tells that it was undone already.
    pub fn gone(&self, made: Made) -> io::Result<()> {
        self.tell(&Line::Gone(made))
    }

    fn tell(&self, line: &Line) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, input)) = inner.as_mut() else { return Ok(()) };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        input.write_all(&text)
    }

    /// Lets it do its work and waits for its end; what it could not undo is an error.
    pub fn finish(&self) -> io::Result<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((child, input)) = inner else { return Ok(()) };
        drop(input);
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tell_operator(&error);
        }
    }
}

fn tell_operator(error: &io::Error) {
    // Nobody is left to return it to.
    drop(writeln!(io::stderr(), "left behind: {error}"));
}

/// When a process began, in ticks since boot; `None` if there is none with that number, or only what is left
/// of it until its parent looks.
pub fn began(process: u32) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, the name, may hold blanks and brackets; the third is the state, the 22nd the start.
    let mut rest = line.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    let start = rest.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(start)
}

/// The janitor's own life: listens, then undoes. Returns what it could not undo, one line each.
pub fn work(input: impl BufRead) -> Vec<String> {
    let mut made: Vec<Made> = Vec::new();
    for line in input.lines() {
        // Half a line is the end of a run that was killed while it wrote.
        let Some(line) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
        match line {
            Line::Made(thing) => made.push(thing),
            Line::Gone(thing) => made.retain(|other| *other != thing),
        }
    }
    let mut seen = BTreeSet::new();
    let (processes, others): (Vec<Made>, Vec<Made>) = made
        .into_iter()
        .rev()
        .filter(|thing| seen.insert(thing.clone()))
        .partition(|thing| matches!(thing, Made::Process(..)));
    // Processes first, all at once: they hold the rest.
    for thing in &processes {
        if let Made::Process(process, start) = thing {
            kill(*process, *start);
        }
    }
    let undone = processes.iter().chain(&others).map(|thing| (thing, undo(thing)));
    undone
        .filter_map(|(thing, result)| result.err().map(|error| format!("{thing:?}: {error}")))
        .collect()
}

fn kill(process: u32, start: u64) {
    if began(process) == Some(start)
        && let Some(pid) = Pid::from_raw(process.cast_signed())
    {
        // It may have ended just now.
        kill_process(pid, Signal::KILL).ok();
    }
}

fn undo(thing: &Made) -> io::Result<()> {
    match thing {
        Made::Process(process, start) => {
            until("it is killed, but still there", || began(*process) != Some(*start))
        }
        Made::Mount(path) => until_unmounted(path),
        Made::Loop(device) => {
            let device = tool::argument(device)?;
            if tool::run("losetup", &[device]).is_err() {
                return Ok(());
            }
            tool::run("losetup", &["--detach", device]).map(drop)
        }
        Made::Namespace(name) => {
            if !Path::new("/run/netns").join(name).exists() {
                return Ok(());
            }
            tool::run("ip", &["netns", "delete", name]).map(drop)
        }
        Made::Directory(path) => match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn until_unmounted(path: &Path) -> io::Result<()> {
    let text = tool::argument(path)?;
    let mut last = Ok(());
    let free = until("", || {
        if !is_mounted(path) {
            return true;
        }
        last = tool::run("umount", &[text]).map(drop);
        last.is_ok()
    });
    if free.is_ok() { Ok(()) } else { last }
}

/// Whether something is mounted at `path`.
pub fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let wanted = path.to_string_lossy().replace(' ', "\\040");
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(wanted.as_str()))
}

fn until(otherwise: &str, mut condition: impl FnMut() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, otherwise));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing announces the end of a stranger's child"
        )]
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[Line]) -> Vec<u8> {
        let texts = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n");
        texts.collect::<String>().into_bytes()
    }

    #[test]
    fn a_directory_goes_and_what_is_gone_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (made, kept) = (dir.path().join("made"), dir.path().join("kept"));
        for path in [&made, &kept] {
            fs::create_dir_all(path.join("inside")).unwrap();
        }
        let input = told(&[
            Line::Made(Made::Directory(made.clone())),
            Line::Made(Made::Directory(kept.clone())),
            Line::Made(Made::Directory(dir.path().join("never was"))),
            Line::Gone(Made::Directory(kept.clone())),
        ]);
        assert_eq!(work(&*input), Vec::<String>::new());
        assert!(!made.exists() && kept.exists());
    }

    #[test]
    fn a_process_is_killed_only_if_it_is_still_the_same_one() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let start = began(child.id()).unwrap();
        let other = told(&[Line::Made(Made::Process(child.id(), start + 1))]);
        assert_eq!(work(&*other), Vec::<String>::new());
        assert_eq!(child.try_wait().unwrap(), None);
        let same = told(&[Line::Made(Made::Process(child.id(), start))]);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| child.wait().unwrap());
            assert_eq!(work(&*same), Vec::<String>::new());
            assert!(!waiter.join().unwrap().success());
        });
    }
}
