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
                       one (/v1), REST Proxy v2 (/topics, /consumers, /brokers) and the part of v3 worth having \
                       (/v3). Any node answers any request.",
    ),
    components(schemas(ErrorBody<'static>)),
    tags(
        (name = "records", description = "Produce and fetch"),
        (name = "topics", description = "Topics and their settings"),
        (name = "groups", description = "Consumer groups: members, their records, offsets and lag"),
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

/// Gives every operation a name of its own, and the errors of the table that it does not describe
/// itself.
pub(super) fn finished(mut api: OpenApi) -> OpenApi {
    let mut rows: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for kind in ErrorKind::ALL {
        let row = kind.row();
        rows.entry(row.status).or_default().push(format!("{} ({kind:?})", row.code));
    }
    for (path, item) in &mut api.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
            ("head", &mut item.head),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(name(method, path));
                describe_errors(operation, &rows);
            }
        }
    }
    api
}

/// `get_v1_topics_topic_records` of `GET /v1/topics/{topic}/records`.
fn name(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
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
