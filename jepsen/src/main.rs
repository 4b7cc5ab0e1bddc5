//! The `jepsen` command: reads the command line, returns the exit code.

mod command;

use std::process::ExitCode;

use clap::Parser;

use command::{check, doctor, janitor, run, sabotage};

/// Does harm to Ottla clusters, and judges what came of it.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version, max_term_width = 100)]
enum Command {
    /// Says which environment and which faults this machine allows, and what is missing
    Doctor(doctor::Arguments),
    /// Does harm to a cluster under load, and records what came of it
    Run(Box<run::RunArguments>),
    /// Does again what a run did, at the same times
    Replay(Box<run::ReplayArguments>),
    /// Plays one of the schedules that broke others
    Scenario(Box<run::ScenarioArguments>),
    /// Judges a history: 0 valid, 1 invalid, 2 unknown
    Check(check::Arguments),
    /// Writes a history that no cluster made, from a model that does right
    Imagine(check::Imagine),
    /// Plants bugs in the server, and fails unless every one of them is found
    Sabotage(sabotage::Arguments),
    /// Clears away what a run made, once its standard input ends
    #[command(hide = true)]
    Janitor,
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Run(arguments) => run::run_command(*arguments),
        Command::Replay(arguments) => run::replay(*arguments),
        Command::Scenario(arguments) => run::scenario(*arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Imagine(arguments) => check::imagine(&arguments),
        Command::Sabotage(arguments) => sabotage::run(&arguments),
        Command::Janitor => janitor::run(),
    }
}
