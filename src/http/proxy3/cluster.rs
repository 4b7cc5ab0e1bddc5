//! `GET /v3/clusters` and `GET /v3/clusters/{cluster}`.

use super::link::Links;
use crate::http::door::Door;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

fn thing(door: &Door, links: &Links) -> Value {
    let controller = door.broker.cluster().controller;
    let controller = controller.map(|node| links.related(&format!("/brokers/{node}")));
    let mut fields = json!({
        "acls": links.related("/acls"),
        "brokers": links.related("/brokers"),
        "broker_configs": links.related("/broker-configs"),
        "consumer_groups": links.related("/consumer-groups"),
        "topics": links.related("/topics"),
        "partition_reassignments": links.related("/topics/-/partitions/-/reassignment"),
    });
    if let (Some(controller), Value::Object(fields)) = (controller, &mut fields) {
        fields.insert("controller".to_owned(), controller);
    }
    links.thing("KafkaCluster", "", fields)
}

/// Lists the one cluster there is.
#[utoipa::path(
    get, path = "/v3/clusters", tag = "v3",
    responses((status = 200, description = "A KafkaClusterList", body = Value))
)]
pub(super) async fn list(State(door): State<Door>, links: Links) -> Json<Value> {
    let thing = thing(&door, &links);
    let mut list = links.list("KafkaClusterList", "", &[thing]);
    let itself = links.to("").rsplit_once('/').map(|(path, _)| path.to_owned());
    if let Some(place) = list.pointer_mut("/metadata/self") {
        *place = itself.into();
    }
    Json(list)
}

/// Describes the cluster.
#[utoipa::path(
    get, path = "/v3/clusters/{cluster}", tag = "v3",
    params(("cluster" = String, Path, description = "The cluster's id")),
    responses((status = 200, description = "A KafkaCluster", body = Value))
)]
pub(super) async fn show(State(door): State<Door>, links: Links) -> Json<Value> {
    Json(thing(&door, &links))
}
