//! One network namespace: its only way out is a TUN device that the switch reads.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::janitor::{Janitor, Made};
use super::tool;

/// The device's name, the same in every namespace.
const DEVICE: &str = "tun0";
/// Larger packets than a real network's: fewer to carry.
const MTU: &str = "9000";

/// A namespace that was made; the janitor removes it.
#[derive(Clone, Debug)]
pub struct Namespace {
    path: PathBuf,
}

impl Namespace {
    /// Makes it with these addresses, of one network of 256; the file is the other end of its device.
    pub fn make(name: &str, addresses: &[Ipv4Addr], janitor: &Janitor) -> io::Result<(Self, File)> {
        janitor.made(Made::Namespace(name.to_owned()))?;
        tool::run("ip", &["netns", "add", name])?;
        let namespace = Self { path: Path::new("/run/netns").join(name) };
        let device = namespace.inside(|| ioctl::open_tun(DEVICE))??;
        tool::run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        for address in addresses {
            let address = format!("{address}/24");
            tool::run("ip", &["-n", name, "address", "add", &address, "dev", DEVICE])?;
        }
        tool::run("ip", &["-n", name, "link", "set", DEVICE, "mtu", MTU, "up"])?;
        Ok((namespace, device))
    }

    /// Where it is found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the calling thread into it, for good.
    pub fn enter(&self) -> io::Result<()> {
        let link = File::open(&self.path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })?;
        move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    }

    /// Runs something inside, on a thread that ends with it; children it starts stay inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("inside".to_owned());
            let handle = thread.spawn_scoped(scope, || self.enter().map(|()| work()))?;
            handle.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
        })
    }
}
