//! Calls between nodes over loopback: they arrive, they are packed, and what became of each is told
//! exactly.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod transport_bench;

use bytes::Bytes;
use raft::transport::{Lane, Limits, MESSAGE_BYTES_MAX, PerLane};
use raft::{CallError, GroupId, NodeId};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use transport_bench::{Answering, Bench, KIND, PATIENCE, await_that, loopback, soon};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_call_makes_the_round_trip_on_every_lane() {
    let (one, two) = Bench::pair(Answering::Echo).await;
    for lane in Lane::ALL {
        let body = vec![Bytes::from_static(b"in "), Bytes::new(), Bytes::from_static(b"pieces")];
        let reply = one.transport.call(TWO, lane, 7, GroupId::new(42), body, soon()).await.unwrap();
        assert_eq!(reply, "in pieces");
        let request = two.handler.received().pop().unwrap();
        assert_eq!((request.from, request.lane, request.kind), (ONE, lane, 7));
        assert_eq!(request.group, GroupId::new(42));
    }
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_makes_the_round_trip() {
    let (one, two) = Bench::pair(Answering::Echo).await;
    assert_eq!(one.call(TWO, Lane::Control, Bytes::new()).await.unwrap(), "");
    Bench::stop([one, two]).await;
}

#[tokio::test]
async fn calls_that_wait_together_leave_in_one_frame() {
    const CALLS: u64 = 500;
    let (one, two) = Bench::pair(Answering::Echo).await;
    one.call(TWO, Lane::Control, "connected").await.unwrap();
    let before = one.transport.counters();
    // One thread: every call is queued before the writer's turn comes.
    let calls = (0..CALLS).map(|_| one.call(TWO, Lane::Control, "heartbeat"));
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.unwrap(), "heartbeat");
    }
    let after = one.transport.counters();
    assert_eq!(after.messages_sent - before.messages_sent, CALLS);
    assert_eq!(after.messages_received - before.messages_received, CALLS);
    let frames = after.frames_sent - before.frames_sent;
    assert!(frames <= 2, "{CALLS} calls left in {frames} frames");
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_arrives_intact() {
    let (one, two) = Bench::pair(Answering::Echo).await;
    let body: Bytes = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect::<Vec<u8>>().into();
    assert!(one.call(TWO, Lane::Data, body.clone()).await.unwrap() == body);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuffed_data_lane_leaves_the_control_lane_free() {
    let limits = Limits { requests_in_flight_max: 1, ..Limits::default() };
    let two = Bench::start(TWO, limits, Answering::Lane(Lane::Control)).await;
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    one.knows(&two).await;
    let large = Bytes::from(vec![7; 8 << 20]);
    let stuffing: Vec<_> = (0..3).map(|_| one.calling(TWO, Lane::Data, large.clone())).collect();
    await_that("the data lane is stuffed", || two.handler.running() == 1).await;
    assert_eq!(one.call(TWO, Lane::Control, "vote").await.unwrap(), "vote");
    two.handler.open();
    for call in stuffing {
        assert!(call.await.unwrap().unwrap() == large);
    }
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_an_unknown_node_is_not_sent() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let error = one.call(TWO, Lane::Call, "who?").await.unwrap_err();
    assert_eq!(error, not_sent("its address is unknown"));
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_an_absent_peer_is_not_sent() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let absent = loopback().await.local_addr().unwrap();
    one.transport.set_peer(TWO, &absent.to_string());
    let error = one.call(TWO, Lane::Call, "hello?").await.unwrap_err();
    assert!(is_not_sent(&error, &absent.to_string()), "{error}");
    assert!(one.transport.reachable(TWO).is_err());
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_reply_is_unanswered_at_its_deadline() {
    let (one, two) = Bench::pair(Answering::Never).await;
    let deadline = Instant::now() + Duration::from_millis(200);
    let error = one.call_until(TWO, Lane::Call, "well?", deadline).await.unwrap_err();
    assert!(is_unanswered(&error, "deadline"), "{error}");
    assert_eq!(two.handler.received().len(), 1);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_peer_dies_after_receipt_is_unanswered() {
    let (one, two) = Bench::pair(Answering::Never).await;
    let call = one.calling(TWO, Lane::Data, "last words");
    await_that("it has arrived", || two.handler.running() == 1).await;
    let killed = Instant::now();
    Bench::stop([two]).await;
    let error = call.await.unwrap().unwrap_err();
    assert!(is_unanswered(&error, ""), "{error}");
    assert!(killed.elapsed() < PATIENCE / 2, "told only after {:?}", killed.elapsed());
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let limits = Limits { queue_bytes_max: PerLane::from_fn(|_| 1000), ..Limits::default() };
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    // The kernel accepts, nobody greets: calls wait in the queue.
    let mute = loopback().await;
    one.transport.set_peer(TWO, &mute.local_addr().unwrap().to_string());
    let deadline = Instant::now() + Duration::from_millis(50);
    let calls = (0..3).map(|_| one.call_until(TWO, Lane::Call, vec![0; 400], deadline));
    let errors: Vec<_> =
        futures::future::join_all(calls).await.into_iter().map(Result::unwrap_err).collect();
    assert!(is_not_sent(&errors[0], "deadline"), "{errors:?}");
    assert!(is_not_sent(&errors[1], "deadline"), "{errors:?}");
    assert!(is_not_sent(&errors[2], "queue full: 844 bytes wait, 1000 may"), "{errors:?}");
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_returns_its_room_in_the_queue() {
    let limits = Limits { queue_bytes_max: PerLane::from_fn(|_| 1000), ..Limits::default() };
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    let mute = loopback().await;
    one.transport.set_peer(TWO, &mute.local_addr().unwrap().to_string());
    for _ in 0..10 {
        let deadline = Instant::now() + Duration::from_millis(10);
        let body = Bytes::from(vec![0; 900]);
        let error = one.call_until(TWO, Lane::Call, body, deadline).await.unwrap_err();
        assert!(is_not_sent(&error, "deadline"), "{error}");
    }
    Bench::stop([one]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_expired_in_the_queue_is_never_sent() {
    let one = Bench::start(ONE, Limits::default(), Answering::Echo).await;
    let listener: TcpListener = loopback().await;
    one.transport.set_peer(TWO, &listener.local_addr().unwrap().to_string());
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = one.call_until(TWO, Lane::Call, "too late", deadline).await.unwrap_err();
    assert!(is_not_sent(&error, "deadline"), "{error}");

    let two = Bench::on(listener, TWO, Limits::default(), Answering::Echo);
    assert_eq!(one.call(TWO, Lane::Call, "in time").await.unwrap(), "in time");
    let bodies: Vec<Bytes> = two.handler.received().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, ["in time"]);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_not_sent() {
    let (one, two) = Bench::pair(Answering::Echo).await;
    let piece = Bytes::from(vec![0; MESSAGE_BYTES_MAX / 2 + 1]);
    let body = vec![piece.clone(), piece];
    let call = one.transport.call(TWO, Lane::Data, KIND, GroupId::ZERO, body, soon());
    let error = call.await.unwrap_err();
    assert!(is_not_sent(&error, "67108866 bytes, at most 67108864"), "{error}");
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_over_the_limit_is_told_to_who_asked() {
    let (one, two) = Bench::pair(Answering::Zeroes(MESSAGE_BYTES_MAX + 1)).await;
    let error = one.call(TWO, Lane::Data, "all of it").await.unwrap_err();
    assert!(is_unanswered(&error, "67108865 bytes, at most 67108864"), "{error}");
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handlers_panic_is_told_to_who_asked() {
    let (one, two) = Bench::pair(Answering::Panic).await;
    let error = one.call(TWO, Lane::Call, "do it").await.unwrap_err();
    assert!(is_unanswered(&error, "its handler panicked"), "{error}");
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_served_at_once_than_allowed() {
    const CALLS: u64 = 50;
    let limits = Limits { requests_in_flight_max: 4, ..Limits::default() };
    let two = Bench::start(TWO, limits, Answering::Gated).await;
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    one.knows(&two).await;
    let calls: Vec<_> = (0..CALLS).map(|_| one.calling(TWO, Lane::Call, "queue up")).collect();
    await_that("all were written", || one.transport.counters().messages_sent == CALLS).await;
    await_that("all places are taken", || two.handler.running() == 4).await;
    two.handler.open();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "queue up");
    }
    assert_eq!(two.handler.most_running(), 4);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_bytes_are_served_at_once_than_allowed() {
    const CALLS: u64 = 20;
    let limits = Limits { request_bytes_max: PerLane::from_fn(|_| 2500), ..Limits::default() };
    let two = Bench::start(TWO, limits, Answering::Gated).await;
    let one = Bench::start(ONE, limits, Answering::Echo).await;
    one.knows(&two).await;
    let body = Bytes::from(vec![1; 1000]);
    let calls: Vec<_> = (0..CALLS).map(|_| one.calling(TWO, Lane::Data, body.clone())).collect();
    await_that("all were written", || one.transport.counters().messages_sent == CALLS).await;
    await_that("the room is taken", || two.handler.running() == 2).await;
    two.handler.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(two.handler.most_running(), 2);
    Bench::stop([one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_settles_every_call() {
    let (one, two) = Bench::pair(Answering::Never).await;
    let call = one.calling(TWO, Lane::Call, "written");
    await_that("it has arrived", || two.handler.running() == 1).await;
    one.transport.shutdown().await;
    let error = call.await.unwrap().unwrap_err();
    assert!(is_unanswered(&error, "shuts down"), "{error}");
    let error = one.call(TWO, Lane::Call, "afterwards").await.unwrap_err();
    assert!(is_not_sent(&error, "shuts down"), "{error}");
    Bench::stop([two]).await;
}

fn not_sent(why: &str) -> CallError {
    CallError::NotSent { to: TWO, why: why.into() }
}

fn is_not_sent(error: &CallError, part: &str) -> bool {
    matches!(error, CallError::NotSent { to: TWO, why } if why.contains(part))
}

fn is_unanswered(error: &CallError, part: &str) -> bool {
    matches!(error, CallError::Unanswered { to: TWO, why } if why.contains(part))
}
