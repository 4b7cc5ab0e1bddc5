//! A network switch in user space: reads the packets of every namespace's TUN device and delivers them to
//! the device of whom they are for, as the table of [`Links`] says: at once, later, twice or never.
//!
//! ```text
//!   n1 ─ tun ─▶ reader ─┬─ open link ────────────▶ tun of the destination
//!                       └─ late ─▶ heap ─ carrier ─▶ tun of the destination
//! ```
//!
//! One thread per device, one that carries what is late. A device whose queue is full loses the packet, as a
//! switch does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::links::{Host, Links, Passage};

/// The largest packet; a device's MTU is below.
const PACKET_BYTES_MAX: usize = 16 * 1024;
/// How often a reader looks whether it is to stop.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// The most packets that are late at a time; more are lost.
const LATE_MAX: usize = 100_000;
/// The first half of every host's address. RFC 2544 keeps 198.18.0.0/15 for tests; nothing routes it.
const NETWORK: [u8; 3] = [198, 18, 0];
const CLIENTS_LAST: u8 = 101;
const ADMIN_LAST: u8 = 102;

/// A host's address.
pub fn address_of(host: Host) -> Ipv4Addr {
    let [a, b, c] = NETWORK;
    let last = match host {
        Host::Node(id) => id,
        Host::Clients => CLIENTS_LAST,
        Host::Admin => ADMIN_LAST,
    };
    Ipv4Addr::new(a, b, c, last)
}

fn host_at(address: &[u8]) -> Option<Host> {
    let last = *address.strip_prefix(&NETWORK)?.first()?;
    match last {
        CLIENTS_LAST => Some(Host::Clients),
        ADMIN_LAST => Some(Host::Admin),
        1..=super::links::NODES_MAX => Some(Host::Node(last)),
        _ => None,
    }
}

/// Who sent an IPv4 packet, and who is to get it; `None` for anything else.
fn way_of(packet: &[u8]) -> Option<(Host, Host)> {
    let version = packet.first()? >> 4;
    if version != 4 {
        return None;
    }
    Some((host_at(packet.get(12..16)?)?, host_at(packet.get(16..20)?)?))
}

/// A packet that is on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    at: Instant,
    /// Packets of one instant stay in order.
    number: u64,
    to: Host,
    packet: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    late: BinaryHeap<Reverse<Late>>,
    numbered: u64,
}

struct Shared {
    links: Arc<Links>,
    /// Who is reached through which device.
    devices: Vec<(Vec<Host>, File)>,
    queue: Mutex<Queue>,
    more: Condvar,
    stop: AtomicBool,
}

/// The switch; it stops when dropped.
pub struct Switch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Switch {
    /// Starts to carry packets between the devices.
    pub fn start(
        links: Arc<Links>,
        devices: Vec<(Vec<Host>, File)>,
        seed: u64,
    ) -> io::Result<Self> {
        for (_, device) in &devices {
            fcntl_setfl(device, fcntl_getfl(device)? | OFlags::NONBLOCK)?;
        }
        let count = devices.len();
        let shared = Arc::new(Shared {
            links,
            devices,
            queue: Mutex::default(),
            more: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let mut switch = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for place in 0..count {
            let shared = Arc::clone(&shared);
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            dice.set_stream(u64::try_from(place).unwrap_or(0));
            switch.spawn(format!("switch-{place}"), move || shared.read(place, &mut dice))?;
        }
        switch.spawn("switch-late".to_owned(), move || shared.carry())?;
        Ok(switch)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn read(&self, place: usize, dice: &mut ChaCha8Rng) {
        let Some((_, device)) = self.devices.get(place) else { return };
        let mut packet = vec![0; PACKET_BYTES_MAX];
        while !self.stopped() {
            match (&mut &*device).read(&mut packet) {
                Ok(0) => return,
                Ok(length) => self.switch(packet.get(..length).unwrap_or_default(), dice),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut wanted = [PollFd::new(device, PollFlags::IN)];
                    // A signal ends the wait early; then it is looked again.
                    poll(&mut wanted, Some(&LOOK_EVERY)).ok();
                }
                Err(_) => return,
            }
        }
    }

    fn switch(&self, packet: &[u8], dice: &mut ChaCha8Rng) {
        let Some(way) = way_of(packet) else { return };
        let now = Instant::now();
        let Passage::Arrives { at, twice } = self.links.pass(way, packet.len(), now, dice) else {
            return;
        };
        for _ in 0..=u8::from(twice) {
            if at > now {
                self.hold(at, way.1, packet);
            } else {
                self.deliver(way.1, packet);
            }
        }
    }

    fn deliver(&self, to: Host, packet: &[u8]) {
        let device = self.devices.iter().find(|(hosts, _)| hosts.contains(&to));
        if let Some((_, device)) = device {
            // A device that is full or down loses it.
            drop((&mut &*device).write(packet));
        }
    }

    fn hold(&self, at: Instant, to: Host, packet: &[u8]) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.late.len() >= LATE_MAX {
            return;
        }
        queue.numbered += 1;
        let number = queue.numbered;
        queue.late.push(Reverse(Late { at, number, to, packet: packet.to_vec() }));
        drop(queue);
        self.more.notify_one();
    }

    fn carry(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.stopped() {
            let now = Instant::now();
            let next = queue.late.peek().map(|Reverse(late)| late.at);
            match next {
                Some(at) if at <= now => {
                    if let Some(Reverse(late)) = queue.late.pop() {
                        drop(queue);
                        self.deliver(late.to, &late.packet);
                        queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    }
                }
                waits => {
                    let longest = Duration::from_millis(100);
                    let span = waits.map_or(longest, |at| (at - now).min(longest));
                    let woken = self.more.wait_timeout(queue, span);
                    queue = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_its_way_and_anything_else_is_no_packet() {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&address_of(Host::Node(2)).octets());
        packet[16..20].copy_from_slice(&address_of(Host::Admin).octets());
        assert_eq!(way_of(&packet), Some((Host::Node(2), Host::Admin)));
        packet[19] = 200;
        assert_eq!(way_of(&packet), None);
        packet[0] = 0x60;
        assert_eq!(way_of(&packet), None);
        assert_eq!(way_of(&packet[..10]), None);
        for host in Host::all(super::super::links::NODES_MAX) {
            assert_eq!(host_at(&address_of(host).octets()), Some(host));
        }
    }
}
