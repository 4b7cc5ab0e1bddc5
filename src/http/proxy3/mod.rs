//! REST Proxy v3 (Confluent): clusters, brokers, topics, configs, partitions, consumer groups and lags. Every thing has a kind, a
//! link to itself and links to what belongs to it; the links to what is not offered here answer 404.

mod broker;
mod cluster;
mod config;
mod group;
mod lag;
mod link;
mod partition;
mod replica;
mod topic;

use super::door::Door;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All its routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(cluster::list))
        .routes(routes!(cluster::show))
        .routes(routes!(broker::list))
        .routes(routes!(broker::show))
        .routes(routes!(topic::list, topic::create))
        .routes(routes!(topic::show, topic::alter, topic::delete))
        .routes(routes!(config::list))
        .routes(routes!(config::show, config::set, config::reset))
        .routes(routes!(config::alter))
        .routes(routes!(partition::list))
        .routes(routes!(partition::show))
        .routes(routes!(replica::list))
        .routes(routes!(replica::show))
        .routes(routes!(group::list))
        .routes(routes!(group::show))
        .routes(routes!(group::consumers))
        .routes(routes!(group::show_consumer))
        .routes(routes!(group::assignments))
        .routes(routes!(group::show_assignment))
        .routes(routes!(lag::summary))
        .routes(routes!(lag::list))
        .routes(routes!(lag::show))
}
