//! The `jepsen` command: reads the command line, returns the exit code.

mod command;

use std::process::ExitCode;

use clap::Parser;

use command::{doctor, janitor};

/// Does harm to Ottla clusters, and judges what came of it.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version, max_term_width = 100)]
enum Command {
    /// Says which environment and which faults this machine allows, and what is missing
    Doctor(doctor::Arguments),
    /// Clears away what a run made, once its standard input ends
    #[command(hide = true)]
    Janitor,
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Janitor => janitor::run(),
    }
}
