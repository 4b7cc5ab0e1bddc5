//! Style is a failing test, not a wish: floors, sizes, names and heads of every source file.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors inside `src/`, lowest first. A module may use its own floor and those below.
const FLOORS: &[(u32, &[&str])] = &[
    (2, &["config", "error", "tasks", "path", "topic", "partitioner"]),
    (3, &["partition", "retention", "producers", "compaction"]),
    (4, &["metadata", "coordinator"]),
    (5, &["broker"]),
    (6, &["http", "client"]),
    (7, &["cli", "server", "main"]),
];
/// A file reads in one sitting; beyond this a noun is missing.
const FILE_LINES_MAX: usize = 700;
/// Names that say nothing.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "misc", "info", "types"];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn stem(&self) -> &str {
        self.path.file_stem().unwrap().to_str().unwrap()
    }

    /// The lines before the unit tests, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number + 1, line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources found below {}", root().display());
    found
}

fn every_source() -> Vec<Source> {
    sources(&[
        "src",
        "raft/src",
        "storage/src",
        "jepsen/src",
        "jepsen/ioctl/src",
        "tests",
        "raft/tests",
        "storage/tests",
        "jepsen/tests",
        "examples",
    ])
}

fn floor_of(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn imports_point_down_never_up() {
    let mut broken = Vec::new();
    for source in sources(&["src"]) {
        let inside = source.path.strip_prefix("src").unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if module == "lib" {
            continue;
        }
        let Some(floor) = floor_of(module) else {
            broken.push(format!("{}: on no floor; name it in FLOORS", source.path.display()));
            continue;
        };
        for (line, text) in source.code() {
            for used in text.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if floor_of(&used).is_some_and(|other| other > floor) {
                    broken.push(format!("{}:{line}: uses {used} above it", source.path.display()));
                }
            }
        }
    }
    assert_none(&broken, "an import points up");
}

#[test]
fn the_lower_crates_do_not_know_what_stands_on_them() {
    let mut broken = Vec::new();
    let forbidden: &[(&str, &[&str])] = &[
        ("storage/src", &["openraft", "tokio", "axum", "raft::"]),
        ("raft/src", &["axum", "sled::", "ottla::"]),
        ("src", &["openraft::", "sled::"]),
    ];
    for (folder, words) in forbidden {
        for source in sources(&[folder]) {
            for (line, text) in source.code() {
                for word in *words {
                    if text.contains(&format!("use {word}")) || text.contains(&format!(" {word}::"))
                    {
                        broken.push(format!("{}:{line}: {word}", source.path.display()));
                    }
                }
            }
        }
    }
    assert_none(&broken, "a crate names what it must not know");
}

#[test]
fn only_the_codec_speaks_bincode() {
    let broken: Vec<String> = sources(&["src", "raft/src", "storage/src"])
        .iter()
        .filter(|source| source.path != Path::new("storage/src/codec.rs"))
        .flat_map(|source| source.code().map(move |(line, text)| (source, line, text)))
        .filter(|(_, _, text)| text.contains("bincode::"))
        .map(|(source, line, _)| format!("{}:{line}", source.path.display()))
        .collect();
    assert_none(&broken, "bincode outside storage/src/codec.rs");
}

#[test]
fn a_file_reads_in_one_sitting() {
    let broken: Vec<String> = every_source()
        .iter()
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path.display()))
        .collect();
    assert_none(&broken, "a file is longer than one noun");
}

#[test]
fn a_file_begins_by_saying_what_it_is() {
    let broken: Vec<String> = every_source()
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none(&broken, "a file without a head");
}

#[test]
fn a_file_is_named_after_its_noun() {
    let broken: Vec<String> = every_source()
        .iter()
        .filter(|source| EMPTY_NAMES.contains(&source.stem()))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none(&broken, "a name that says nothing");
}

#[test]
fn no_type_begins_with_the_products_name() {
    let mut broken = Vec::new();
    for source in every_source() {
        if source.stem() == "tidy" {
            continue;
        }
        for (line, text) in source.code() {
            for keyword in ["struct Ottla", "enum Ottla", "trait Ottla", "type Ottla"] {
                if text.contains(keyword) {
                    broken.push(format!("{}:{line}", source.path.display()));
                }
            }
        }
    }
    assert_none(&broken, "a type begins with the product's name");
}

#[test]
fn tests_do_not_sleep() {
    let mut broken = Vec::new();
    for source in sources(&["tests", "raft/tests", "storage/tests"]) {
        if source.stem() == "tidy" {
            continue;
        }
        for (line, text) in source.code() {
            if text.contains("thread::sleep") {
                broken.push(format!("{}:{line}", source.path.display()));
            }
        }
    }
    assert_none(&broken, "wait for a condition with a deadline, never for a time");
}
