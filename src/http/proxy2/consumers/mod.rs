//! Consumers of REST Proxy v2, `/consumers/{group}/instances/{instance}`: an instance is a member of a
//! group that the cluster reads for, so every node serves it and it outlives the node that made it.
//!
//! | of the original | here |
//! |---|---|
//! | an instance lives in one proxy | any node serves it; `base_uri` is how the caller reached us |
//! | a poll waits its whole time for `fetch.min.bytes` (-1: as many as there can be) | it ends with the first record |
//! | records in the wrong format fail the poll | JSON that is none comes as a string |
//! | the offset that is committed is that of the last record, and read back one higher | the same |
//! | Redpanda commits `{"partitions": […]}`, with the offset to go on at, answered 204 | the same |

mod assignment;
mod instance;
mod offsets;
mod position;
mod records;
mod subscription;

use super::answer;
use crate::coordinator::{GroupName, MemberId};
use crate::error::{Error, ErrorKind};
use crate::http::door::Door;
use crate::http::place::Named;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All their routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(instance::create))
        .routes(routes!(instance::delete))
        .routes(routes!(subscription::show, subscription::subscribe, subscription::unsubscribe))
        .routes(routes!(assignment::show, assignment::assign))
        .routes(routes!(position::seek))
        .routes(routes!(position::to_beginning))
        .routes(routes!(position::to_end))
        .routes(routes!(records::poll))
        .routes(routes!(offsets::committed, offsets::commit))
}

/// An instance of the path.
pub(super) struct AtInstance {
    /// Its group.
    pub(super) group: GroupName,
    /// The member that it is.
    pub(super) member: MemberId,
}

impl<S: Send + Sync> FromRequestParts<S> for AtInstance {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let named = Named::from_request_parts(parts, state).await?;
        let member = MemberId::new(named.get("instance")?)?;
        Ok(Self { group: named.group()?, member })
    }
}

/// The broker's errors as v2 has them: of an instance it knows that it is there or not.
fn as_v2(error: Error) -> Error {
    let gone = [ErrorKind::UnknownGroup, ErrorKind::UnknownMember, ErrorKind::FencedInstance];
    if gone.contains(&error.kind) {
        let message = format!("Consumer instance not found. ({})", error.message);
        Error::new(ErrorKind::UnknownMember, message)
    } else if error.kind == ErrorKind::NotOwner {
        Error::new(ErrorKind::IllegalState, error.message)
    } else {
        error
    }
}
