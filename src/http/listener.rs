//! Connections: accepted up to a limit, served by HTTP/1.1 or HTTP/2 as they begin, and let go in peace at
//! shutdown.

use super::door::Door;
use super::guard::Lanes;
use super::socket::Socket;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// After an error of `accept` that is the system's (no file descriptors left), before the next try.
const BREATH: Duration = Duration::from_millis(50);
/// HTTP/2 streams a connection may open beyond those it is answered on; these get a 429.
const STREAMS_BEYOND: usize = 32;
/// How much larger than our limits hyper's own are: what lies between gets our answer, what is beyond
/// gets hyper's, without a body.
const HEAD_SLACK: usize = 4;

/// Serves until the door is stopping, then until all requests are answered or their grace is over.
pub(super) async fn listen(listener: TcpListener, door: Door, router: Router) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(door.limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = door.stopping.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let serving = serve_one(stream, door.clone(), router.clone(), graceful.watcher());
        connections.spawn(async move {
            serving.await;
            drop(place);
        });
    }
    drop(listener);
    let left = connections.len();
    if tokio::time::timeout(door.limits.shutdown_grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(of = left, open = connections.len(), "closing connections in use");
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, impl Sized + use<>)> {
    let place = Arc::clone(places).acquire_owned().await.expect("the places are never closed");
    let (stream, _from) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve_one(stream: TcpStream, door: Door, router: Router, watcher: Watcher) {
    let _counted = door.meter.connection();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let limits = &door.limits;
    let socket = Socket::new(stream, limits.answer_pause_max);
    let lanes = Lanes(Arc::new(Semaphore::new(limits.requests_per_connection_max)));
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(lanes.clone());
        let request: Request = request.map(axum::body::Body::new);
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let head_bytes = limits.header_bytes_max.saturating_mul(HEAD_SLACK);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time_max)
        .max_headers(limits.headers_max.saturating_mul(HEAD_SLACK))
        // Also how much of an answer it takes before the last of it is written. (`pipeline_flush` would
        // take away that bound: a stream that nobody reads would grow until memory ends.)
        .max_buf_size(head_bytes.max(64 * 1024));
    let streams = limits.requests_per_connection_max.saturating_add(STREAMS_BEYOND);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .adaptive_window(true);
    let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
