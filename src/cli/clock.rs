//! What time it is: asked here only.

use jiff::Timestamp;

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A timestamp of a record as people read it; what lies outside of the calendar stays a number.
pub(super) fn shown(timestamp_ms: i64) -> String {
    Timestamp::from_millisecond(timestamp_ms)
        .map_or_else(|_outside| timestamp_ms.to_string(), |timestamp| timestamp.to_string())
}
