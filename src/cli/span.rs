//! A span of time on the command line: `500ms`, `30s`, `2m`, `1h`; a bare number is seconds.

use std::time::Duration;

/// Reads one; the error names what is expected.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let expected = || format!("{text:?} is not a time: expected 500ms, 30s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_not_a_number| expected())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("7", 7_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["", "ms", "3x", "-1s", "1.5s"] {
            assert!(parse(text).unwrap_err().contains("is not a time"), "{text}");
        }
    }
}
