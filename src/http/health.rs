//! What tools look at: `/livez`, `/readyz`, `/healthz`, `/metrics`, `/openapi.json`.

use super::door::Door;
use super::reply::{json, typed};
use crate::error::{Error, ErrorKind};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All its routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(healthz))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// Whether this node can serve.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// No reasons against it.
    ready: bool,
    /// Why not, one sentence each.
    reasons: Vec<String>,
}

/// The process runs.
#[utoipa::path(
    get, path = "/livez", tag = "health",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"))
)]
async fn livez() -> &'static str {
    "ok\n"
}

/// This node can serve; if not, why not.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot", body = Readiness),
    )
)]
async fn readyz(State(door): State<Door>) -> (StatusCode, Json<Readiness>) {
    match door.broker.ready() {
        Ok(()) => (StatusCode::OK, Json(Readiness { ready: true, reasons: Vec::new() })),
        Err(reasons) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, reasons }))
        }
    }
}

/// The same as `/readyz`.
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses(
        (status = 200, description = "It can serve", body = Readiness),
        (status = 503, description = "It cannot", body = Readiness),
    )
)]
async fn healthz(door: State<Door>) -> (StatusCode, Json<Readiness>) {
    readyz(door).await
}

/// Metrics in the text format of `OpenMetrics`.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text"))
)]
async fn metrics(State(door): State<Door>) -> Result<Response, Error> {
    let text = door.meter.text();
    let text = text.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    Ok(typed("application/openmetrics-text; version=1.0.0; charset=utf-8", text))
}

/// This description of the API.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn openapi(State(door): State<Door>) -> Response {
    json(door.openapi.clone())
}
