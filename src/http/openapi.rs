//! The API's description: what the handlers say of themselves, and the errors that any of them can give.

use super::reply::ErrorBody;
use crate::error::ErrorKind;
use std::collections::BTreeMap;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Ottla",
        description = "A replicated, partitioned event log. Three dialects over one broker: the native \
                       one (/v1), REST Proxy v2 (/topics, /brokers) and the part of v3 worth having \
                       (/v3). Any node answers any request.",
    ),
    components(schemas(ErrorBody<'static>)),
    tags(
        (name = "records", description = "Produce and fetch"),
        (name = "topics", description = "Topics and their settings"),
        (name = "cluster", description = "Brokers and health"),
        (name = "v2", description = "As the Confluent REST Proxy v2 has it"),
        (name = "v3", description = "As the Confluent REST Proxy v3 has it"),
        (name = "health", description = "For tools"),
    )
)]
struct Base;

/// What stands before any route is added.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// Adds to every operation the errors of the table that it does not describe itself.
pub(super) fn with_errors(mut api: OpenApi) -> OpenApi {
    let mut rows: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for kind in ErrorKind::ALL {
        let row = kind.row();
        rows.entry(row.status).or_default().push(format!("{} ({kind:?})", row.code));
    }
    for item in api.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
            &mut item.head,
        ];
        for operation in operations.into_iter().flatten() {
            describe_errors(operation, &rows);
        }
    }
    api
}

fn describe_errors(operation: &mut Operation, rows: &BTreeMap<u16, Vec<String>>) {
    for (status, kinds) in rows {
        let content = ContentBuilder::new()
            .schema(Some(RefOr::<utoipa::openapi::Schema>::Ref(Ref::from_schema_name("Error"))))
            .build();
        let response = ResponseBuilder::new()
            .description(format!("Error {}", kinds.join(", ")))
            .content("application/json", content)
            .build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}
