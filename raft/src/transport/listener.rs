//! Accepts connections, answers their greetings and hands them to be served.

use super::greeting::{self, Greeting, Hello, Verdict};
use super::handler::Handler;
use super::lane::Lane;
use super::local::Local;
use super::node_id::NodeId;
use super::peer::Peers;
use super::{serving, wire};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections that have not greeted yet: strangers hold at most so many sockets.
const GREETINGS_MAX: usize = 256;
/// After a failed accept (no file descriptors left, for example) it is tried again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The accepting side of a transport.
pub(super) struct Listener {
    local: Arc<Local>,
    peers: Arc<Peers>,
    handler: Arc<dyn Handler>,
    greetings: Arc<Semaphore>,
    /// The connection that each peer's lane came by last, for whom it meant: us, or whoever is here. A
    /// newer one ends it: its dialler has given it up, so that there are at most six per admitted peer.
    /// A node that joins has a dialler for either, and they do not end each other's.
    current: Mutex<HashMap<(NodeId, NodeId, Lane), CancellationToken>>,
}

impl Listener {
    pub(super) fn new(local: Arc<Local>, peers: Arc<Peers>, handler: Arc<dyn Handler>) -> Self {
        let greetings = Arc::new(Semaphore::new(GREETINGS_MAX));
        Self { local, peers, handler, greetings, current: Mutex::default() }
    }

    /// Accepts until it is dropped.
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            let permit = Arc::clone(&self.greetings).acquire_owned().await;
            match listener.accept().await {
                Ok((socket, from)) => {
                    let listener = Arc::clone(&self);
                    self.local.tasks.spawn("inbound connection", async move {
                        let accepted = listener.accept(socket, from).await;
                        drop(permit);
                        if let Some((socket, lane, hello)) = accepted {
                            listener.serve(socket, lane, &hello).await;
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("accepting a connection failed: {error}");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Goes through the greeting; `None` if it led nowhere.
    async fn accept(
        &self,
        mut socket: TcpStream,
        from: SocketAddr,
    ) -> Option<(TcpStream, Lane, Hello)> {
        let greeted = timeout(self.local.limits.handshake_timeout, self.greet(&mut socket)).await;
        match greeted {
            Ok(Ok(Ok((lane, hello)))) => return Some((socket, lane, hello)),
            Ok(Ok(Err(refusal))) => tracing::debug!(%from, "refused a connection: {refusal}"),
            Ok(Err(error)) => tracing::debug!(%from, "greeting failed: {error}"),
            Err(_elapsed) => tracing::debug!(%from, "no greeting in time"),
        }
        None
    }

    async fn greet(&self, socket: &mut TcpStream) -> io::Result<Result<(Lane, Hello), String>> {
        wire::tune(socket)?;
        let judged = match greeting::receive(socket).await? {
            Greeting::Hello(lane, hello) => self.judge(&hello).map(|()| (lane, hello)),
            Greeting::Foreign(why) => Err(why),
        };
        let verdict = match &judged {
            Ok(_) => Verdict::Accepted,
            Err(why) => Verdict::Refused(why.clone()),
        };
        greeting::answer(socket, &verdict).await?;
        Ok(judged)
    }

    fn judge(&self, hello: &Hello) -> Result<(), String> {
        hello.fits(self.local.node, self.local.disk, self.local.cluster())?;
        self.handler.admit(hello)
    }

    async fn serve(&self, socket: TcpStream, lane: Lane, hello: &Hello) {
        let from = hello.from;
        if let Some(peer) = self.peers.get(from) {
            peer.greeted();
        }
        let replaced = self.make_current(hello, lane);
        let serving = serving::run(&self.local, &self.handler, from, lane, socket);
        match replaced.run_until_cancelled(serving).await {
            Some(end) if end.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(peer = %from, ?lane, "connection from node {from} closed: {end}");
            }
            Some(end) => tracing::debug!(peer = %from, ?lane, "inbound connection ended: {end}"),
            None => tracing::debug!(peer = %from, ?lane, "inbound connection replaced"),
        }
    }

    /// Ends the lane's former connection; the token ends the new one.
    fn make_current(&self, hello: &Hello, lane: Lane) -> CancellationToken {
        let token = CancellationToken::new();
        let mut current = self.current.lock().expect("nothing panics under this lock");
        if let Some(former) = current.insert((hello.from, hello.to, lane), token.clone()) {
            former.cancel();
        }
        token
    }
}
