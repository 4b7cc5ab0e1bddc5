//! `GET /brokers`.

use super::answer;
use crate::error::Error;
use crate::http::door::Door;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// The brokers' ids.
#[derive(Serialize, ToSchema)]
#[schema(as = V2Brokers)]
pub(super) struct Brokers {
    brokers: Vec<u64>,
}

/// Lists the brokers.
#[utoipa::path(
    get, path = "/brokers", tag = "v2",
    responses((status = 200, description = "Their ids", content(
        (Brokers = "application/vnd.kafka.v2+json"), (Brokers = "application/json"),
    )))
)]
pub(super) async fn brokers(
    State(door): State<Door>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let brokers = door.broker.cluster().brokers.iter().map(|broker| broker.id).collect();
    answer(&headers, &Brokers { brokers })
}
