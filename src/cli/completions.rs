//! `ottla completions`: what a shell needs to complete this command.

use super::Cli;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use clap::CommandFactory;

/// Flags of `ottla completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ottla completions bash > ~/.local/share/bash-completion/completions/ottla
  ottla completions zsh > \"${fpath[1]}/_ottla\"
  ottla completions fish > ~/.config/fish/completions/ottla.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ottla", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Done)
}
