//! Why a command did not do what was asked: one line for people, one object for scripts, one exit code.

use super::exit::Exit;
use crate::client::Error;
use crate::error::WriteOutcome;
use serde::Serialize;
use std::io;

/// The end of a command that did not reach its goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What to leave the process with.
    #[serde(skip)]
    pub exit: Exit,
    /// What happened, naming the thing.
    pub message: String,
    /// What to try next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The server's code, if a server said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// What became of a write, if it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<WriteOutcome>,
}

impl Failure {
    /// With its exit code and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, error_code: None, outcome: None }
    }

    /// With what to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Both of them: a line each, and of a write the worst.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.message = format!("{}\n{}", self.message, other.message);
        if other.outcome == Some(WriteOutcome::Unknown) && self.outcome != other.outcome {
            (self.exit, self.outcome, self.hint) = (other.exit, other.outcome, other.hint);
        }
        self
    }

    /// Ctrl-C: says nothing, the user knows.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "")
    }

    /// A file that cannot be used, and why.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Self {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let exit = if is_missing { Exit::NotFound } else { Exit::Failed };
        Self::new(exit, format!("{}: {error}", path.display()))
    }
}

/// A failure of our own output. The reader of a pipe that has had enough is no failure: it ends the
/// command quietly, with success (`ottla consume t | head`).
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::new(Exit::Failed, format!("standard output: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let mut failure = match &error {
            Error::NotSent(_) | Error::Lost(_) => Self::new(Exit::Unavailable, message),
            Error::Unreachable { .. } => Self::new(Exit::Unavailable, message)
                .hint("start a cluster with `ottla demo`, or name a broker with --server"),
            Error::Refused { status, .. } => Self::new(Exit::of_status(*status), message),
            Error::Unreadable(_) => Self::new(Exit::Failed, message)
                .hint("is this address a broker's HTTP port, and of the same version?"),
            Error::Invalid(_) | Error::Closed => Self::new(Exit::Failed, message),
        };
        failure.error_code = error.code();
        // Certainty needs no word: what was refused was not done.
        let outcome = error.outcome();
        failure.outcome = (outcome == WriteOutcome::Unknown).then_some(outcome);
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_not_there_is_told_with_what_to_do() {
        let error = Error::Unreachable { tried: "a:1".into(), why: "refused".into() };
        let failure = Failure::from(error);
        assert_eq!((failure.exit, failure.outcome), (Exit::Unavailable, None));
        assert_eq!(failure.message, "no broker answers at a:1 (refused)");
        assert!(failure.hint.unwrap().contains("ottla demo"));
    }

    #[test]
    fn of_two_failures_both_are_told_and_the_worst_counts() {
        let definite = Failure::new(Exit::Failed, "one");
        let mut unknown = Failure::new(Exit::Unavailable, "two").hint("look");
        unknown.outcome = Some(WriteOutcome::Unknown);
        let both = definite.and(unknown);
        assert_eq!((both.exit, both.message.as_str()), (Exit::Unavailable, "one\ntwo"));
        assert_eq!(
            (both.outcome, both.hint.as_deref()),
            (Some(WriteOutcome::Unknown), Some("look"))
        );
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Done, ""));
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.exit, Exit::Failed);
    }
}
