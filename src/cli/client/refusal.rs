//! Why a call failed, and what may be done about it.
//!
//! | what happened | a write | may be repeated |
//! |---|---|---|
//! | no connection (`NotSent`, `Unreachable`) | not appended | yes |
//! | sent, and no whole answer (`Lost`) | unknown | a read only |
//! | refused, retriable, `not_appended` | not appended | yes |
//! | refused, `unknown` | unknown | no |
//! | refused otherwise | not appended | no |

use super::super::exit::Exit;
use super::super::failure::Failure;
use super::call::{Answer, Call};
use crate::error::WriteOutcome;
use serde::Deserialize;
use std::error::Error as _;
use std::time::Duration;

/// A call without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One broker cannot have got it.
    NotSent(String),
    /// No broker can have got it.
    Unreachable {
        /// The addresses that the user named.
        tried: String,
        /// Why the last one was not reached.
        why: String,
    },
    /// It was sent, and no whole answer came back.
    Lost(String),
    /// A broker answered with an error.
    Refused {
        /// HTTP status.
        status: u16,
        /// The body.
        error: ErrorBody,
        /// When the broker wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// The row of the table.
    pub error_code: u32,
    /// Names the thing and the limit.
    pub message: String,
    /// Whether the same request can succeed later.
    #[serde(default)]
    pub retriable: bool,
    /// What became of a write.
    pub outcome: Option<WriteOutcome>,
}

impl Refusal {
    /// A failure of the connection to one broker.
    pub(super) fn of(broker: &str, error: &reqwest::Error) -> Self {
        // The outer messages only repeat the URL; the innermost one names the reason.
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason = inner.to_string();
            source = inner.source();
        }
        let reason = format!("{broker}: {reason}");
        if error.is_connect() || error.is_builder() {
            Self::NotSent(reason)
        } else {
            Self::Lost(reason)
        }
    }

    /// An answer that is not a success.
    pub(super) fn refused(broker: &str, call: &Call, answer: &Answer) -> Self {
        let status = answer.status();
        let mut error: ErrorBody = serde_json::from_slice(answer.body()).unwrap_or_else(|_| {
            // To HEAD there is no body, and before a broker there may be a proxy.
            ErrorBody {
                error_code: status.as_u16().into(),
                message: format!("{broker} answered {status}"),
                retriable: matches!(status.as_u16(), 429 | 502 | 503 | 504),
                outcome: None,
            }
        });
        if call.is_read() {
            error.outcome = Some(WriteOutcome::NotAppended);
        }
        let retry_after = answer.number("retry-after").ok().map(Duration::from_secs);
        Self::Refused { status: status.as_u16(), error, retry_after }
    }

    /// Whether the same call may be made again, and might succeed then.
    pub fn worth_repeating(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } => true,
            Self::Lost(_) => false,
            Self::Refused { error, .. } => {
                error.retriable && self.outcome() == WriteOutcome::NotAppended
            }
        }
    }

    /// Whether a write got lost on a way on which the next one may fare better.
    pub fn may_have_worked(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } => false,
            Self::Lost(_) => true,
            Self::Refused { error, .. } => {
                error.retriable && self.outcome() == WriteOutcome::Unknown
            }
        }
    }

    /// What became of a write.
    pub fn outcome(&self) -> WriteOutcome {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } => WriteOutcome::NotAppended,
            Self::Lost(_) => WriteOutcome::Unknown,
            // Where a broker says nothing of a write, the worst is assumed.
            Self::Refused { error, .. } => error.outcome.unwrap_or(WriteOutcome::Unknown),
        }
    }

    /// Whether another broker might have done better.
    pub(super) fn speaks_of_the_broker(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } | Self::Lost(_) => true,
            Self::Refused { error, .. } => error.retriable,
        }
    }

    /// Why the broker is passed over, if the same call may go to the next one right away.
    pub(super) fn passed_over(self, call: &Call) -> Result<String, Self> {
        match self {
            Self::NotSent(why) => Ok(why),
            Self::Lost(why) if call.is_read() => Ok(why),
            Self::Lost(_) | Self::Unreachable { .. } | Self::Refused { .. } => Err(self),
        }
    }

    /// Whether the bytes asked for are not in the log (any more).
    pub fn is_out_of_range(&self) -> bool {
        matches!(self, Self::Refused { status: 416, .. })
    }

    /// When the broker, which has too much to do, wants to be asked again. A broker that waits for a
    /// leader cannot know when, so that our own pauses serve better.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { status: 429, retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::NotSent(_) | Self::Unreachable { .. } | Self::Lost(_) => {
                None
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let outcome = refusal.outcome();
        let unavailable = |message| Self::new(Exit::Unavailable, message);
        let mut failure = match refusal {
            Refusal::NotSent(why) => unavailable(why),
            Refusal::Unreachable { tried, why } => {
                unavailable(format!("no broker answers at {tried} ({why})"))
                    .hint("start a cluster with `ottla demo`, or name a broker with --server")
            }
            Refusal::Lost(why) => unavailable(format!("the answer was lost: {why}")),
            Refusal::Refused { status, error, .. } => {
                let mut failure = Self::new(Exit::of_status(status), error.message);
                failure.error_code = Some(error.error_code);
                failure
            }
        };
        // Certainty needs no word: what was refused was not done.
        failure.outcome = (outcome == WriteOutcome::Unknown).then_some(outcome);
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;
    use reqwest::{Method, StatusCode};

    fn refused(method: Method, status: u16, body: &str) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new(status, HeaderMap::new(), body.to_owned().into());
        Refusal::refused("b:1", &Call::new(method, "/"), &answer)
    }

    fn body(retriable: bool, outcome: &str) -> String {
        format!(r#"{{"error_code":1,"message":"m","retriable":{retriable}{outcome}}}"#)
    }

    #[test]
    fn a_write_is_repeated_only_if_it_is_certainly_not_there() {
        let not_appended = r#","outcome":"not_appended""#;
        let unknown = r#","outcome":"unknown""#;
        let post = |status, body: &str| refused(Method::POST, status, body);
        for (refusal, repeat, outcome) in [
            (Refusal::NotSent(String::new()), true, WriteOutcome::NotAppended),
            (Refusal::Lost(String::new()), false, WriteOutcome::Unknown),
            (post(503, &body(true, not_appended)), true, WriteOutcome::NotAppended),
            (post(504, &body(true, unknown)), false, WriteOutcome::Unknown),
            (post(503, &body(true, "")), false, WriteOutcome::Unknown),
            (post(400, &body(false, not_appended)), false, WriteOutcome::NotAppended),
            (post(502, "<html>"), false, WriteOutcome::Unknown),
        ] {
            assert_eq!(refusal.worth_repeating(), repeat, "{refusal:?}");
            assert_eq!(refusal.outcome(), outcome, "{refusal:?}");
        }
    }

    #[test]
    fn a_read_is_repeated_whenever_that_helps() {
        assert!(refused(Method::GET, 504, &body(true, "")).worth_repeating());
        assert!(refused(Method::HEAD, 503, "").worth_repeating());
        assert!(!refused(Method::HEAD, 404, "").worth_repeating());
    }

    #[test]
    fn an_answer_that_is_not_ours_names_who_gave_it() {
        let failure = Failure::from(refused(Method::POST, 502, "<html>"));
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(failure.message, "b:1 answered 502 Bad Gateway");
    }
}
