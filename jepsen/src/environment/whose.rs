//! Which process holds a socket. All nodes of the loopback environment share one address, so this is how a
//! proxy knows which of them dials.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The file that lists this machine's IPv4 connections.
const CONNECTIONS: &str = "/proc/net/tcp";

/// Which of these processes holds the end `local` of the connection from `local` to `remote`.
pub(crate) fn holder(local: SocketAddr, remote: SocketAddr, processes: &[u32]) -> Option<u32> {
    let table = fs::read_to_string(CONNECTIONS).ok()?;
    let link = format!("socket:[{}]", inode(&table, local, remote)?);
    processes.iter().copied().find(|process| holds(*process, &link))
}

fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<&str> {
    let (local, remote) = (hexadecimal(local)?, hexadecimal(remote)?);
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let same = fields.next() == Some(&local) && fields.next() == Some(&remote);
        same.then(|| fields.nth(6)).flatten()
    })
}

/// As the kernel writes it: the address in the machine's own byte order.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let number = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{number:08X}:{:04X}", address.port()))
}

fn holds(process: u32, link: &str) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(link)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_is_known_by_the_process_that_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (dialled.local_addr().unwrap(), dialled.peer_addr().unwrap());
        let me = std::process::id();
        assert_eq!(holder(local, remote, &[1, me]), Some(me));
        assert_eq!(holder(local, remote, &[]), None);
        drop((dialled, listener));
    }
}
