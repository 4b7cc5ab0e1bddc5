//! From JSON to records. Each record is handed on while the document is still being read; nothing is
//! allocated for one unless it has escapes, base64 or headers.

use super::{BASE64, Form, Headers};
use crate::error::{Error, ErrorKind};
use crate::http::offset::time_ms;
use base64::Engine;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A record as it was sent.
#[derive(Debug)]
pub(in crate::http) struct Incoming<'a> {
    /// The partition it names.
    pub(in crate::http) partition: Option<u32>,
    /// The time it names, ms.
    pub(in crate::http) timestamp: Option<i64>,
    /// Its key.
    pub(in crate::http) key: Option<&'a [u8]>,
    /// Its value.
    pub(in crate::http) value: Option<&'a [u8]>,
    /// Its headers.
    pub(in crate::http) headers: &'a Headers<'a>,
}

/// How a string of the native form stands for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// As its UTF-8 text.
    #[default]
    Utf8,
    /// As what it decodes to.
    Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    partition: Option<u32>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Headers<'a>,
    #[serde(default)]
    key_encoding: Encoding,
    #[serde(default)]
    value_encoding: Encoding,
}

/// What a string stands for.
#[derive(Clone, Copy)]
enum Meaning {
    /// Its text; other JSON for its own text.
    Text,
    /// The bytes that its base64 decodes to.
    Base64,
    /// JSON: itself, quotes and all.
    Json,
}

/// Reads records of one form and hands each on.
pub(in crate::http) struct Reader<F> {
    form: Form,
    depth_max: usize,
    take: F,
    count: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    /// Why a record was refused: the JSON parser's own errors cannot carry it.
    refused: Option<Error>,
}

impl<F: FnMut(Incoming<'_>) -> Result<(), Error>> Reader<F> {
    /// A reader of `form` that hands each record to `take`.
    pub(in crate::http) const fn new(form: Form, depth_max: usize, take: F) -> Self {
        Self { form, depth_max, take, count: 0, key: Vec::new(), value: Vec::new(), refused: None }
    }

    /// Reads a document `{"records": […]}`; says how many there were.
    pub(in crate::http) fn document(mut self, body: &[u8]) -> Result<usize, Error> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Document { reader: &mut self }.deserialize(&mut json).and_then(|()| json.end());
        match (self.refused, read) {
            (Some(refused), _) => Err(refused),
            (None, Err(error)) => Err(Error::new(ErrorKind::MalformedJson, error.to_string())),
            (None, Ok(())) => Ok(self.count),
        }
    }

    /// Reads one record a line; says how many there were. Empty lines are passed over.
    pub(in crate::http) fn lines(mut self, body: &[u8]) -> Result<usize, Error> {
        for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let raw: Raw<'_> = serde_json::from_slice(line).map_err(|error| {
                let message = format!("line {} of the body: {error}", number + 1);
                Error::new(ErrorKind::MalformedJson, message)
            })?;
            self.record(&raw)?;
        }
        Ok(self.count)
    }

    fn record(&mut self, raw: &Raw<'_>) -> Result<(), Error> {
        let number = self.count;
        self.count += 1;
        let (key_means, value_means) = match self.form {
            Form::Native => (raw.key_encoding.into(), raw.value_encoding.into()),
            Form::V2Json => (Meaning::Json, Meaning::Json),
            Form::V2Binary => (Meaning::Base64, Meaning::Base64),
        };
        let refuse = |error: Error| Error {
            message: format!("record {number}: {}", error.message),
            ..error
        };
        let timestamp =
            raw.timestamp.map(|raw| timestamp(raw.get())).transpose().map_err(refuse)?;
        let key = bytes(raw.key, key_means, self.depth_max, &mut self.key)
            .map_err(|error| refuse(error.of("key")))?;
        let value = bytes(raw.value, value_means, self.depth_max, &mut self.value)
            .map_err(|error| refuse(error.of("value")))?;
        let incoming =
            Incoming { partition: raw.partition, timestamp, key, value, headers: &raw.headers };
        (self.take)(incoming).map_err(refuse)
    }
}

impl From<Encoding> for Meaning {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Utf8 => Self::Text,
            Encoding::Base64 => Self::Base64,
        }
    }
}

/// Why a key or value cannot be taken.
enum Unfit {
    NotBase64(String),
    NotText(String),
    TooDeep(usize),
}

impl Unfit {
    fn of(self, what: &str) -> Error {
        match self {
            Self::NotBase64(why) => {
                Error::new(ErrorKind::NotConvertible, format!("{what} is not base64: {why}"))
            }
            Self::NotText(why) => {
                Error::new(ErrorKind::NotConvertible, format!("{what} is not text: {why}"))
            }
            Self::TooDeep(most) => Error::new(
                ErrorKind::MalformedJson,
                format!("{what} is nested deeper than {most} levels"),
            ),
        }
    }
}

