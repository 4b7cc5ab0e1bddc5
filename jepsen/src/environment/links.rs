//! What passes between whom: one table of directed links, obeyed by the packet switch and by the proxies.
//!
//! Several faults may lie on one link; each is a layer with the number of its injection, and lifting one
//! leaves the others. A link without a layer is open.
//!
//! | layers            | together                                   |
//! |-------------------|--------------------------------------------|
//! | any is cut        | cut                                        |
//! | delays            | their sum; jitter is drawn for each passage |
//! | losses, doublings | the largest                                |
//! | rates             | the lowest                                 |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::sync::watch;

/// The most nodes of a cluster under test.
pub const NODES_MAX: u8 = 7;
/// What waits longer than this at a slow link is dropped: its queue is bounded.
const QUEUE_MAX: Duration = Duration::from_secs(2);

/// Somebody on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A node, by its id.
    Node(u8),
    /// Those who produce and consume.
    Clients,
    /// Who looks on; its links are never touched.
    Admin,
}

impl Host {
    /// Everybody in a cluster of so many nodes.
    pub fn all(nodes: u8) -> impl Iterator<Item = Self> {
        (1..=nodes).map(Self::Node).chain([Self::Clients, Self::Admin])
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "n{id}"),
            Self::Clients => f.write_str("clients"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

/// What a fault does to a directed link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Nothing passes.
    pub cut: bool,
    /// Everything comes later by this.
    pub delay: Duration,
    /// And by anything up to this.
    pub jitter: Duration,
    /// Of a thousand packets, so many are lost.
    pub lost_permille: u16,
    /// Of a thousand packets, so many come twice.
    pub doubled_permille: u16,
    /// No more than this passes.
    pub bytes_per_second: Option<u64>,
}

impl Layer {
    /// Nothing passes.
    pub const CUT: Self = Self {
        cut: true,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        lost_permille: 0,
        doubled_permille: 0,
        bytes_per_second: None,
    };

    fn with(self, other: Self) -> Self {
        let lower = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self {
            cut: self.cut || other.cut,
            delay: self.delay + other.delay,
            jitter: self.jitter.max(other.jitter),
            lost_permille: self.lost_permille.max(other.lost_permille),
            doubled_permille: self.doubled_permille.max(other.doubled_permille),
            bytes_per_second: lower(self.bytes_per_second, other.bytes_per_second),
        }
    }
}

/// What becomes of a packet, or of a piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It is lost.
    Dropped,
    /// It arrives, then, once or twice.
    Arrives {
        /// When.
        at: Instant,
        /// Whether a second copy follows.
        twice: bool,
    },
}

/// What went over a link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets (or pieces of streams) that arrived.
    pub passed: u64,
    /// That did not.
    pub dropped: u64,
    /// That came late.
    pub delayed: u64,
    /// That came twice.
    pub doubled: u64,
}

#[derive(Debug, Default)]
struct Link {
    layers: Mutex<Layers>,
    passed: AtomicU64,
    dropped: AtomicU64,
    delayed: AtomicU64,
    doubled: AtomicU64,
}

#[derive(Debug, Default)]
struct Layers {
    by_fault: BTreeMap<u64, Layer>,
    together: Layer,
    /// When a link with a rate is free again.
    free_at: Option<Instant>,
}

/// The table.
#[derive(Debug)]
pub struct Links {
    links: BTreeMap<(Host, Host), Link>,
    changes: watch::Sender<u64>,
}

impl Links {
    /// Everything open between all hosts of a cluster of so many nodes.
    pub fn open(nodes: u8) -> Self {
        let pairs = Host::all(nodes).flat_map(|from| Host::all(nodes).map(move |to| (from, to)));
        let links = pairs.filter(|(from, to)| from != to).map(|pair| (pair, Link::default()));
        Self { links: links.collect(), changes: watch::Sender::new(0) }
    }

    /// Lays a fault's layer on links. The administrator's stay open.
    pub fn impose(&self, fault: u64, pairs: &[(Host, Host)], layer: Layer) {
        for pair in pairs {
            if pair.0 == Host::Admin || pair.1 == Host::Admin {
                continue;
            }
            if let Some(link) = self.links.get(pair) {
                let mut layers = link.lock();
                layers.by_fault.insert(fault, layer);
                layers.sum();
            }
        }
        self.changes.send_modify(|change| *change += 1);
    }

    /// Takes a fault's layers off all links.
    pub fn lift(&self, fault: u64) {
        for link in self.links.values() {
            let mut layers = link.lock();
            if layers.by_fault.remove(&fault).is_some() {
                layers.sum();
            }
        }
        self.changes.send_modify(|change| *change += 1);
    }

    /// Whether anything lies on a link of this host.
    pub fn touched(&self, host: Host) -> bool {
        let mut of_host = self.links.iter().filter(|((from, to), _)| *from == host || *to == host);
        of_host.any(|(_, link)| !link.lock().by_fault.is_empty())
    }

