//! Numbers as people read them. Programs get plain numbers.

use std::fmt;
use std::time::Duration;

/// Bytes, shown in binary units with three digits: `1.50 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = rounded(self.0) / 1024.0;
        let mut unit = "KiB";
        for larger in UNITS.into_iter().skip(1) {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = larger;
        }
        let digits = match value {
            value if value < 10.0 => 2,
            value if value < 100.0 => 1,
            _ => 0,
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

/// A count with its thousands apart: `1,234,567`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.pad(&grouped)
    }
}

/// How many a second; nothing took no time.
pub(super) fn rate(count: u64, elapsed: Duration) -> f64 {
    rounded(count) / elapsed.as_secs_f64().max(1e-6)
}

/// The same, without a fraction.
pub(super) fn whole_rate(count: u64, elapsed: Duration) -> Count {
    let nanos = elapsed.as_nanos().max(1);
    let each_second = u128::from(count) * 1_000_000_000 / nanos;
    Count(u64::try_from(each_second).unwrap_or(u64::MAX))
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "shown with three digits; an f64 keeps fifteen"
)]
pub(super) fn rounded(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (10 * 1024 * 1024, "10.0 MiB"),
            (300 << 30, "300 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
        assert_eq!(format!("{:>10}", Size(1024)), "  1.00 KiB");
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        for (count, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Count(count).to_string(), shown);
        }
    }

    #[test]
    fn a_rate_of_no_time_is_finite() {
        assert_eq!(whole_rate(500, Duration::from_millis(250)), Count(2000));
        assert!(rate(10, Duration::ZERO).is_finite());
    }
}
