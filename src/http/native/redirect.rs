//! `Prefer: redirect`: the caller would rather be sent to the leader than be served from here.

use crate::broker::Freshness;
use crate::error::Error;
use crate::http::door::Door;
use crate::topic::{PartitionId, TopicName};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The redirect to the partition's leader, if the caller prefers one and the leader is elsewhere.
pub(super) async fn wanted(
    door: &Door,
    headers: &HeaderMap,
    uri: &Uri,
    topic: &TopicName,
    partition: PartitionId,
) -> Result<Option<Response>, Error> {
    let prefers = |value: &HeaderValue| {
        let mut wishes = value.to_str().unwrap_or("").split([',', ';']);
        wishes.any(|wish| wish.trim().eq_ignore_ascii_case("redirect"))
    };
    if !headers.get_all(PREFER).iter().any(prefers) {
        return Ok(None);
    }
    let tail = door.broker.tail(topic, partition, Freshness::Leader).await?;
    if tail.leader.0 == door.broker.cluster().node {
        return Ok(None);
    }
    let Some(address) = door.broker.http_address(tail.leader) else { return Ok(None) };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(location) = HeaderValue::from_str(&format!("http://{address}{path}")) else {
        return Ok(None);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("redirect"));
    door.name_leader(headers, tail.leader, tail.leader_epoch);
    Ok(Some(response))
}
