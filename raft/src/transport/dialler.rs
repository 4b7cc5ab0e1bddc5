//! Keeps one lane to one peer connected, writes its calls and reads their replies.
//!
//! The first dial and the one after a good connection broke are immediate and calls wait for them;
//! when they fail, calls fail at once until a later dial succeeds. A greeting from the peer or a new
//! address makes the next dial immediate again.

use super::backoff::{Backoff, GOOD_AFTER};
use super::calls::Calls;
use super::frame::Class;
use super::greeting::{self, Verdict};
use super::lane::Lane;
use super::local::Local;
use super::peer::{Peer, Target};
use super::wire::{self, FrameReader, FrameWriter};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Why a dial led to no connection.
enum DialError {
    /// The peer's machine says that nobody listens there.
    NobodyListens(String),
    /// The peer does not want us.
    Refused(String),
    /// Anything else; it may be slow or cut off.
    Failed(String),
}

impl DialError {
    fn why(&self) -> &str {
        match self {
            Self::NobodyListens(why) | Self::Refused(why) | Self::Failed(why) => why,
        }
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Self::NobodyListens(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

/// Runs until it is dropped.
pub(super) async fn run(local: Arc<Local>, peer: Arc<Peer>, lane: Lane) {
    let calls = peer.calls.of(lane);
    let mut target = peer.target();
    let mut backoff = Backoff::new(local.limits.redial_wait_min, local.limits.redial_wait_max);
    let mut was_connected = false;
    let mut why = String::new();
    loop {
        let wait = backoff.next(rand::random());
        if wait.is_zero() {
            calls.open();
        } else {
            calls.away(&why);
            tokio::select! {
                () = sleep(wait) => {}
                _ = target.changed() => {
                    backoff.reset();
                    continue;
                }
            }
        }
        let address = target.borrow_and_update().address.clone();
        match dial(&local, &peer, lane, &address).await {
            Ok(socket) => {
                was_connected = true;
                calls.open();
                peer.connected(&local, lane);
                let since = Instant::now();
                let end = converse(&local, calls, socket, &mut target, &address).await;
                calls.lost(&end.to_string());
                peer.disconnected(lane, &end);
                why = format!("connection lost: {end}");
                if since.elapsed() >= GOOD_AFTER {
                    backoff.reset();
                }
            }
            Err(error) => {
                why = format!("{address}: {}", error.why());
                match error {
                    DialError::NobodyListens(_) => {
                        peer.failed(lane, &why);
                        if was_connected {
                            peer.gone(&local);
                        }
                    }
                    DialError::Refused(_) => peer.refused(lane, &why),
                    DialError::Failed(_) => peer.failed(lane, &why),
                }
            }
        }
    }
}

async fn dial(
    local: &Local,
    peer: &Peer,
    lane: Lane,
    address: &str,
) -> Result<TcpStream, DialError> {
    let limit = local.limits.handshake_timeout;
    let dialling = async {
        let mut socket = TcpStream::connect(address).await?;
        wire::tune(&socket)?;
        match greeting::greet(&mut socket, lane, &local.hello(peer.node, peer.disk())).await? {
            Verdict::Accepted => Ok(socket),
            Verdict::Refused(why) => Err(DialError::Refused(why)),
        }
    };
    match timeout(limit, dialling).await {
        Ok(result) => result,
        Err(_elapsed) => Err(DialError::Failed(format!("no greeting within {limit:?}"))),
    }
}

/// Uses a connection until it ends, and says why it did.
async fn converse(
    local: &Local,
    calls: &Calls,
    socket: TcpStream,
    target: &mut watch::Receiver<Target>,
    address: &str,
) -> io::Error {
    let idle = local.limits.idle_timeout;
    let (read, write) = socket.into_split();
    let reader = FrameReader::new(read, Arc::clone(&local.traffic));
    let writer = FrameWriter::new(write, idle, Arc::clone(&local.traffic));
    let ended = tokio::select! {
        ended = write_requests(calls, writer) => ended,
        ended = read_replies(local, calls, reader) => ended,
        () = moved(target, address) => Err(io::Error::other("its address has changed")),
    };
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn write_requests(calls: &Calls, mut writer: FrameWriter) -> io::Result<Infallible> {
    loop {
        writer.write(calls.take_frame().await).await?;
    }
}

async fn read_replies(
    local: &Local,
    calls: &Calls,
    mut reader: FrameReader,
) -> io::Result<Infallible> {
    let idle = local.limits.idle_timeout;
    loop {
        while let Some(messages) = reader.next_frame()? {
            for message in messages {
                let message = message.map_err(wire::invalid)?;
                local.traffic.received_message();
                match message.class {
                    Class::Reply => calls.answer(message.correlation, Ok(message.body)),
                    Class::Failure => {
                        let why = String::from_utf8_lossy(&message.body).into_owned();
                        calls.answer(message.correlation, Err(why));
                    }
                    Class::Request => return Err(wire::invalid("a request where replies belong")),
                }
            }
        }
        let check = calls.owed_since().unwrap_or_else(Instant::now) + idle;
        tokio::select! {
            read = reader.fill() => {
                read?;
                calls.heard(Instant::now());
            }
            () = sleep_until(check) => {
                if calls.owed_since().is_some_and(|since| since.elapsed() >= idle) {
                    let why = format!("it owes an answer and was silent for {idle:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
            }
        }
    }
}

/// Ends when the peer is to be reached elsewhere.
async fn moved(target: &mut watch::Receiver<Target>, address: &str) {
    while target.changed().await.is_ok() {
        if target.borrow_and_update().address != address {
            return;
        }
    }
}
