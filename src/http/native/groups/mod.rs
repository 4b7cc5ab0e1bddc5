//! Consumer groups of the native dialect, `/v1/groups`: a member is a resource, and every node serves it.
//!
//! ```text
//!   group      list, describe, delete, lag
//!   reset      where a group at rest goes on
//!   offsets    what is committed, by a member or by nobody in particular
//!   join       a member comes            member    it lives, wants something else, goes
//!   records    a member's next records   position  where it reads
//!   stream     a connection that is a member while it lives: membership, reader
//!   sheet      records of several topics in one answer
//! ```

mod group;
mod join;
mod member;
mod membership;
mod offsets;
mod position;
mod reader;
mod records;
mod reset;
mod sheet;
mod stream;
mod wish;

use crate::http::door::Door;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use records::next_of;
pub(in crate::http) use sheet::Room;
pub(in crate::http) use wish::{at as place_at, few, places, query_places, subscription};

/// All its routes.
pub(super) fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new()
        .routes(routes!(group::list))
        .routes(routes!(group::describe, group::delete))
        .routes(routes!(group::lag))
        .routes(routes!(reset::reset))
        .routes(routes!(offsets::committed, offsets::commit, offsets::delete))
        .routes(routes!(stream::stream))
        .routes(routes!(join::join))
        .routes(routes!(member::describe, member::subscribe, member::leave))
        .routes(routes!(member::heartbeat))
        .routes(routes!(records::poll))
        .routes(routes!(offsets::commit_as_member))
        .routes(routes!(position::list, position::seek))
}
