//! `name=value` on the command line.

use std::str::FromStr;

/// A setting and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its name.
    pub(super) name: String,
    /// Its value, which may be empty and may hold `=`.
    pub(super) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err(format!("{text:?} is not NAME=VALUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let setting: Setting = "a=b=c".parse().unwrap();
        assert_eq!((setting.name.as_str(), setting.value.as_str()), ("a", "b=c"));
        assert!("=b".parse::<Setting>().is_err());
        assert!("b".parse::<Setting>().is_err());
    }
}
