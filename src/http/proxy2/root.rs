//! `GET` and `POST /`: what clients of v2 ask to learn whether somebody is there.

use super::answer;
use crate::error::Error;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// Nothing.
#[derive(Serialize, ToSchema)]
pub(super) struct Nothing {}

/// Somebody is there.
#[utoipa::path(
    get, path = "/", tag = "v2",
    responses((status = 200, description = "Always", content(
        (Nothing = "application/vnd.kafka.v2+json"), (Nothing = "application/json"),
    )))
)]
pub(super) async fn get(headers: HeaderMap) -> Result<Response, Error> {
    answer(&headers, &Nothing {})
}

/// Somebody is there.
#[utoipa::path(
    post, path = "/", tag = "v2",
    responses((status = 200, description = "Always", content(
        (Nothing = "application/vnd.kafka.v2+json"), (Nothing = "application/json"),
    )))
)]
pub(super) async fn post(headers: HeaderMap) -> Result<Response, Error> {
    answer(&headers, &Nothing {})
}
