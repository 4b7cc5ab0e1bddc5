//! What one request holds, as it is said: a number of records, or a size that they fill.
//!
//! Sizes are in binary units: `64KiB`.

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
        let batch = match text.parse() {
            Ok(records) => Some(Self::Records(records)),
            Err(_not_a_number) => {
                in_units(text).and_then(|bytes| usize::try_from(bytes).ok()).map(Self::Bytes)
            }
        };
        match batch {
            Some(Self::Records(0) | Self::Bytes(0)) => Err(format!("{text:?}: at least 1")),
            Some(batch) => Ok(batch),
            None => Err(format!("{text:?} is neither records (1000) nor a size (64KiB, 1MiB)")),
        }
    }
}

/// A size as an option is told it.
pub(super) fn size(text: &str) -> Result<u64, String> {
    in_units(text).ok_or_else(|| format!("{text:?} is no size (512MiB, 4GiB)"))
}

fn in_units(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
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
        for wrong in ["", "0", "0B", "KiB", "64kb", "1.5MiB", "-1"] {
            assert!(wrong.parse::<Batch>().is_err(), "{wrong}");
        }
        assert_eq!((size("4GiB"), size("7B")), (Ok(4 << 30), Ok(7)));
        for wrong in ["", "4", "4GB", "99999999TiB", "GiB"] {
            size(wrong).unwrap_err();
        }
    }
}
