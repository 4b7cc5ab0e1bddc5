//! The API's description says everything there is, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use ottla::error::ErrorKind;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn description() -> Value {
    serde_json::to_value(ottla::http::description()).unwrap()
}

/// Method, path, operation.
fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    all
}

fn sources(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path, to) } else { to.push(path) }
    }
}

#[test]
fn no_route_is_registered_past_the_description() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in [".route(", ".route_service(", ".nest_service(", ".nest("] {
            assert!(!text.contains(call), "{} calls {call}: use routes!", file.display());
        }
    }
}

#[test]
fn every_handler_is_in_the_description() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut files);
    let described: BTreeSet<String> = operations(&description())
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let mut handlers = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("#[utoipa::path(").skip(1) {
            let method = block.trim_start().split(',').next().unwrap().trim();
            let path = block.split("path = \"").nth(1).unwrap().split('"').next().unwrap();
            assert!(
                described.contains(&format!("{method} {path}")),
                "{}: {method} {path} is not registered",
                file.display()
            );
            handlers += 1;
        }
    }
    assert_eq!(handlers, described.len());
}

#[test]
fn each_operation_has_a_name_of_its_own_and_a_summary() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&description()) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name), "{method} {path}");
        assert!(
            operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{method} {path}"
        );
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{method} {path}");
    }
}

#[test]
fn each_operation_tells_of_every_status_of_the_table() {
    for (method, path, operation) in operations(&description()) {
        for kind in ErrorKind::ALL {
            let status = kind.row().status.to_string();
            assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {status}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, to: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    to.insert(reference.clone());
                }
                fields.values().for_each(|value| references(value, to));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, to)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let api = description();
    let mut found = BTreeSet::new();
    references(&api, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(pointer).is_some(), "{reference}");
    }
}
