//! `GET /v1/cluster`, `/v1/brokers` and `/v1/cluster/health`.

use crate::broker::{BrokerView, ClusterView, HealthView};
use crate::http::door::Door;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// All brokers.
#[derive(Serialize, ToSchema)]
pub(super) struct Brokers {
    /// By id.
    brokers: Vec<BrokerView>,
}

/// The cluster, as this node knows it.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "cluster",
    responses((status = 200, description = "The cluster", body = ClusterView))
)]
pub(super) async fn cluster(State(door): State<Door>) -> Json<ClusterView> {
    Json(door.broker.cluster())
}

/// The brokers.
#[utoipa::path(
    get, path = "/v1/brokers", tag = "cluster",
    responses((status = 200, description = "All brokers", body = Brokers))
)]
pub(super) async fn brokers(State(door): State<Door>) -> Json<Brokers> {
    Json(Brokers { brokers: door.broker.cluster().brokers })
}

/// How the cluster is: asks every broker. The status is 200 also when it is not well.
#[utoipa::path(
    get, path = "/v1/cluster/health", tag = "cluster",
    responses((status = 200, description = "How it is", body = HealthView))
)]
pub(super) async fn health(State(door): State<Door>) -> Json<HealthView> {
    Json(door.broker.health().await)
}
