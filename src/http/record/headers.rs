//! A record's headers as JSON: `[{"name": "a", "value": "b"}]`, in order and with duplicates, or
//! `{"a": "b"}` for short. A value that is not text has `"encoding": "base64"`.

use super::BASE64;
use base64::Engine;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Headers in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Headers<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Borrowed from the request where it can be.
type Value<'a> = Option<Cow<'a, [u8]>>;

impl<'a> Headers<'a> {
    /// None.
    pub(in crate::http) const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more.
    pub(in crate::http) fn push(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        self.0.push((name, value));
    }

    /// Names and values.
    pub(in crate::http) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone + '_ {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_deref()))
    }

    /// Bytes of names and values.
    pub(in crate::http) fn len_bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum()
    }

    /// How many.
    pub(in crate::http) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Borrowed where the JSON has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<Text<'a>>,
    #[serde(default)]
    encoding: super::read::Encoding,
}

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers as [{\"name\", \"value\"}] or {name: value}")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Headers::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut headers = Headers::new();
        while let Some(Header { name, value, encoding }) = seq.next_element()? {
            let value = match (value, encoding) {
                (None, _) => None,
                (Some(Text(text)), super::read::Encoding::Utf8) => Some(bytes(text)),
                (Some(Text(text)), super::read::Encoding::Base64) => {
                    let decoded = BASE64.decode(text.as_bytes()).map_err(|error| {
                        A::Error::custom(format_args!("header {name:?} is not base64: {error}"))
                    })?;
                    Some(Cow::Owned(decoded))
                }
            };
            headers.push(name, value);
        }
        Ok(headers)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut headers = Headers::new();
        while let Some((Text(name), value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
            headers.push(name, value.map(|Text(text)| bytes(text)));
        }
        Ok(headers)
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
