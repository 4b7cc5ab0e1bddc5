//! Proxies on loopback: every connection to a node goes through one, which obeys the table of [`Links`] for
//! each of its two directions.
//!
//! A cut link holds its bytes back and keeps the sockets open: a black hole, as a partition is one. What was
//! held arrives when the link is whole again, as TCP would have it. Loss and doubling are for packets, and
//! there are none here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::links::{Host, Links, Passage};
use super::whose;

/// Read at a time.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces of one direction that are under way; more are not read: the sender feels it.
const PIECES_MAX: usize = 64;

/// The processes of the nodes, for those who dial without saying who they are.
pub(crate) type Dialers = Arc<Mutex<BTreeMap<Host, u32>>>;

/// Who dials a proxy.
#[derive(Clone, Debug)]
pub(crate) enum Dialler {
    /// Always the same.
    Is(Host),
    /// One of the nodes: whose process holds the other end.
    Node(Dialers),
}

impl Dialler {
    fn host(&self, local: SocketAddr, remote: SocketAddr) -> Option<Host> {
        match self {
            Self::Is(host) => Some(*host),
            Self::Node(nodes) => {
                let nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let processes: Vec<u32> = nodes.values().copied().collect();
                let holder = whose::holder(local, remote, &processes)?;
                nodes.iter().find(|(_, process)| **process == holder).map(|(host, _)| *host)
            }
        }
    }
}

/// One door of one node, as others see it.
pub(crate) struct Proxy {
    pub(crate) listener: TcpListener,
    pub(crate) dialler: Dialler,
    pub(crate) to: Host,
    /// Where the node really listens.
    pub(crate) target: SocketAddr,
    pub(crate) links: Arc<Links>,
    pub(crate) seed: u64,
}

impl Proxy {
    /// Takes connections until dropped.
    pub(crate) async fn serve(self) {
        let mut connections = JoinSet::new();
        let mut number = 0;
        loop {
            // Those that ended are forgotten.
            while connections.try_join_next().is_some() {}
            let Ok((dialled, remote)) = self.listener.accept().await else { continue };
            let Ok(local) = self.listener.local_addr() else { return };
            number += 1;
            let Some(from) = self.dialler.host(remote, local) else { continue };
            let (links, target, to) = (Arc::clone(&self.links), self.target, self.to);
            let seed = self.seed ^ (number << 8);
            connections.spawn(async move {
                // A connection that breaks is a connection that breaks.
                drop(join(dialled, target, (from, to), &links, seed).await);
            });
        }
    }
}

async fn join(
    dialled: TcpStream,
    target: SocketAddr,
    (from, to): (Host, Host),
    links: &Links,
    seed: u64,
) -> io::Result<()> {
    let reached = TcpStream::connect(target).await?;
    dialled.set_nodelay(true)?;
    reached.set_nodelay(true)?;
    let ((there_in, there_out), (back_in, back_out)) = (dialled.into_split(), reached.into_split());
    let there = pump(there_in, back_out, Way { links, ends: (from, to), seed });
    let back = pump(back_in, there_out, Way { links, ends: (to, from), seed: seed ^ 1 });
    // A reset of one direction ends both; a half-closed one lets the other finish.
    tokio::try_join!(there, back).map(drop)
}

struct Way<'a> {
    links: &'a Links,
    ends: (Host, Host),
    seed: u64,
}

/// Carries one direction.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way<'_>) -> io::Result<()> {
    let (held, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let read = async move {
        let mut dice = ChaCha8Rng::seed_from_u64(way.seed);
        let mut buffer = vec![0; PIECE_BYTES];
        let mut latest = Instant::now();
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                until_open(way.links, way.ends, false).await;
                return Ok::<(), io::Error>(());
            }
            let mut pieces = VecDeque::from([buffer.get(..length).unwrap_or_default().to_vec()]);
            while let Some(piece) = pieces.pop_front() {
                until_open(way.links, way.ends, true).await;
                let now = Instant::now();
                match way.links.pass(way.ends, piece.len(), now, &mut dice) {
                    // Loss is made good by TCP, so here it only costs time: it is tried again.
                    Passage::Dropped => {
                        tokio::task::yield_now().await;
                        pieces.push_front(piece);
                    }
                    Passage::Arrives { at, .. } => {
                        latest = latest.max(at);
                        if held.send((latest, piece)).await.is_err() {
                            return Err(io::ErrorKind::BrokenPipe.into());
                        }
                    }
                }
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = waiting.recv().await {
            tokio::time::sleep_until(at.into()).await;
            until_open(way.links, way.ends, false).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

/// Waits while nothing may pass.
async fn until_open(links: &Links, way: (Host, Host), counts: bool) {
    let mut changes = links.watch();
    if counts && links.is_cut(way.0, way.1) {
        links.note_held(way);
    }
    while links.is_cut(way.0, way.1) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::links::Layer;
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const WAY: (Host, Host) = (Host::Clients, Host::Node(1));
    const BACK: (Host, Host) = (Host::Node(1), Host::Clients);
    const DEADLINE: Duration = Duration::from_secs(10);

    /// A connection through a proxy: the dialler's end and the node's.
    async fn connected(links: &Arc<Links>, tasks: &mut JoinSet<()>) -> (TcpStream, TcpStream) {
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy {
            listener,
            dialler: Dialler::Is(Host::Clients),
            to: Host::Node(1),
            target: node.local_addr().unwrap(),
            links: Arc::clone(links),
            seed: 1,
        };
        tasks.spawn(proxy.serve());
        let dialled = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = node.accept().await.unwrap();
        (dialled, accepted)
    }

    async fn one_byte(from: &mut TcpStream, to: &mut TcpStream) {
        from.write_all(b"x").await.unwrap();
        let arrived = timeout(DEADLINE, to.read_u8()).await.expect("it arrives").unwrap();
        assert_eq!(arrived, b'x');
    }

    #[tokio::test]
    async fn a_cut_is_one_way_keeps_the_sockets_and_is_made_good_when_it_heals() {
        let links = Arc::new(Links::open(1));
        let mut tasks = JoinSet::new();
        let (mut here, mut there) = connected(&links, &mut tasks).await;
        one_byte(&mut here, &mut there).await;
        one_byte(&mut there, &mut here).await;
        links.impose(1, &[WAY], Layer::CUT);
        here.write_all(b"y").await.unwrap();
        one_byte(&mut there, &mut here).await;
        // The held piece is counted, and has not arrived.
        while links.traffic(&[WAY]).dropped == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(there.try_read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        links.lift(1);
        let arrived = timeout(DEADLINE, there.read_u8()).await.expect("it arrives").unwrap();
        assert_eq!(arrived, b'y');
    }

    #[tokio::test]
    async fn a_slow_link_delays_one_direction() {
        let links = Arc::new(Links::open(1));
        let mut tasks = JoinSet::new();
        let (mut here, mut there) = connected(&links, &mut tasks).await;
        let delay = Duration::from_millis(150);
        links.impose(1, &[BACK], Layer { delay, ..Layer::default() });
        let began = Instant::now();
        one_byte(&mut there, &mut here).await;
        assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
        assert_eq!((links.traffic(&[BACK]).delayed, links.traffic(&[WAY]).delayed), (1, 0));
    }
}
