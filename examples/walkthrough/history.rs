//! Real input: the commits of this repository, keyed by author. A short history, or a copy without
//! one, is filled up with the lines of its sources, keyed by file.

use crate::Outcome;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fewer are published too fast to kill anything half-way.
const EVENTS_MIN: usize = 20_000;
/// Between the fields of a commit; no name or subject holds it.
const UNIT: char = '\u{1f}';

/// A record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The author, or the file.
    pub(super) key: String,
    /// A JSON object.
    pub(super) value: String,
}

/// The history, oldest first.
pub(super) fn read() -> Outcome<Vec<Event>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut events = commits(root);
    let mut sources = Vec::new();
    collect(root, &mut sources)?;
    sources.sort();
    while events.len() < EVENTS_MIN {
        let before = events.len();
        for path in &sources {
            lines(root, path, &mut events)?;
        }
        if events.len() == before {
            return Err(format!("no text below {}", root.display()).into());
        }
    }
    Ok(events)
}

/// None without git or without a repository.
fn commits(root: &Path) -> Vec<Event> {
    let format = format!("--format=%H{UNIT}%an{UNIT}%aI{UNIT}%s");
    let log = Command::new("git").arg("-C").arg(root).args(["log", "--reverse", &format]).output();
    let text = log.map(|log| String::from_utf8_lossy(&log.stdout).into_owned()).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(UNIT);
            let (commit, author) = (fields.next()?, fields.next()?);
            let (at, subject) = (fields.next()?, fields.next()?);
            let value = json!({ "author": author, "commit": commit, "at": at, "subject": subject });
            Some(Event { key: author.to_owned(), value: value.to_string() })
        })
        .collect()
}

fn lines(root: &Path, path: &Path, events: &mut Vec<Event>) -> Outcome<()> {
    let file = path.strip_prefix(root)?.display().to_string();
    for (number, text) in fs::read_to_string(path)?.lines().enumerate() {
        // The round tells the same line from itself where the sources are read more than once.
        let value = json!({ "file": file, "line": number + 1, "text": text, "nth": events.len() });
        events.push(Event { key: file.clone(), value: value.to_string() });
    }
    Ok(())
}

/// The Rust sources below a directory, but nothing that was built.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if path.is_dir() {
            if name.is_some_and(|name| name != "target" && !name.starts_with('.')) {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
