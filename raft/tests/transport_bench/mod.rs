//! Nodes on loopback whose handler the test steers.
#![allow(dead_code, reason = "each test file uses a part")]

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use raft::transport::{
    CallError, Handler, Hello, Lane, Limits, NodeId, Request, Transport, TransportOptions,
};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::GroupId;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Longer than anything here takes, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The kind of every request whose kind does not matter.
pub(crate) const KIND: u8 = 1;

/// A deadline that a working call never meets.
pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// A listener on a free port.
pub(crate) async fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Waits for a condition.
pub(crate) async fn await_that(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"));
}

/// How a handler answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answering {
    /// With the request's body.
    Echo,
    /// Not at all.
    Never,
    /// With the request's body, once the test opens the gate.
    Gated,
    /// This lane at once, the others gated.
    Lane(Lane),
    /// With a panic.
    Panic,
    /// With so many zeroes.
    Zeroes(usize),
}

/// A handler that remembers.
pub(crate) struct Recorder {
    answering: Answering,
    received: Mutex<Vec<Request>>,
    hellos: Mutex<Vec<Hello>>,
    refusal: Mutex<Option<String>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    gate: watch::Sender<bool>,
}

impl Recorder {
    fn new(answering: Answering) -> Self {
        Self {
            answering,
            received: Mutex::default(),
            hellos: Mutex::default(),
            refusal: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            gate: watch::Sender::new(false),
        }
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Request> {
        self.received.lock().unwrap().clone()
    }

    /// The greetings so far.
    pub(crate) fn hellos(&self) -> Vec<Hello> {
        self.hellos.lock().unwrap().clone()
    }

    /// From now on no one is admitted, or everyone.
    pub(crate) fn refuse(&self, why: Option<&str>) {
        *self.refusal.lock().unwrap() = why.map(Into::into);
    }

    /// Requests that are being served.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The most that were being served at once.
    pub(crate) fn most_running(&self) -> usize {
        self.most_running.load(Ordering::SeqCst)
    }

    /// Lets gated requests pass.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    async fn answer(&self, request: Request) -> Vec<Bytes> {
        match self.answering {
            Answering::Echo => {}
            Answering::Never => pending().await,
            Answering::Panic => panic!("a handler that is broken"),
            Answering::Lane(lane) if lane == request.lane => {}
            Answering::Gated | Answering::Lane(_) => {
                self.gate.subscribe().wait_for(|open| *open).await.unwrap();
            }
            Answering::Zeroes(count) => return vec![vec![0; count].into()],
        }
        vec![request.body]
    }
}

impl Handler for Recorder {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        self.hellos.lock().unwrap().push(hello.clone());
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn handle(self: Arc<Self>, request: Request) -> BoxFuture<'static, Vec<Bytes>> {
        async move {
            self.received.lock().unwrap().push(request.clone());
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            let reply = self.answer(request).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            reply
        }
        .boxed()
    }
}

/// A node with a steered handler.
pub(crate) struct Bench {
    pub(crate) transport: Transport,
    pub(crate) handler: Arc<Recorder>,
    pub(crate) node: NodeId,
}

impl Bench {
    /// A node of no cluster on a free port.
    pub(crate) async fn start(node: NodeId, limits: Limits, answering: Answering) -> Self {
        Self::on(loopback().await, node, limits, answering)
    }

    /// A node of no cluster on this port.
    pub(crate) fn on(
        listener: TcpListener,
        node: NodeId,
        limits: Limits,
        answering: Answering,
    ) -> Self {
        Self::of_cluster(Uuid::nil(), listener, node, limits, answering)
    }

    /// A node of a cluster.
    pub(crate) fn of_cluster(
        cluster: Uuid,
        listener: TcpListener,
        node: NodeId,
        limits: Limits,
        answering: Answering,
    ) -> Self {
        let options = TransportOptions { node, disk: Uuid::from_u128(node.0.into()), cluster };
        let handler = Arc::new(Recorder::new(answering));
        let serving: Arc<dyn Handler> = Arc::<Recorder>::clone(&handler);
        let transport = Transport::start_within(limits, options, listener, serving).unwrap();
        Self { transport, handler, node }
    }

    /// Node 1, connected to a node 2 that answers so.
    pub(crate) async fn pair(answering: Answering) -> (Self, Self) {
        let one = Self::start(NodeId(1), Limits::default(), Answering::Echo).await;
        let two = Self::start(NodeId(2), Limits::default(), answering).await;
        one.knows(&two).await;
        (one, two)
    }

    /// Tells the other's address and waits for the connection.
    pub(crate) async fn knows(&self, other: &Self) {
        self.transport.set_peer(other.node, &other.transport.local_address().to_string());
        await_that("they are connected", || self.transport.reachable(other.node).is_ok()).await;
    }

    /// Calls and waits.
    pub(crate) async fn call(
        &self,
        to: NodeId,
        lane: Lane,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, CallError> {
        self.call_until(to, lane, body, soon()).await
    }

    /// Calls and waits until a deadline.
    pub(crate) async fn call_until(
        &self,
        to: NodeId,
        lane: Lane,
        body: impl Into<Bytes>,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let body = vec![body.into()];
        self.transport.call(to, lane, KIND, GroupId::ZERO, body, deadline).await
    }

    /// Calls in a task.
    #[expect(clippy::disallowed_methods, reason = "the test awaits the handle")]
    pub(crate) fn calling(
        &self,
        to: NodeId,
        lane: Lane,
        body: impl Into<Bytes>,
    ) -> JoinHandle<Result<Bytes, CallError>> {
        let (transport, body) = (self.transport.clone(), vec![body.into()]);
        tokio::spawn(
            async move { transport.call(to, lane, KIND, GroupId::ZERO, body, soon()).await },
        )
    }

    /// Stops the nodes and joins their tasks.
    pub(crate) async fn stop<const N: usize>(nodes: [Self; N]) {
        for node in nodes {
            timeout(PATIENCE, node.transport.shutdown()).await.expect("it shuts down");
        }
    }
}
