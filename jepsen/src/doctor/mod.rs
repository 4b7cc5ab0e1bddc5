//! Which environment and which faults this machine allows, found out by trying, and what is missing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::environment::{
    Host, Injector, Janitor, Kind, Namespace, Tampering, Volume, address_of, tool,
};

/// The size of the volume that is tried.
const TRIAL_VOLUME_BYTES: u64 = 16 << 20;
/// Written and flushed on it.
const FLUSHED: &[u8] = b"flushed";
/// How many namespaces this process has tried: their names differ.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// Something that a fault or an environment needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A network namespace with a TUN device.
    Packets,
    /// A loop-mounted file system whose power can be cut.
    Volumes,
    /// `strace` that may attach and tamper.
    Tampering,
    /// A library that shifts a process' clock.
    Clock,
    /// At least five nodes.
    FiveNodes,
    /// The storage engine `segment`.
    Segments,
    /// The workload `group`.
    Groups,
}

impl Need {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packets => "network namespaces with TUN devices",
            Self::Volumes => "loop-mounted file systems",
            Self::Tampering => "strace attached to a process",
            Self::Clock => "libfaketime",
            Self::FiveNodes => "five nodes",
            Self::Segments => "the storage engine `segment`",
            Self::Groups => "the workload `group`",
        }
    }

    /// Whether a machine has it or not; the others follow from what the run is asked to be.
    pub fn is_of_machine(self) -> bool {
        match self {
            Self::Packets | Self::Volumes | Self::Tampering | Self::Clock => true,
            Self::FiveNodes | Self::Segments | Self::Groups => false,
        }
    }
}

/// What was found of one need.
#[derive(Debug)]
pub struct Finding {
    /// Of what.
    pub need: Need,
    /// Why it is not there.
    pub missing: Option<String>,
}

/// What this machine allows.
#[derive(Debug)]
pub struct Findings {
    /// One per need that a machine can lack.
    pub all: Vec<Finding>,
}

impl Findings {
    /// Tries everything; leaves nothing behind.
    pub async fn gather(janitor_program: &Path, dir: &Path) -> io::Result<Self> {
        let janitor = Arc::new(Janitor::start(janitor_program)?);
        fs::create_dir_all(dir)?;
        let tampering = try_tampering(dir, &janitor).await;
        let all = [
            (Need::Packets, try_packets(&janitor)),
            (Need::Volumes, try_volume(dir, &janitor)),
            (Need::Tampering, tampering),
            (Need::Clock, faketime().map(drop)),
        ];
        janitor.finish()?;
        let finding = |(need, found): (Need, io::Result<()>)| {
            let missing = found.err().map(|error| error.to_string());
            Finding { need, missing }
        };
        Ok(Self { all: all.into_iter().map(finding).collect() })
    }

    /// Why the machine lacks it, if it does.
    pub fn missing(&self, need: Need) -> Option<&str> {
        let finding = self.all.iter().find(|finding| finding.need == need)?;
        finding.missing.as_deref()
    }

    /// The strongest environment that is possible.
    pub fn best(&self) -> Kind {
        let lacks = |need| self.missing(need).is_some();
        if lacks(Need::Packets) || lacks(Need::Volumes) { Kind::Loopback } else { Kind::Namespaces }
    }
}

fn try_packets(janitor: &Janitor) -> io::Result<()> {
    let number = TRIED.fetch_add(1, Ordering::Relaxed);
    let name = format!("jepsen-{}-trial{number}", std::process::id());
    let made = Namespace::make(&name, &[address_of(Host::Admin)], janitor);
    drop(made?);
    tool::run("ip", &["netns", "delete", &name])?;
    Ok(())
}

fn try_volume(dir: &Path, janitor: &Janitor) -> io::Result<()> {
    let volume = Volume::make(dir, "trial", TRIAL_VOLUME_BYTES, janitor)?;
    let flushed = volume.path().join("flushed");
    let mut file = File::create(&flushed)?;
    file.write_all(FLUSHED)?;
    file.sync_all()?;
    File::open(volume.path())?.sync_all()?;
    drop(file);
    volume.cut_power()?;
    let lost = volume.recover()?;
    let kept = fs::read(&flushed)?;
    if lost == 0 || kept != FLUSHED {
        return Err(io::Error::other(format!(
            "a power cut lost {lost} unflushed bytes and kept {} of {} flushed ones",
            kept.len(),
            FLUSHED.len()
        )));
    }
    Ok(())
}

async fn try_tampering(dir: &Path, janitor: &Arc<Janitor>) -> io::Result<()> {
    if tool::find("strace").is_none() {
        return Err(io::Error::other("strace is not installed"));
    }
    let script = "while true; do sync -f . ; done";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let output = dir.join("trial.strace");
    let tried = async {
        let tampering = Tampering::SyncFails;
        let injector = Injector::attach(
            child.id(),
            tampering,
            Vec::new(),
            output.clone(),
            Arc::clone(janitor),
        );
        let injector = injector.await?;
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
        while injector.tampered() == 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        match injector.detach().await? {
            0 => Err(io::Error::other("strace attaches, but no call fails")),
            _ => Ok(()),
        }
    };
    let result = tried.await;
    child.kill()?;
    child.wait()?;
    drop(fs::remove_file(output));
    result
}

/// The library that shifts clocks, where distributions put it.
pub fn faketime() -> io::Result<PathBuf> {
    const PLACES: &[&str] = &["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let inside = |dir: &Path| dir.join("faketime/libfaketime.so.1");
    for place in PLACES.iter().map(Path::new) {
        let further = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut candidates = further.filter(|path| path.is_dir()).chain([place.to_owned()]);
        if let Some(dir) = candidates.find(|dir| inside(dir).is_file()) {
            return Ok(inside(&dir));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "libfaketime is not installed (package faketime)"))
}
