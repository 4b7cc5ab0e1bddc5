//! Why a call failed, and what may be done about it.
//!
//! | what happened | a write | may be repeated |
//! |---|---|---|
//! | no connection (`NotSent`, `Unreachable`) | not appended | yes |
//! | sent, and no whole answer (`Lost`) | unknown | a read only |
//! | refused, retriable, `not_appended` | not appended | yes |
//! | refused, `unknown` | unknown | no |
//! | refused otherwise | not appended | no |
//! | answered with what cannot be read (`Unreadable`) | unknown | no |
//! | asked for what cannot be (`Invalid`), or too late (`Closed`) | not appended | no |

use super::call::{Answer, Call};
use crate::error::WriteOutcome;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// The header of an answer that finds a gap in a producer's sequence.
const EXPECTED_SEQUENCE: &str = "producer-expected-seq";

/// A call without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
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
    /// A broker answered with something that this client cannot read.
    Unreadable(String),
    /// It cannot be asked for; nothing was sent.
    Invalid(String),
    /// It was asked for after the end; nothing was sent.
    Closed,
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
    /// With an offset out of range: the first offset that can be read.
    pub log_start_offset: Option<u64>,
    /// With an offset out of range: the offset after the last committed record.
    pub high_watermark: Option<u64>,
    /// With a gap in a producer's sequence: the number that its partition waits for.
    #[serde(skip)]
    pub expected_sequence: Option<i32>,
}

impl Error {
    /// A failure of the connection to one broker.
    pub(super) fn of(broker: &str, error: &reqwest::Error) -> Self {
        // The outer messages only repeat the URL; the innermost one names the reason.
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(error);
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
                log_start_offset: None,
                high_watermark: None,
                expected_sequence: None,
            }
        });
        if call.is_repeatable() {
            error.outcome = Some(WriteOutcome::NotAppended);
        }
        let expected = answer.number(EXPECTED_SEQUENCE).ok();
        error.expected_sequence = expected.and_then(|sequence| sequence.try_into().ok());
        let retry_after = answer.number("retry-after").ok().map(Duration::from_secs);
        Self::Refused { status: status.as_u16(), error, retry_after }
    }

    /// Whether the same call may be made again, and might succeed then.
    pub fn worth_repeating(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } => true,
            Self::Lost(_) | Self::Unreadable(_) | Self::Invalid(_) | Self::Closed => false,
            Self::Refused { error, .. } => {
                error.retriable && self.outcome() == WriteOutcome::NotAppended
            }
        }
    }

    /// Whether the same call may succeed later, where making it twice does no harm.
    pub fn is_passing(&self) -> bool {
        self.worth_repeating() || self.may_have_worked()
    }

    /// Whether a write got lost on a way on which the next one may fare better.
    pub fn may_have_worked(&self) -> bool {
        match self {
            Self::NotSent(_)
            | Self::Unreachable { .. }
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => false,
            Self::Lost(_) => true,
            Self::Refused { error, .. } => {
                error.retriable && self.outcome() == WriteOutcome::Unknown
            }
        }
    }

    /// What became of a write.
    pub fn outcome(&self) -> WriteOutcome {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } | Self::Invalid(_) | Self::Closed => {
                WriteOutcome::NotAppended
            }
            Self::Lost(_) | Self::Unreadable(_) => WriteOutcome::Unknown,
            // Where a broker says nothing of a write, the worst is assumed.
            Self::Refused { error, .. } => error.outcome.unwrap_or(WriteOutcome::Unknown),
        }
    }

    /// Whether another broker might have done better.
    pub(super) fn speaks_of_the_broker(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unreachable { .. } | Self::Lost(_) => true,
            Self::Unreadable(_) | Self::Invalid(_) | Self::Closed => false,
            Self::Refused { error, .. } => error.retriable,
        }
    }

    /// Why the broker is passed over, if the same call may go to the next one right away.
    pub(super) fn passed_over(self, call: &Call) -> Result<String, Self> {
        match self {
            Self::NotSent(why) => Ok(why),
            Self::Lost(why) if call.is_repeatable() => Ok(why),
            Self::Lost(_)
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => Err(self),
        }
    }

    /// Whether the records asked for are not in the log (any more).
    pub fn is_out_of_range(&self) -> bool {
        matches!(self, Self::Refused { status: 416, .. })
    }

    /// With an offset out of range: the offsets that can be read.
    pub fn range(&self) -> Option<Range<u64>> {
        match self {
            Self::Refused { error, .. } => Some(error.log_start_offset?..error.high_watermark?),
            Self::NotSent(_)
            | Self::Unreachable { .. }
            | Self::Lost(_)
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => None,
        }
    }

    /// With a gap in a producer's sequence: the number that its partition waits for.
    pub fn expected_sequence(&self) -> Option<i32> {
        match self {
            Self::Refused { error, .. } => error.expected_sequence,
            Self::NotSent(_)
            | Self::Unreachable { .. }
            | Self::Lost(_)
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => None,
        }
    }

    /// The row of the table of errors (`error_code`) that a broker answered with.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { error, .. } => Some(error.error_code),
            Self::NotSent(_)
            | Self::Unreachable { .. }
            | Self::Lost(_)
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => None,
        }
    }

    /// When the broker, which has too much to do, wants to be asked again. A broker that waits for a
    /// leader cannot know when, so that our own pauses serve better.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { status: 429, retry_after, .. } => *retry_after,
            Self::Refused { .. }
            | Self::NotSent(_)
            | Self::Unreachable { .. }
            | Self::Lost(_)
            | Self::Unreadable(_)
            | Self::Invalid(_)
            | Self::Closed => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) | Self::Invalid(why) => f.write_str(why),
            Self::Unreachable { tried, why } => write!(f, "no broker answers at {tried} ({why})"),
            Self::Lost(why) => write!(f, "the answer was lost: {why}"),
            Self::Refused { error, .. } => f.write_str(&error.message),
            Self::Unreadable(why) => write!(f, "the answer cannot be read: {why}"),
            Self::Closed => f.write_str("it was closed before"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;
    use reqwest::{Method, StatusCode};

    fn refused(method: Method, status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new(status, HeaderMap::new(), body.to_owned().into());
        Error::refused("b:1", &Call::new(method, "/"), &answer)
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
            (Error::NotSent(String::new()), true, WriteOutcome::NotAppended),
            (Error::Lost(String::new()), false, WriteOutcome::Unknown),
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
        let error = refused(Method::POST, 502, "<html>");
        assert_eq!(error.to_string(), "b:1 answered 502 Bad Gateway");
    }

    #[test]
    fn out_of_range_says_what_is_there() {
        let body = r#"{"error_code":41601,"message":"m","log_start_offset":2,"high_watermark":5}"#;
        let error = refused(Method::GET, 416, body);
        assert!(error.is_out_of_range());
        assert_eq!((error.range(), error.code()), (Some(2..5), Some(41601)));
    }
}