/// The bytes that a key or value stands for: its own where it can be, else put into `scratch`.
fn bytes<'a>(
    raw: Option<&'a RawValue>,
    meaning: Meaning,
    depth_max: usize,
    scratch: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, Unfit> {
    let Some(raw) = raw else { return Ok(None) };
    let text = raw.get();
    let string = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match (meaning, string) {
        (Meaning::Text, Some(inner)) => {
            if !inner.contains('\\') {
                return Ok(Some(inner.as_bytes()));
            }
            let unescaped: String =
                serde_json::from_str(text).map_err(|error| Unfit::NotText(error.to_string()))?;
            *scratch = unescaped.into_bytes();
            Ok(Some(scratch))
        }
        (Meaning::Base64, Some(inner)) => {
            scratch.clear();
            let decoded = if inner.contains('\\') {
                let unescaped: String = serde_json::from_str(text)
                    .map_err(|error| Unfit::NotText(error.to_string()))?;
                BASE64.decode_vec(&unescaped, scratch)
            } else {
                BASE64.decode_vec(inner, scratch)
            };
            decoded.map_err(|error| Unfit::NotBase64(error.to_string()))?;
            Ok(Some(scratch))
        }
        (Meaning::Base64, None) => Err(Unfit::NotBase64("it is not a string".to_owned())),
        (Meaning::Json, Some(_)) => Ok(Some(text.as_bytes())),
        (Meaning::Json | Meaning::Text, None) => {
            if depth(text) > depth_max {
                return Err(Unfit::TooDeep(depth_max));
            }
            Ok(Some(text.as_bytes()))
        }
    }
}

/// How deep valid JSON is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A number of milliseconds, or an RFC 3339 string.
fn timestamp(json: &str) -> Result<i64, Error> {
    time_ms(json.trim_matches('"')).ok_or_else(|| {
        let message = format!("timestamp {json}: neither milliseconds nor an RFC 3339 time");
        Error::new(ErrorKind::InvalidRequest, message)
    })
}

/// `{"records": […]}`, with the fields of schemas that a v2 client may add.
struct Document<'r, F> {
    reader: &'r mut Reader<F>,
}

impl<'de, F: FnMut(Incoming<'_>) -> Result<(), Error>> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Incoming<'_>) -> Result<(), Error>> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a field `records`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        const SCHEMAS: [&str; 4] =
            ["key_schema", "key_schema_id", "value_schema", "value_schema_id"];
        let mut found = false;
        while let Some(field) = map.next_key::<String>()? {
            if field == "records" {
                if std::mem::replace(&mut found, true) {
                    return Err(A::Error::duplicate_field("records"));
                }
                map.next_value_seed(List { reader: &mut *self.reader })?;
            } else if self.reader.form != Form::Native && SCHEMAS.contains(&field.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                return Err(A::Error::unknown_field(&field, &["records"]));
            }
        }
        if found { Ok(()) } else { Err(A::Error::missing_field("records")) }
    }
}

struct List<'r, F> {
    reader: &'r mut Reader<F>,
}

