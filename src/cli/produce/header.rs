//! `name:value` on the command line.

use std::str::FromStr;

/// A header of each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Its name.
    pub(super) name: String,
    /// Its value, which may hold `:`.
    pub(super) value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err(format!("{text:?} is not NAME:VALUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_split_at_its_first_colon() {
        let header: Header = "at:12:30".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("at", "12:30"));
        assert!("plain".parse::<Header>().is_err());
        assert!(":value".parse::<Header>().is_err());
    }
}