    /// Whether nothing passes from one to the other.
    pub fn is_cut(&self, from: Host, to: Host) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.lock().together.cut)
    }

    /// Tells of every change of the table.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Decides about one packet.
    pub fn pass(
        &self,
        way: (Host, Host),
        bytes: usize,
        now: Instant,
        dice: &mut impl Rng,
    ) -> Passage {
        let Some(link) = self.links.get(&way) else { return Passage::Dropped };
        let passage = link.lock().pass(bytes, now, dice);
        match passage {
            Passage::Dropped => link.dropped.fetch_add(1, Ordering::Relaxed),
            Passage::Arrives { at, twice } => {
                link.delayed.fetch_add(u64::from(at > now), Ordering::Relaxed);
                link.doubled.fetch_add(u64::from(twice), Ordering::Relaxed);
                link.passed.fetch_add(1, Ordering::Relaxed)
            }
        };
        passage
    }

    /// Counts a piece of a stream that is held back by a cut.
    pub(crate) fn note_held(&self, way: (Host, Host)) {
        if let Some(link) = self.links.get(&way) {
            link.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What went over these links so far, in all.
    pub fn traffic(&self, pairs: &[(Host, Host)]) -> Traffic {
        let mut sum = Traffic::default();
        for link in pairs.iter().filter_map(|pair| self.links.get(pair)) {
            sum.passed += link.passed.load(Ordering::Relaxed);
            sum.dropped += link.dropped.load(Ordering::Relaxed);
            sum.delayed += link.delayed.load(Ordering::Relaxed);
            sum.doubled += link.doubled.load(Ordering::Relaxed);
        }
        sum
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layers {
    fn sum(&mut self) {
        self.together = self.by_fault.values().copied().fold(Layer::default(), Layer::with);
    }

    fn pass(&mut self, bytes: usize, now: Instant, dice: &mut impl Rng) -> Passage {
        let layer = self.together;
        if layer == Layer::default() {
            return Passage::Arrives { at: now, twice: false };
        }
        let mut hits = |permille: u16| permille > 0 && dice.random_range(0..1000) < permille;
        if layer.cut || hits(layer.lost_permille) {
            return Passage::Dropped;
        }
        let twice = hits(layer.doubled_permille);
        let mut at = now + layer.delay;
        if !layer.jitter.is_zero() {
            at += layer.jitter.mul_f64(dice.random());
        }
        if let Some(rate) = layer.bytes_per_second {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let takes = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1));
            let free = self.free_at.unwrap_or(now).max(now) + takes;
            if free - now > QUEUE_MAX {
                return Passage::Dropped;
            }
            self.free_at = Some(free);
            at += free - now;
        }
        Passage::Arrives { at, twice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    const WAY: (Host, Host) = (Host::Node(1), Host::Node(2));

    fn passed(links: &Links, times: u32) -> u32 {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let now = Instant::now();
        let arrives = |_: &u32| links.pass(WAY, 100, now, &mut dice) != Passage::Dropped;
        u32::try_from((0..times).filter(arrives).count()).unwrap()
    }

    #[test]
    fn a_cut_is_one_way_and_lifting_one_fault_leaves_the_other() {
        let links = Links::open(3);
        links.impose(1, &[WAY], Layer::CUT);
        links.impose(2, &[WAY], Layer::CUT);
        assert_eq!(passed(&links, 10), 0);
        assert!(!links.is_cut(Host::Node(2), Host::Node(1)));
        links.lift(1);
        assert!(links.is_cut(WAY.0, WAY.1) && links.touched(Host::Node(2)));
        links.lift(2);
        assert_eq!(passed(&links, 10), 10);
        assert_eq!(
            links.traffic(&[WAY]),
            Traffic { passed: 10, dropped: 10, ..Traffic::default() }
        );
    }

    #[test]
    fn the_administrator_is_never_cut_off() {
        let links = Links::open(3);
        links.impose(1, &[(Host::Admin, Host::Node(1)), (Host::Node(1), Host::Admin)], Layer::CUT);
        assert!(!links.touched(Host::Admin));
    }

    #[test]
    fn losses_are_as_frequent_as_they_were_asked_for() {
        let links = Links::open(3);
        links.impose(1, &[WAY], Layer { lost_permille: 300, ..Layer::default() });
        let passed = passed(&links, 10_000);
        assert!((6_800..7_200).contains(&passed), "{passed}");
    }

    #[test]
    fn a_slow_link_delays_by_its_rate_and_drops_what_would_wait_too_long() {
        let links = Links::open(3);
        let layer = Layer { bytes_per_second: Some(1000), ..Layer::default() };
        links.impose(1, &[WAY], layer);
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let now = Instant::now();
        let mut passages = (0..5).map(|_| links.pass(WAY, 500, now, &mut dice));
        for halves in 1..=4 {
            let at = now + Duration::from_millis(500) * halves;
            assert_eq!(passages.next(), Some(Passage::Arrives { at, twice: false }));
        }
        assert_eq!(passages.next(), Some(Passage::Dropped));
    }
}
