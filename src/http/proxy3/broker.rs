//! `GET /v3/clusters/{cluster}/brokers` and `…/brokers/{broker}`.

use super::link::Links;
use crate::broker::BrokerView;
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::Named;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

fn thing(links: &Links, broker: &BrokerView) -> Value {
    let below = format!("/brokers/{}", broker.id);
    let (host, port) = broker.http.rsplit_once(':').unwrap_or((&broker.http, ""));
    let fields = json!({
        "broker_id": broker.id,
        "host": host,
        "port": port.parse::<u16>().ok(),
        "rack": broker.rack,
        "configs": links.related(&format!("{below}/configs")),
        "partition_replicas": links.related(&format!("{below}/partition-replicas")),
    });
    links.thing("KafkaBroker", &below, fields)
}

/// Lists the brokers.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/brokers", tag = "v3",
    params(("cluster" = String, Path, description = "The cluster's id")),
    responses((status = 200, description = "A KafkaBrokerList", body = Value))
)]
pub(super) async fn list(State(door): State<Door>, links: Links) -> Json<Value> {
    let brokers = door.broker.cluster().brokers;
    let things = brokers.iter().map(|broker| thing(&links, broker)).collect::<Vec<_>>();
    Json(links.list("KafkaBrokerList", "/brokers", &things))
}

/// Describes a broker.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}/brokers/{broker}", tag = "v3",
    params(
        ("cluster" = String, Path, description = "The cluster's id"),
        ("broker" = u64, Path, description = "The broker's id"),
    ),
    responses((status = 200, description = "A KafkaBroker", body = Value))
)]
pub(super) async fn show(
    State(door): State<Door>,
    links: Links,
    named: Named,
) -> Result<Json<Value>, Error> {
    let id = named.get("broker")?;
    let brokers = door.broker.cluster().brokers;
    let found = brokers.iter().find(|broker| broker.id.to_string() == id);
    let found = found.ok_or_else(|| {
        Error::new(ErrorKind::UnknownBroker, format!("no broker {id:?} in this cluster"))
    })?;
    Ok(Json(thing(&links, found)))
}
