//! The environments do what they say: packets are cut one way, a power cut takes what was not flushed, and
//! nothing is left behind. What needs root is skipped, with a word, where it is not to be had.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stderr,
    missing_docs,
    reason = "a test fails by panicking"
)]

use jepsen::doctor::{Findings, Need};
use jepsen::environment::{
    Contents, Environment, Host, Injector, Janitor, Kind, Layer, Plan, Tampering, address_of,
};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough that what was to arrive has arrived.
const QUIET: Duration = Duration::from_millis(300);

fn janitor() -> Arc<Janitor> {
    Arc::new(Janitor::start(Path::new(env!("CARGO_BIN_EXE_jepsen"))).unwrap())
}

fn lacks(needs: &[Need], dir: &TempDir) -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_jepsen"));
    let findings = runtime.block_on(Findings::gather(program, dir.path())).unwrap();
    for need in needs {
        if let Some(why) = findings.missing(*need) {
            eprintln!("skipped: no {}: {why}", need.name());
            return true;
        }
    }
    false
}

fn built(dir: &TempDir, kind: Kind, nodes: u8) -> Environment {
    let (dir, logs) = (dir.path().join("run"), dir.path().to_owned());
    let plan = Plan { kind, nodes, dir, logs, volume_bytes: 64 << 20, seed: 7 };
    Environment::build(&plan, janitor()).unwrap()
}

/// A socket of a node, on its own network.
fn socket(environment: &Environment, id: u8) -> UdpSocket {
    let site = environment.sites.iter().find(|site| site.id == id).unwrap();
    let address = (address_of(Host::Node(id)), 9000);
    let socket =
        site.namespace.as_ref().unwrap().inside(|| UdpSocket::bind(address).unwrap()).unwrap();
    socket.set_read_timeout(Some(QUIET)).unwrap();
    socket
}

fn send(from: &UdpSocket, to: &UdpSocket, count: u32) {
    for number in 0..count {
        from.send_to(&number.to_le_bytes(), to.local_addr().unwrap()).unwrap();
    }
}

fn received(socket: &UdpSocket) -> Vec<Instant> {
    let mut arrived = Vec::new();
    while socket.recv(&mut [0; 16]).is_ok() {
        arrived.push(Instant::now());
    }
    arrived
}

#[test]
fn packets_are_cut_one_way_delayed_lost_and_doubled_as_the_table_says() {
    let dir = tempfile::tempdir().unwrap();
    if lacks(&[Need::Packets, Need::Volumes], &dir) {
        return;
    }
    let environment = built(&dir, Kind::Namespaces, 2);
    let links = &environment.links;
    let (one, two) = (socket(&environment, 1), socket(&environment, 2));
    let there = (Host::Node(1), Host::Node(2));
    send(&one, &two, 50);
    assert_eq!(received(&two).len(), 50);

    links.impose(1, &[there], Layer::CUT);
    send(&one, &two, 20);
    send(&two, &one, 20);
    assert_eq!((received(&two).len(), received(&one).len()), (0, 20));
    assert_eq!(links.traffic(&[there]).dropped, 20);
    links.lift(1);

    let delay = Duration::from_millis(120);
    links.impose(2, &[there], Layer { delay, ..Layer::default() });
    let sent = Instant::now();
    send(&one, &two, 10);
    let arrived = received(&two);
    assert_eq!(arrived.len(), 10);
    assert!(arrived.iter().all(|at| *at >= sent + delay), "{:?}", arrived[0] - sent);
    links.lift(2);

    links.impose(3, &[there], Layer { lost_permille: 500, ..Layer::default() });
    send(&one, &two, 200);
    assert!((60..140).contains(&received(&two).len()));
    links.lift(3);

    links.impose(4, &[there], Layer { doubled_permille: 1000, ..Layer::default() });
    send(&one, &two, 20);
    assert_eq!(received(&two).len(), 40);
    links.lift(4);
    environment.janitor.finish().unwrap();
}

#[test]
fn a_power_cut_takes_what_was_not_flushed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    if lacks(&[Need::Packets, Need::Volumes], &dir) {
        return;
    }
    let environment = built(&dir, Kind::Namespaces, 1);
    let site = &environment.sites[0];
    let volume = site.volume.as_ref().unwrap();
    fs::create_dir_all(&site.data).unwrap();
    let mut kept = File::create(site.data.join("kept")).unwrap();
    kept.write_all(&[1; 10_000]).unwrap();
    kept.sync_all().unwrap();
    for path in [site.data.as_path(), volume.path()] {
        File::open(path).unwrap().sync_all().unwrap();
    }
    fs::write(site.data.join("lost"), vec![2; 30_000]).unwrap();
    drop(kept);
    let before = Contents::of(&site.data).unwrap();
    volume.cut_power().unwrap();
    assert!(fs::write(site.data.join("late"), "x").is_err());
    assert!(volume.recover().unwrap() > 0);
    let after = Contents::of(&site.data).unwrap();
    assert_eq!(before.lost_in(&after), 30_000);
    assert_eq!(fs::read(site.data.join("kept")).unwrap(), [1; 10_000]);

    let taken = volume.fill(100_000).unwrap();
    assert!(taken > 10 << 20, "{taken}");
    let error = fs::write(site.data.join("large"), vec![3; 1_000_000]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    volume.drain().unwrap();
    fs::write(site.data.join("large"), vec![3; 1_000_000]).unwrap();
    environment.janitor.finish().unwrap();
}

#[test]
fn nothing_is_left_behind_however_a_run_ends() {
    let dir = tempfile::tempdir().unwrap();
    if lacks(&[Need::Packets, Need::Volumes], &dir) {
        return;
    }
    let environment = built(&dir, Kind::Namespaces, 2);
    let mounts: Vec<_> = environment
        .sites
        .iter()
        .map(|site| site.volume.as_ref().unwrap().path().to_owned())
        .collect();
    let namespace = environment.sites[0].namespace.as_ref().unwrap().path().to_owned();
    assert!(namespace.exists());
    // As after a panic or a kill: nobody says that it is over, the pipe just ends.
    drop(environment);
    for mount in &mounts {
        assert!(!jepsen::environment::janitor::is_mounted(mount), "{}", mount.display());
    }
    assert!(!namespace.exists());
    let loops = Command::new("losetup").arg("--list").output().unwrap();
    let loops = String::from_utf8_lossy(&loops.stdout).into_owned();
    assert!(!loops.contains(dir.path().to_str().unwrap()), "{loops}");
}

#[test]
fn a_tampered_call_fails_until_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    if lacks(&[Need::Tampering], &dir) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let script =
        "while true; do if sync -f . 2>/dev/null; then echo ok; else echo bad; fi > said; done";
    let mut child =
        Command::new("sh").args(["-c", script]).current_dir(dir.path()).spawn().unwrap();
    let until_said = |word: &str| {
        let deadline = Instant::now() + DEADLINE;
        while fs::read_to_string(dir.path().join("said")).unwrap_or_default().trim() != word {
            assert!(Instant::now() < deadline, "never {word}");
            std::thread::yield_now();
        }
    };
    until_said("ok");
    let output = dir.path().join("strace");
    let injector = runtime
        .block_on(Injector::attach(child.id(), Tampering::SyncFails, Vec::new(), output, janitor()))
        .unwrap();
    until_said("bad");
    assert!(runtime.block_on(injector.detach()).unwrap() > 0);
    until_said("ok");
    child.kill().unwrap();
    child.wait().unwrap();
}
