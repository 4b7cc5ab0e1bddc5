//! The native dialect, `/v1`: stateless, any node answers, honest about what became of a write.

mod cluster;
mod config;
mod course;
mod fetch;
mod fetch_topic;
mod follow;
mod framing;
mod groups;
mod page;
mod produce;
mod producers;
mod redirect;
mod seen;
mod tail;
mod topic;
mod topics;
mod trim;

use super::door::Door;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use fetch::{Source, comma, v2_page, wait};
pub(super) use groups::{Room, few, next_of, place_at, places, query_places, subscription};
pub(super) use page::{Bounds, fill};
pub(super) use produce::produced_load;

/// All its routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(cluster::cluster))
        .routes(routes!(cluster::brokers))
        .routes(routes!(cluster::health))
        .routes(routes!(topics::list))
        .routes(routes!(topic::describe, topic::create, topic::alter, topic::delete))
        .routes(routes!(config::show, config::alter))
        .routes(routes!(trim::trim))
        .routes(routes!(tail::tail))
        .routes(routes!(producers::create))
        .routes(routes!(produce::to_topic, fetch_topic::fetch))
        .routes(routes!(produce::to_partition, fetch::fetch))
        .merge(groups::routes())
}
