//! REST Proxy v2 (Confluent) without schemas, and Redpanda's stateless fetch. Existing clients
//! work unchanged; what is ours on top: `application/json` is taken as `json.v2`, records that are read
//! carry their timestamp and headers, and a poll returns as soon as one record is there.

mod brokers;
mod consumers;
mod fetch;
mod partitions;
mod produce;
mod root;
mod topics;

use super::door::Door;
use super::media::Media;
use super::reply::typed;
use crate::error::Error;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All its routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(root::get, root::post))
        .routes(routes!(brokers::brokers))
        .routes(routes!(topics::list))
        .routes(routes!(topics::describe, produce::to_topic))
        .routes(routes!(partitions::list))
        .routes(routes!(partitions::describe, produce::to_partition))
        .routes(routes!(partitions::offsets))
        .routes(routes!(fetch::fetch))
        .merge(consumers::routes())
}

/// An answer in the type that the caller likes best; v2's own without a wish.
fn answer<T: Serialize>(headers: &HeaderMap, body: &T) -> Result<Response, Error> {
    let media = media(headers)?;
    Ok(typed(media.name(), serde_json::to_vec(body).expect("plain data")))
}

fn media(headers: &HeaderMap) -> Result<Media, Error> {
    Media::accepted(headers, &[Media::V2, Media::Json, Media::V2Json, Media::V2Binary])
}
