//! Links: where a thing of v3 is, seen from the caller; and the shell around every thing and list.

use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::origin::Origin;
use crate::http::place::Named;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Value, json};

/// The cluster of the path, checked, and how the caller reached us.
pub(super) struct Links {
    base: String,
    /// The cluster's id.
    pub(super) cluster: String,
}

impl Links {
    /// The link to a path below the cluster's.
    pub(super) fn to(&self, below: &str) -> String {
        format!("{}/v3/clusters/{}{below}", self.base, self.cluster)
    }

    /// `{"related": link}`.
    pub(super) fn related(&self, below: &str) -> Value {
        json!({ "related": self.to(below) })
    }

    /// A thing: its kind, its links, and its fields.
    pub(super) fn thing(&self, kind: &str, below: &str, fields: Value) -> Value {
        // `/topics/t/partitions/0` is named `/topic=t/partition=0`.
        let mut name = String::new();
        for pair in below.trim_start_matches('/').split('/').collect::<Vec<_>>().chunks(2) {
            if let [plural, which] = pair {
                name.push('/');
                name.push_str(plural.strip_suffix('s').unwrap_or(plural));
                name.push('=');
                name.push_str(which);
            }
        }
        let mut thing = json!({
            "kind": kind,
            "metadata": {
                "self": self.to(below),
                "resource_name": format!("crn:///kafka={}{name}", self.cluster),
            },
            "cluster_id": self.cluster,
        });
        if let (Value::Object(thing), Value::Object(fields)) = (&mut thing, fields) {
            thing.extend(fields);
        }
        thing
    }

    /// A list of things.
    pub(super) fn list(&self, kind: &str, below: &str, things: &[Value]) -> Value {
        json!({
            "kind": kind,
            "metadata": { "self": self.to(below), "next": null },
            "data": things,
        })
    }
}

impl FromRequestParts<Door> for Links {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Error> {
        let cluster = door.broker.cluster().cluster_id.to_string();
        if let Ok(named) = Named::from_request_parts(parts, door).await
            && let Ok(named) = named.get("cluster")
            && named != cluster
        {
            let message = format!("no cluster {named:?} here; this one is {cluster}");
            return Err(Error::new(ErrorKind::UnknownCluster, message));
        }
        let Origin(base) = Origin::from_request_parts(parts, door).await?;
        Ok(Self { base, cluster })
    }
}
