//! The one place that writes: results to standard output, notes and errors to standard error.

use super::exit::Exit;
use super::failure::Failure;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// Bytes collected before a system call.
const BUFFER_BYTES: usize = 64 * 1024;

/// For whom results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// People: tables and sentences.
    #[default]
    Text,
    /// Programs: one JSON value per result; errors as one JSON object on standard error.
    Json,
}

/// Whether escapes for colour may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Never.
    Never,
    /// Where it is a terminal.
    Auto,
}

/// How much is said beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notes {
    /// Errors only.
    Quiet,
    /// Notes and progress too.
    Shown,
}

/// Where a command writes. Buffered: [`Output::flush`] before waiting for something.
#[derive(Debug)]
pub struct Output {
    stdout: BufWriter<Stdout>,
    format: Format,
    colour: Colour,
    notes: Notes,
}

impl Output {
    /// Standard output and standard error.
    pub fn new(format: Format, colour: Colour, notes: Notes) -> Self {
        let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        Self { stdout, format, colour, notes }
    }

    /// For whom.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether a person watches standard error and wants to see progress.
    pub fn shows_progress(&self) -> bool {
        self.notes == Notes::Shown && io::stderr().is_terminal()
    }

    /// A result, raw.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// A result, for people.
    pub fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.stdout, "{}", line.as_ref())
    }

    /// What a deletion deleted, if anything.
    pub fn deleted(&mut self, names: &[&str]) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let value = serde_json::json!({ "deleted": names });
        self.result(&value, |_| format!("deleted {}", names.join(", ")))
    }

    /// A result, for programs: one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, value)?;
        self.stdout.write_all(b"\n")
    }

    /// A result for whoever reads: `text` gives the lines for people.
    pub fn result<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(value),
            Format::Text => self.line(text(value)),
        }
    }

    /// A remark that is not part of the result.
    pub fn note(&self, note: impl AsRef<str>) {
        if self.notes == Notes::Shown {
            Self::stderr(note.as_ref());
        }
    }

    /// A question, which the user answers on the same line.
    pub fn ask(&self, question: &str) {
        drop(write!(io::stderr(), "{question}"));
    }

    /// Everything written so far reaches the reader.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// `text` in a colour (an ANSI number), where colours are wanted.
    pub fn paint(&self, stream: &impl IsTerminal, ansi: u8, text: &str) -> String {
        match self.colour {
            Colour::Auto if stream.is_terminal() => format!("\x1b[1;{ansi}m{text}\x1b[0m"),
            Colour::Auto | Colour::Never => text.to_owned(),
        }
    }

    /// Writes what is buffered, says what went wrong, and tells how to leave.
    pub fn finish(mut self, result: Result<Exit, Failure>) -> Exit {
        let result = match self.flush() {
            Ok(()) => result,
            Err(error) => result.and(Err(error.into())),
        };
        let failure = match result {
            Ok(exit) => return exit,
            Err(failure) => failure,
        };
        if !failure.message.is_empty() {
            Self::stderr(&self.told(&failure));
        }
        failure.exit
    }

    fn told(&self, failure: &Failure) -> String {
        if self.format == Format::Json {
            let error = serde_json::json!({ "error": failure, "exit_code": failure.exit.code() });
            return error.to_string();
        }
        let mut told =
            format!("{} {}", self.paint(&io::stderr(), RED, "error:"), failure.message.trim_end());
        if let Some(hint) = &failure.hint {
            told.push_str("\n  hint: ");
            told.push_str(hint);
        }
        told
    }

    /// Standard error may be closed; there is nobody left to tell.
    fn stderr(line: &str) {
        drop(writeln!(io::stderr(), "{line}"));
    }
}

/// ANSI red.
pub const RED: u8 = 31;
/// ANSI green.
pub const GREEN: u8 = 32;
