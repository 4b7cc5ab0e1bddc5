//! The command without a cluster: help, mistakes, and what it says when nobody answers.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking"
)]

use serde_json::Value;
use std::process::{Command, Output};

/// Nothing listens there.
const NOBODY: &str = "127.0.0.1:1";

fn ottla(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(args).env_remove("OTTLA_SERVER").env_remove("OTTLA_FORMAT").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_lists_every_verb_and_every_exit_code() {
    let output = ottla(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for verb in ["demo", "server", "topic", "produce", "consume", "cluster", "completions"] {
        assert!(help.contains(verb), "{verb}: {help}");
    }
    for line in ["0  done", "3  no such topic", "6  no broker", "7  the cluster", "130  Ctrl-C"] {
        assert!(help.contains(line), "{line}: {help}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_exit_2() {
    for args in [
        &["nonsense"][..],
        &["topic", "create", "a/b"],
        &["topic", "alter", "t"],
        &["consume", "t", "-o", "newest"],
        &["consume", "t", "-f", "%q"],
        &["produce", "t", "-z", "brotli"],
        &["produce", "t", "-k", "a", "--key-separator", ":"],
        &["produce", "t", "-H", "no-colon"],
        &["topic", "list", "--server", "nowhere"],
    ] {
        let output = ottla(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(text(&output.stderr).contains("error:"), "{args:?}");
    }
}

#[test]
fn nobody_answering_is_exit_6_with_a_hint() {
    for args in [
        &["topic", "list"][..],
        &["topic", "create", "t"],
        &["topic", "delete", "t", "--yes"],
        &["cluster", "health"],
        &["cluster", "info"],
        &["consume", "t"],
        &["produce", "t", "/dev/null"],
    ] {
        let output = ottla(&[args, &["--server", NOBODY]].concat());
        assert_eq!(output.status.code(), Some(6), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: no broker answers at 127.0.0.1:1 "), "{args:?}: {said}");
        assert!(said.contains("hint: start a cluster with `ottla demo`"), "{args:?}: {said}");
    }
}

#[test]
fn errors_are_json_if_asked_for() {
    let output = ottla(&["topic", "list", "--server", NOBODY, "--format", "json"]);
    assert_eq!(output.status.code(), Some(6));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exit_code"], 6);
    assert!(error["error"]["message"].as_str().unwrap().contains(NOBODY));
}

#[test]
fn a_file_that_is_not_there_is_exit_3() {
    let output = ottla(&["produce", "t", "/nonexistent/lines", "--server", NOBODY]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("/nonexistent/lines"));
}

#[test]
fn every_shell_gets_completions() {
    for (shell, mark) in [("bash", "_ottla()"), ("zsh", "#compdef ottla"), ("fish", "complete -c")]
    {
        let output = ottla(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains(mark), "{shell}");
    }
}

#[test]
fn the_version_is_told_in_both_formats() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&ottla(&["version"]).stdout), format!("ottla {version}\n"));
    let json: Value =
        serde_json::from_slice(&ottla(&["version", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["version"], version);
}
