//! Floor 6: the HTTP doors. Bytes to calls of [`Broker`] and back; no decisions.
//!
//! ```text
//!   listener ── connections (socket), HTTP/1.1 and HTTP/2, shutdown
//!     └── guard ── around every request: id, limits, rendered errors, metrics, panics
//!           ├── native   /v1/…            ours
//!           ├── proxy2   /topics…, …      REST Proxy v2, and Redpanda's stateless fetch
//!           ├── proxy3   /v3/…            REST Proxy v3, the part worth having
//!           ├── health   /livez, /readyz, /metrics, /openapi.json
//!           └── /docs                     the same description to read and to try
//!   media, offset, place, body, document, author   what a request says
//!   record, load                           JSON to batches and back
//!   reply, openapi                         errors, and the API's description
//! ```
//!
//! Any node answers: what lives elsewhere is the broker's business. A route is registered by
//! `routes!`, so that none is missing from the description.

#![expect(unused_qualifications, reason = "utoipa's macros qualify the names they are given")]

mod author;
mod body;
mod document;
mod door;
mod figures;
mod guard;
mod health;
mod limits;
mod listener;
mod load;
mod media;
mod meter;
mod native;
mod offset;
mod openapi;
mod origin;
mod place;
mod proxy2;
mod proxy3;
mod record;
mod reply;
mod socket;

use crate::broker::Broker;
use axum::Router;
use axum::middleware::from_fn_with_state;
use door::Door;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

pub use limits::Limits;

/// How long what goes on beside the requests may take to end.
const TASKS_PATIENCE: Duration = Duration::from_secs(5);

/// Serves until `shutdown` is cancelled, then until the requests in flight are answered or their grace is
/// over.
pub async fn serve(
    listener: TcpListener,
    broker: Broker,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (table, description) = all_routes();
    let described = serde_json::to_vec(&description).map_err(io::Error::other)?;
    let door = Door::new(broker, limits, shutdown, described.into());
    let docs: Router<Door> = SwaggerUi::new("/docs").config(docs_config()).into();
    let router = table
        .merge(docs)
        .method_not_allowed_fallback(guard::no_such_method)
        .fallback(guard::no_such_route)
        .layer(from_fn_with_state(door.clone(), guard::guard))
        .with_state(door.clone());
    let served = listener::listen(listener, door.clone(), router).await;
    door.tasks.close(TASKS_PATIENCE).await;
    served
}

/// The API's description, as `/openapi.json` gives it.
pub fn description() -> utoipa::openapi::OpenApi {
    all_routes().1
}

fn all_routes() -> (Router<Door>, utoipa::openapi::OpenApi) {
    let (table, api) = OpenApiRouter::with_openapi(openapi::base())
        .merge(native::routes())
        .merge(proxy2::routes())
        .merge(proxy3::routes())
        .merge(health::routes())
        .split_for_parts();
    (table, openapi::finished(api))
}

fn docs_config() -> utoipa_swagger_ui::Config<'static> {
    utoipa_swagger_ui::Config::from("/openapi.json")
}