impl<'de, F: FnMut(Incoming<'_>) -> Result<(), Error>> DeserializeSeed<'de> for List<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Incoming<'_>) -> Result<(), Error>> Visitor<'de> for List<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<Raw<'de>>()? {
            if let Err(error) = self.reader.record(&raw) {
                self.reader.refused = Some(error);
                return Err(serde::de::Error::custom("a record was refused"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Seen = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn read(form: Form, body: &str) -> Result<Vec<Seen>, Error> {
        let mut seen = Vec::new();
        Reader::new(form, 8, |record: Incoming<'_>| {
            seen.push((record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
            Ok(())
        })
        .document(body.as_bytes())?;
        Ok(seen)
    }

    fn one(form: Form, value: &str) -> Result<Option<Vec<u8>>, Error> {
        read(form, &format!(r#"{{"records":[{{"value":{value}}}]}}"#)).map(|mut seen| {
            assert_eq!(seen.len(), 1);
            seen.remove(0).1
        })
    }

    #[test]
    fn each_form_reads_each_value() {
        let rows: &[(Form, &str, Option<&[u8]>)] = &[
            (Form::Native, "null", None),
            (Form::Native, r#""text""#, Some(b"text")),
            (Form::Native, r#""""#, Some(b"")),
            (Form::Native, r#""a\"b\n\u00e9""#, Some("a\"b\né".as_bytes())),
            (Form::Native, r#"{"a": [1, 2]}"#, Some(br#"{"a": [1, 2]}"#)),
            (Form::Native, "17", Some(b"17")),
            (Form::V2Json, r#""text""#, Some(br#""text""#)),
            (Form::V2Json, r#"{"a":1}"#, Some(br#"{"a":1}"#)),
            (Form::V2Json, "null", None),
            (Form::V2Binary, r#""Zm9v""#, Some(b"foo")),
            (Form::V2Binary, r#""Zm9vYg==""#, Some(b"foob")),
            (Form::V2Binary, r#""Zm9vYg""#, Some(b"foob")),
            (Form::V2Binary, r#""Zm9\u0076""#, Some(b"foo")),
            (Form::V2Binary, "null", None),
        ];
        for (form, value, expected) in rows {
            assert_eq!(one(*form, value).unwrap().as_deref(), *expected, "{form:?} {value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_record_and_place() {
        let rows = [
            (Form::Native, "", ErrorKind::MalformedJson, "EOF"),
            (Form::Native, "[]", ErrorKind::MalformedJson, "an object with a field `records`"),
            (Form::Native, "{}", ErrorKind::MalformedJson, "missing field `records`"),
            (Form::Native, r#"{"records":[]} x"#, ErrorKind::MalformedJson, "trailing characters"),
            (Form::Native, r#"{"record":[]}"#, ErrorKind::MalformedJson, "unknown field `record`"),
            (Form::Native, r#"{"records":[{"vlaue":1}]}"#, ErrorKind::MalformedJson, "`vlaue`"),
            (
                Form::Native,
                "{\"records\":[\n{\"value\":}]}",
                ErrorKind::MalformedJson,
                "line 2 column 10",
            ),
            (
                Form::Native,
                r#"{"records":[{"value":1},{"value":"\ud800"}]}"#,
                ErrorKind::NotConvertible,
                "record 1: value",
            ),
            (
                Form::Native,
                r#"{"records":[{"value":[[[[[[[[[0]]]]]]]]]}]}"#,
                ErrorKind::MalformedJson,
                "deeper than 8",
            ),
            (
                Form::Native,
                r#"{"records":[{"value":"?","value_encoding":"base64"}]}"#,
                ErrorKind::NotConvertible,
                "record 0: value is not base64",
            ),
            (
                Form::Native,
                r#"{"records":[{"timestamp":"noon"}]}"#,
                ErrorKind::InvalidRequest,
                "timestamp \"noon\"",
            ),
            (
                Form::V2Binary,
                r#"{"records":[{"key":1}]}"#,
                ErrorKind::NotConvertible,
                "record 0: key is not base64",
            ),
        ];
        for (form, body, kind, part) in rows {
            let error = read(form, body).unwrap_err();
            assert_eq!(error.kind, kind, "{body}: {error}");
            assert!(error.message.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn schemas_are_passed_over_in_v2_only() {
        let body = r#"{"key_schema_id":null,"value_schema":"x","records":[{"value":1}]}"#;
        assert_eq!(read(Form::V2Json, body).unwrap().len(), 1);
        assert_eq!(read(Form::Native, body).unwrap_err().kind, ErrorKind::MalformedJson);
    }

    #[test]
    fn headers_keep_order_and_duplicates() {
        let body = r#"{"records":[{"headers":[{"name":"a","value":"1"},{"name":"a"},
            {"name":"b","value":"Zm9v","encoding":"base64"}]},{"headers":{"x":"y","z":null}}]}"#;
        let mut seen: Vec<Vec<(String, Option<Vec<u8>>)>> = Vec::new();
        let count = Reader::new(Form::Native, 8, |record: Incoming<'_>| {
            let owned =
                |(name, value): (&str, Option<&[u8]>)| (name.to_owned(), value.map(<[u8]>::to_vec));
            seen.push(record.headers.iter().map(owned).collect());
            Ok(())
        })
        .document(body.as_bytes());
        assert_eq!(count, Ok(2));
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(
            seen,
            [
                vec![
                    ("a".to_owned(), some(b"1")),
                    ("a".to_owned(), None),
                    ("b".to_owned(), some(b"foo"))
                ],
                vec![("x".to_owned(), some(b"y")), ("z".to_owned(), None)],
            ]
        );
    }

    #[test]
    fn lines_are_records_and_name_themselves() {
        let mut values = Vec::new();
        let mut take = |record: Incoming<'_>| {
            values.push(record.value.map(<[u8]>::to_vec));
            Ok(())
        };
        let body = b"{\"value\":\"a\"}\r\n\n  \n{\"value\":\"b\",\"partition\":3}";
        assert_eq!(Reader::new(Form::Native, 8, &mut take).lines(body), Ok(2));
        let error = Reader::new(Form::Native, 8, &mut take).lines(b"{}\n{\"value\"}").unwrap_err();
        assert_eq!(error.kind, ErrorKind::MalformedJson);
        assert!(error.message.starts_with("line 2 of the body"), "{error}");
        assert_eq!(values, [Some(b"a".to_vec()), Some(b"b".to_vec()), None]);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for form in [Form::Native, Form::V2Json, Form::V2Binary] {
                let _either = Reader::new(form, 8, |_: Incoming<'_>| Ok(())).document(&body);
                let _either = Reader::new(form, 8, |_: Incoming<'_>| Ok(())).lines(&body);
            }
        }

        #[test]
        fn no_near_miss_panics(body in r#"\{"records":\[\{("(key|value|headers|timestamp|partition)":["\\\[\]{}:,0-9a-z]{0,12},?){0,4}\}?\]?\}?"#) {
            for form in [Form::Native, Form::V2Json, Form::V2Binary] {
                let _either = Reader::new(form, 8, |_: Incoming<'_>| Ok(())).document(body.as_bytes());
            }
        }

        #[test]
        fn text_comes_out_as_it_went_in(text in ".{0,60}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(one(Form::Native, &json).unwrap(), Some(text.into_bytes()));
            prop_assert_eq!(one(Form::V2Json, &json).unwrap(), Some(json.into_bytes()));
        }
    }
}
