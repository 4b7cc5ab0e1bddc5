//! Connections between nodes: who is let in, what is told of a peer that comes and goes, and what
//! ends a connection.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod transport_bench;

use bytes::Bytes;
use raft::transport::{Hello, Lane, Limits, PeerEvent};
use raft::{CallError, NodeId};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};
use transport_bench::{Answering, Bench, PATIENCE, await_that, loopback};
use uuid::Uuid;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

async fn next(events: &mut broadcast::Receiver<PeerEvent>) -> PeerEvent {
    timeout(PATIENCE, events.recv()).await.expect("an event comes").unwrap()
}

/// Waits until node 1 knows why node 2 cannot be reached.
async fn refusal(one: &Bench, part: &str) {
    let told = || one.transport.reachable(TWO).is_err_and(|why| why.contains(part));
    await_that(part, told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_refused_by_both_names() {
    let (a, b) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
    let limits = Limits::default();
    let one = Bench::of_cluster(a, loopback().await, ONE, limits, Answering::Echo);
    let two = Bench::of_cluster(b, loopback().await, TWO, limits, Answering::Echo);
    one.transport.set_peer(TWO, &two.transport.local_address().to_string());
    refusal(&one, &format!("node 1 belongs to cluster {a}, node 2 to cluster {b}")).await;
    assert_eq!(two.handler.hellos(), [], "the floor above is not asked");
    let error = one.call(TWO, Lane::Call, "let me in").await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { .. }), "{error}");
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_for_another_node_is_refused() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let three = Bench::start(NodeId(3), Limits::default(), Answering::Echo).await;
    one.transport.set_peer(TWO, &three.transport.local_address().to_string());
    refusal(&one, "node 1 means to reach node 2, but this is node 3").await;
    Bench::stop([one, three]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handlers_refusal_arrives_and_can_end() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    two.handler.refuse(Some("the disk of node 1 was wiped"));
    one.transport.set_peer(TWO, &two.transport.local_address().to_string());
    refusal(&one, "the disk of node 1 was wiped").await;
    let hello = two.handler.hellos().pop().unwrap();
    let disk = Uuid::from_u128(1);
    assert_eq!(
        hello,
        Hello { from: ONE, to: TWO, to_disk: Uuid::nil(), cluster: Uuid::nil(), disk }
    );

    two.handler.refuse(None);
    one.knows(&two).await;
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_cluster_is_said_in_the_next_greeting() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    let cluster = Uuid::from_u128(0xc);
    one.transport.set_cluster(cluster);
    one.knows(&two).await;
    assert_eq!(two.handler.hellos().pop().unwrap().cluster, cluster);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_death_and_return_are_told() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    let address = two.transport.local_address();
    let mut events = one.transport.peer_events();
    one.knows(&two).await;
    assert_eq!(next(&mut events).await, PeerEvent::Up(TWO));

    Bench::stop([two]).await;
    assert_eq!(next(&mut events).await, PeerEvent::Down(TWO));
    refusal(&one, "refused").await;

    let listener = TcpListener::bind(address).await.unwrap();
    let two = Bench::on(listener, TWO, Limits::default(), Answering::Echo);
    assert_eq!(next(&mut events).await, PeerEvent::Up(TWO));
    await_that("it is reachable", || one.transport.reachable(TWO).is_ok()).await;
    assert_eq!(one.call(TWO, Lane::Control, "again").await.unwrap(), "again");
    assert!(matches!(events.try_recv(), Err(broadcast::error::TryRecvError::Empty)));
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_from_a_returned_peer_ends_the_back_off() {
    let hour = Duration::from_hours(1);
    let limits = Limits { redial_wait_min: hour, redial_wait_max: hour, ..Limits::default() };
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    let listener = loopback().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    one.transport.set_peer(TWO, &address.to_string());
    refusal(&one, "refused").await;

    let listener = TcpListener::bind(address).await.unwrap();
    let two = Bench::on(listener, TWO, Limits::default(), Answering::Echo);
    two.knows(&one).await;
    await_that("it is redialled", || one.transport.reachable(TWO).is_ok()).await;
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_moved_is_dialled_at_its_new_address() {
    let (one, two) = Bench::pair(Answering::Echo).await;
    let moved = Bench::start(TWO, Limits::default(), Answering::Zeroes(1)).await;
    one.transport.set_peer(TWO, &moved.transport.local_address().to_string());
    let deadline = Instant::now() + PATIENCE;
    // Until the old connection is closed a call may still go there.
    while one.call(TWO, Lane::Call, "where?").await.ok() != Some(Bytes::from_static(&[0])) {
        assert!(Instant::now() < deadline, "it never moved");
    }
    Bench::stop([one, two, moved]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_peer_is_given_up_after_the_idle_timeout() {
    let limits = Limits { idle_timeout: Duration::from_millis(200), ..Limits::default() };
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    let listener = loopback().await;
    one.transport.set_peer(TWO, &listener.local_addr().unwrap().to_string());
    // Accepts every lane by hand, then says nothing more.
    let mut sockets = Vec::new();
    for _ in Lane::ALL {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(&[1, 0, 0]).await.unwrap();
        sockets.push(socket);
    }
    let error = one.call(TWO, Lane::Data, "are you there?").await.unwrap_err();
    let CallError::Unanswered { why, .. } = &error else { panic!("{error}") };
    assert_eq!(why, "it owes an answer and was silent for 200ms");
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handler_is_not_taken_for_a_hung_peer() {
    let limits = Limits { idle_timeout: Duration::from_millis(100), ..Limits::default() };
    let two = Bench::start(TWO, limits, Answering::Gated).await;
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    one.knows(&two).await;
    let call = one.calling(TWO, Lane::Call, "take your time");
    // Twelve pulses are three idle timeouts.
    await_that("pulses come", || two.transport.counters().frames_sent >= 12).await;
    two.handler.open();
    assert_eq!(call.await.unwrap().unwrap(), "take your time");
    Bench::stop([one, two]).await;
}

/// Connects to node 2 by hand, as node 1 on the control lane.
async fn by_hand(two: &Bench) -> TcpStream {
    let disk = Uuid::from_u128(1);
    let hello = Hello { from: ONE, to: TWO, to_disk: Uuid::nil(), cluster: Uuid::nil(), disk };
    let hello = storage::codec::encode(&hello);
    let mut greeting = b"OTTL\x01\x00\x01".to_vec();
    greeting.extend(u16::try_from(hello.len()).unwrap().to_le_bytes());
    greeting.extend(hello);
    let mut socket = TcpStream::connect(two.transport.local_address()).await.unwrap();
    socket.write_all(&greeting).await.unwrap();
    let mut answer = [9; 3];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [1, 0, 0]);
    socket
}

/// Waits until the other side has closed the connection.
async fn closed(mut socket: TcpStream) {
    let read = timeout(PATIENCE, socket.read(&mut [0; 64])).await.expect("it is closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_with_a_bad_checksum_closes_the_connection() {
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    let mut socket = by_hand(&two).await;
    socket.write_all(&[4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.unwrap();
    closed(socket).await;
    assert_eq!(two.handler.received().len(), 0);
    Bench::stop([two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_claims_too_much_closes_the_connection() {
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    let mut socket = by_hand(&two).await;
    socket.write_all(&[0xff; 8]).await.unwrap();
    closed(socket).await;
    Bench::stop([two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_of_a_lane_ends_the_older() {
    let two = Bench::start(TWO, Limits::default(), Answering::Echo).await;
    let older = by_hand(&two).await;
    let newer = by_hand(&two).await;
    closed(older).await;
    Bench::stop([two]).await;
    closed(newer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_dialled_by_name_and_as_whoever_is_there_keeps_both_connections() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let two = Bench::start(TWO, Limits::default(), Answering::Gated).await;
    one.knows(&two).await;
    let received = async |count| {
        await_that("it is received", || two.handler.received().len() == count).await;
    };
    let by_name = one.call(TWO, Lane::Control, "name");
    let as_whoever = async {
        received(1).await;
        one.transport.set_peer(NodeId::WHOEVER, &two.transport.local_address().to_string());
        await_that("it is up", || one.transport.reachable(NodeId::WHOEVER).is_ok()).await;
        let call = one.call(NodeId::WHOEVER, Lane::Control, "whoever");
        let open = async {
            received(2).await;
            two.handler.open();
        };
        futures::future::join(call, open).await.0
    };
    let (by_name, as_whoever) = futures::future::join(by_name, as_whoever).await;
    assert_eq!((by_name.unwrap(), as_whoever.unwrap()), ("name".into(), "whoever".into()));
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_greet_in_time_is_shown_out() {
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let two = Bench::start(TWO, limits, Answering::Echo).await;
    let socket = TcpStream::connect(two.transport.local_address()).await.unwrap();
    closed(socket).await;
    Bench::stop([two]).await;
}
