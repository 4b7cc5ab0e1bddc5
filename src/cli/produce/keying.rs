//! From a line to key and value: pure.

use serde_json::Value;
use std::borrow::Cow;

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keying {
    /// There are none.
    Without,
    /// Every record has this one.
    Fixed(Vec<u8>),
    /// It stands before the first separator, the value after it.
    Before(Vec<u8>),
    /// It is a field of the line, which is a JSON object and as a whole the value.
    Field(String),
}

/// A key, if there is one, and a value.
pub(super) type KeyValue<'a> = (Option<Cow<'a, [u8]>>, &'a [u8]);

impl Keying {
    /// Key and value of a line, or what is wrong with it.
    ///
    /// | keying | line | key | value |
    /// |---|---|---|---|
    /// | `Without` | `a:b` | none | `a:b` |
    /// | `Fixed(k)` | `a:b` | `k` | `a:b` |
    /// | `Before(:)` | `a:b:c` | `a` | `b:c` |
    /// | `Before(:)` | `ab` | error | |
    /// | `Field(f)` | `{"f":"x"}` | `x` | the line |
    /// | `Field(f)` | `{"f":7}` | `7` | the line |
    /// | `Field(f)` | `{"f":null}` | none | the line |
    /// | `Field(f)` | `{}`, not JSON | error | |
    pub(super) fn split<'a>(&'a self, line: &'a [u8]) -> Result<KeyValue<'a>, String> {
        match self {
            Self::Without => Ok((None, line)),
            Self::Fixed(key) => Ok((Some(Cow::Borrowed(key)), line)),
            Self::Before(separator) => {
                let (key, value) = split_at(line, separator).ok_or_else(|| {
                    format!("has no separator {:?}", String::from_utf8_lossy(separator))
                })?;
                Ok((Some(Cow::Borrowed(key)), value))
            }
            Self::Field(field) => Ok((key_in(line, field)?.map(Cow::Owned), line)),
        }
    }
}

fn split_at<'a>(line: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if separator.is_empty() {
        return None;
    }
    let at = line.windows(separator.len()).position(|window| window == separator)?;
    Some((line.get(..at)?, line.get(at + separator.len()..)?))
}

/// Text as it is, anything else as JSON.
fn key_in(line: &[u8], field: &str) -> Result<Option<Vec<u8>>, String> {
    let mut line: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match line.get_mut(field).map(Value::take) {
        None => Err(format!("has no field {field:?}")),
        Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.into_bytes())),
        Some(other) => Ok(Some(other.to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(keying: &Keying, line: &str) -> Result<(Option<String>, String), String> {
        let (key, value) = keying.split(line.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((key.map(|key| text(&key)), text(value)))
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let some = |key: &str, value: &str| Ok((Some(key.to_owned()), value.to_owned()));
        let none = |value: &str| Ok((None, value.to_owned()));
        let before = Keying::Before(b":".to_vec());
        let field = Keying::Field("f".to_owned());
        assert_eq!(split(&Keying::Without, "a:b"), none("a:b"));
        assert_eq!(split(&Keying::Fixed(b"k".to_vec()), "a:b"), some("k", "a:b"));
        assert_eq!(split(&before, "a:b:c"), some("a", "b:c"));
        assert_eq!(split(&before, "ab"), Err("has no separator \":\"".to_owned()));
        assert_eq!(split(&field, r#"{"f":"x"}"#), some("x", r#"{"f":"x"}"#));
        assert_eq!(split(&field, r#"{"f":7}"#), some("7", r#"{"f":7}"#));
        assert_eq!(split(&field, r#"{"f":null}"#), none(r#"{"f":null}"#));
        assert_eq!(split(&field, "{}"), Err("has no field \"f\"".to_owned()));
        assert!(split(&field, "{f").is_err());
    }

    #[test]
    fn a_separator_may_have_several_bytes() {
        let before = Keying::Before(b" | ".to_vec());
        assert_eq!(split(&before, "a|b | c").unwrap().0.as_deref(), Some("a|b"));
    }
}
