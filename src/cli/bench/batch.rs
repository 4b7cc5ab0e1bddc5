//! What one request holds, as it is said: a number of records, or a size that they fill.

use std::fmt;
use std::str::FromStr;

/// `1000`, or `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batch {
    /// So many records.
    Records(usize),
    /// As many as fit, at least one.
    Bytes(usize),
}

impl Batch {
    /// How many records of this size.
    pub(super) fn records(self, record_bytes: usize) -> usize {
        match self {
            Self::Records(records) => records,
            Self::Bytes(bytes) => (bytes / record_bytes.max(1)).max(1),
        }
    }
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is neither records (1000) nor a size (64KiB, 1MiB)");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: usize = number.parse().map_err(|_not_a_number| expected())?;
        let batch = match unit {
            "" => Self::Records(number),
            "B" => Self::Bytes(number),
            "KiB" => Self::Bytes(number.saturating_mul(1 << 10)),
            "MiB" => Self::Bytes(number.saturating_mul(1 << 20)),
            _ => return Err(expected()),
        };
        if number == 0 { Err(format!("{text:?}: at least 1")) } else { Ok(batch) }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(records) => write!(f, "{records}"),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_makes_it_a_size() {
        assert_eq!("1000".parse(), Ok(Batch::Records(1000)));
        assert_eq!("64KiB".parse(), Ok(Batch::Bytes(65_536)));
        assert_eq!("1MiB".parse(), Ok(Batch::Bytes(1 << 20)));
        for wrong in ["", "0", "KiB", "64kb", "1.5MiB", "-1"] {
            assert!(wrong.parse::<Batch>().is_err(), "{wrong}");
        }
    }
}
