//! One file per verb.

pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod janitor;
pub(crate) mod run;
pub(crate) mod sabotage;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Neither pass nor failure: the harness itself could not do its work.
const UNKNOWN: u8 = 2;

/// A line on standard output; who reads it may be gone.
fn say(line: impl Display) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// The end of a command whose harness failed.
fn failed(error: impl Display) -> ExitCode {
    drop(writeln!(io::stderr(), "jepsen: {error}"));
    ExitCode::from(UNKNOWN)
}
