//! `jepsen janitor`: never called by a person.

use std::io;
use std::process::ExitCode;

use jepsen::environment::janitor::work;

use super::say;

pub(crate) fn run() -> ExitCode {
    let left = work(io::stdin().lock());
    for line in &left {
        say(line);
    }
    if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
