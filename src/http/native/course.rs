//! How a stream goes: a failure that may pass (a leader is being elected) is waited for, any other, or
//! one that lasts, ends it.

use crate::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// A failure that may pass is waited for this long.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts meanwhile.
const BREATH: Duration = Duration::from_millis(200);

/// How a stream goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Course {
    /// Well.
    #[default]
    Well,
    /// Not, since then.
    Failing(Instant),
    /// The last word was said.
    Ended,
}

impl Course {
    /// Whether the last word was said.
    pub(super) const fn is_ended(self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Waits a little, if the failure may pass; else it is the end.
    pub(super) async fn bears(&mut self, error: &Error) -> bool {
        *self = self.after(error, Instant::now());
        if self.is_ended() {
            return false;
        }
        tokio::time::sleep(BREATH).await;
        true
    }

    /// How it goes once this went wrong.
    fn after(self, error: &Error, now: Instant) -> Self {
        let since = match self {
            Self::Failing(since) => since,
            Self::Well | Self::Ended => now,
        };
        if error.row().retriable && now.duration_since(since) < PATIENCE {
            Self::Failing(since)
        } else {
            Self::Ended
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_failure_that_lasts_is_the_end() {
        let (error, began) = (Error::new(ErrorKind::NoLeader, "t-0 has no leader"), Instant::now());
        let mut course = Course::default();
        for seconds in [0, 30, 59] {
            course = course.after(&error, began + Duration::from_secs(seconds));
            assert!(!course.is_ended(), "after {seconds} s");
        }
        assert!(course.after(&error, began + PATIENCE).is_ended());
        // What was well meanwhile may fail as long again.
        assert!(!Course::Well.after(&error, began + PATIENCE).is_ended());
    }

    #[test]
    fn what_cannot_pass_is_the_end_at_once() {
        let error = Error::new(ErrorKind::UnknownTopic, "no topic t");
        assert!(Course::Well.after(&error, Instant::now()).is_ended());
    }
}
