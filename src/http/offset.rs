//! The words for a place in a log: `42`, `earliest`, `latest`, `-10`, `@2026-11-21T08:00:00Z`, `@1790000000000`.

use crate::broker::FetchFrom;
use crate::error::{Error, ErrorKind};

/// Reads a place in a log.
///
/// | text | where |
/// |---|---|
/// | `N` | at offset N |
/// | `earliest` (`beginning`) | at the log start |
/// | `latest` (`end`) | after the last record |
/// | `-N` | N records before the end |
/// | `@MS`, `@RFC3339` | at the first record of that time or a later one |
pub(super) fn read(text: &str) -> Result<FetchFrom, Error> {
    let refuse = |why: &str| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!(
                "offset {text:?}: {why}; a number, earliest, latest, -N (the last N), @RFC3339 or \
                 @milliseconds is taken"
            ),
        )
    };
    match text {
        "earliest" | "beginning" => Ok(FetchFrom::Earliest),
        "latest" | "end" => Ok(FetchFrom::Latest),
        _ => {
            if let Some(time) = text.strip_prefix('@') {
                time_ms(time).map(FetchFrom::Timestamp).ok_or_else(|| refuse("not a time"))
            } else if let Some(count) = text.strip_prefix('-') {
                number(count).map(FetchFrom::Last).ok_or_else(|| refuse("not a count"))
            } else {
                let offset = number(text).ok_or_else(|| refuse("not an offset"))?;
                if i64::try_from(offset).is_err() {
                    return Err(refuse("beyond the largest offset"));
                }
                Ok(FetchFrom::Offset(offset))
            }
        }
    }
}

/// Milliseconds since the Unix epoch, from themselves or from an RFC 3339 time.
pub(super) fn time_ms(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    // A `+` of a zone that was not escaped arrives as a blank.
    let time: jiff::Timestamp = text.replace(' ', "+").parse().ok()?;
    Some(time.as_millisecond())
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let rows = [
            ("0", FetchFrom::Offset(0)),
            ("9223372036854775807", FetchFrom::Offset(u64::MAX / 2)),
            ("earliest", FetchFrom::Earliest),
            ("beginning", FetchFrom::Earliest),
            ("latest", FetchFrom::Latest),
            ("end", FetchFrom::Latest),
            ("-1", FetchFrom::Last(1)),
            ("-500", FetchFrom::Last(500)),
            ("@1790000000000", FetchFrom::Timestamp(1_790_000_000_000)),
            ("@-1", FetchFrom::Timestamp(-1)),
            ("@2026-11-21T08:00:00Z", FetchFrom::Timestamp(1_795_248_000_000)),
            ("@2026-11-21T09:00:00.5+01:00", FetchFrom::Timestamp(1_795_248_000_500)),
            ("@2026-11-21T09:00:00 01:00", FetchFrom::Timestamp(1_795_248_000_000)),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_by_name() {
        for text in [
            "",
            "-",
            "+1",
            "1.5",
            "0x10",
            "newest",
            "@",
            "@yesterday",
            "--1",
            " 1",
            "9223372036854775808",
            "18446744073709551616",
            "-18446744073709551616",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.message.contains(&format!("{text:?}")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _either = read(&text);
        }
    }
}
