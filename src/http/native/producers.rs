//! `POST /v1/producers`.

use super::topic::TimeAsks;
use crate::error::Error;
use crate::http::door::Door;
use crate::http::place::Asks;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// An idempotent producer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Producer {
    /// Its id: no other has it or had it.
    #[schema(example = 7000, minimum = 0)]
    producer_id: i64,
    /// Where its epochs begin.
    #[schema(example = 0)]
    epoch: i16,
}

/// Gives an id to an idempotent producer.
///
/// For the header `Producer-Id`, or for the batches that a client makes itself. A producer that has a name
/// needs none.
#[utoipa::path(
    post, path = "/v1/producers", tag = "records",
    params(TimeAsks),
    responses((status = 201, description = "A new producer", body = Producer))
)]
pub(super) async fn create(
    State(door): State<Door>,
    Asks(asks): Asks<TimeAsks>,
) -> Result<(StatusCode, Json<Producer>), Error> {
    let id = door.broker.new_producer(door.deadline(asks.timeout_ms)?).await?;
    Ok((StatusCode::CREATED, Json(Producer { producer_id: id.get(), epoch: 0 })))
}
