//! What stands around every request: its id, its place among those in flight, the limits of its head, the
//! rendering of its error, its time in the metrics, and a net under a handler that panics.

use super::door::Door;
use super::reply::Asked;
use crate::error::{Error, ErrorKind};
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The places for requests on one connection.
#[derive(Clone)]
pub(super) struct Lanes(pub(super) Arc<Semaphore>);

/// Answers a request.
pub(super) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let asked = Asked::of(request.method(), request.version(), request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let counted = door.meter.request();
    let mut response = match admit(&door, &request) {
        Err(error) => error.into_response(),
        Ok(_places) => {
            AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| {
                let why = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                tracing::error!(%why, id = ?asked.id, "a handler panicked");
                let message = "a bug of ours; the node's log has more under this request's id";
                Error::new(ErrorKind::Internal, message).into_response()
            })
        }
    };
    asked.render(&mut response);
    drop(counted);
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    door.meter.answered(route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}

/// Whether a request may go on; with its places.
fn admit(door: &Door, request: &Request) -> Result<impl Sized + use<>, Error> {
    if door.stopping.is_cancelled() {
        return Err(Door::closing());
    }
    head_fits(door, request.headers())?;
    let lane = request.extensions().get::<Lanes>().map(|Lanes(lanes)| {
        Arc::clone(lanes).try_acquire_owned().map_err(|_full| {
            let most = door.limits.requests_per_connection_max;
            let message = format!("{most} requests are being answered on this connection already");
            Error::new(ErrorKind::Busy, message)
        })
    });
    Ok((lane.transpose()?, door.admit()?))
}

fn head_fits(door: &Door, headers: &HeaderMap) -> Result<(), Error> {
    let refuse = |message: String| Err(Error::new(ErrorKind::HeadersTooLarge, message));
    let most = door.limits.headers_max;
    if headers.len() > most {
        return refuse(format!("{} header fields; at most {most} are taken", headers.len()));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let most = door.limits.header_bytes_max;
    if bytes > most {
        return refuse(format!("{bytes} bytes of header fields; at most {most} are taken"));
    }
    Ok(())
}

/// The answer to a path that there is not.
pub(super) async fn no_such_route(request: Request) -> Error {
    let message = format!("no route {}; GET /openapi.json lists all of them", request.uri().path());
    Error::new(ErrorKind::NotFound, message)
}

/// The answer to a method that a path does not have; `Allow` says which it has.
pub(super) async fn no_such_method(request: Request) -> Error {
    let message = format!("{} does not take {}", request.uri().path(), request.method());
    Error::new(ErrorKind::MethodNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http::limits::Limits;
    use crate::server::Server;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt;

    async fn broken() {
        panic!("a bug");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_handler_that_panics_is_answered_with_a_500() {
        let dir = tempfile::tempdir().unwrap();
        let any = || "127.0.0.1:0".to_owned();
        let data = dir.path().to_owned();
        let config = Config { data, http: any(), peer: any(), ..Config::default() };
        let server = Box::pin(Server::start(config)).await.unwrap();
        let broker = server.broker().clone();
        let door =
            Door::new(broker, Limits::DEFAULT, CancellationToken::new(), bytes::Bytes::new());
        let router: Router = Router::new()
            .route("/broken", get(broken))
            .layer(from_fn_with_state(door.clone(), guard))
            .with_state(door);
        let request = Request::builder().uri("/broken").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error_code"], ErrorKind::Internal.row().code);
        // What broke is for the node's log; the caller gets the id to find it by.
        assert_eq!(
            body["message"],
            "a bug of ours; the node's log has more under this request's id"
        );
        assert_eq!(body["outcome"], serde_json::Value::Null);
        server.shutdown().await.unwrap();
    }
}
