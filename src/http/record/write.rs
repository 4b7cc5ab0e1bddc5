//! From records to JSON, straight into the answer's buffer.

use super::{BASE64, Form};
use base64::Engine;
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::de::IgnoredAny;
use storage::batch::RecordRef;

/// `{"partition":0,"offset":5,"timestamp":1,"key":"k","value":"v","headers":[…]}`
pub(in crate::http) fn native(to: &mut BytesMut, partition: u32, record: &RecordRef<'_>) {
    to.put_slice(b"{\"partition\":");
    native_from_partition(to, partition, record);
}

/// The same with `"topic":"t"` in front.
pub(in crate::http) fn native_of(
    to: &mut BytesMut,
    topic: &str,
    partition: u32,
    record: &RecordRef<'_>,
) {
    to.put_slice(b"{\"topic\":");
    json(to, topic);
    to.put_slice(b",\"partition\":");
    native_from_partition(to, partition, record);
}

fn native_from_partition(to: &mut BytesMut, partition: u32, record: &RecordRef<'_>) {
    json(to, &partition);
    place_and_time(to, record);
    native_field(to, "key", record.key);
    native_field(to, "value", record.value);
    headers(to, record);
    to.put_u8(b'}');
}

/// `{"topic":"t","key":…,"value":…,"partition":0,"offset":5,"timestamp":1,"headers":[…]}`
pub(in crate::http) fn v2(
    to: &mut BytesMut,
    form: Form,
    topic: &str,
    partition: u32,
    record: &RecordRef<'_>,
) {
    let field: fn(&mut BytesMut, &[u8]) = match form {
        Form::V2Json => json_or_string,
        Form::V2Binary | Form::Native => base64_string,
    };
    to.put_slice(b"{\"topic\":");
    json(to, topic);
    for (name, bytes) in [(b",\"key\":".as_slice(), record.key), (b",\"value\":", record.value)] {
        to.put_slice(name);
        match bytes {
            None => to.put_slice(b"null"),
            Some(bytes) => field(to, bytes),
        }
    }
    to.put_slice(b",\"partition\":");
    json(to, &partition);
    place_and_time(to, record);
    headers(to, record);
    to.put_u8(b'}');
}

fn place_and_time(to: &mut BytesMut, record: &RecordRef<'_>) {
    to.put_slice(b",\"offset\":");
    json(to, &record.offset);
    to.put_slice(b",\"timestamp\":");
    json(to, &record.timestamp);
}

/// A string where the bytes are UTF-8, else base64 and a field that says so.
fn native_field(to: &mut BytesMut, name: &str, bytes: Option<&[u8]>) {
    to.put_slice(b",\"");
    to.put_slice(name.as_bytes());
    to.put_slice(b"\":");
    let Some(bytes) = bytes else { return to.put_slice(b"null") };
    if let Ok(text) = std::str::from_utf8(bytes) {
        json(to, text);
    } else {
        base64_string(to, bytes);
        to.put_slice(b",\"");
        to.put_slice(name.as_bytes());
        to.put_slice(b"_encoding\":\"base64\"");
    }
}

/// Only if there are any: clients of v2 do not know the field.
fn headers(to: &mut BytesMut, record: &RecordRef<'_>) {
    let mut first = true;
    for (name, value) in record.headers() {
        to.put_slice(if first { b",\"headers\":[{\"name\":" } else { b",{\"name\":" });
        first = false;
        json(to, name.as_ref());
        to.put_slice(b",\"value\":");
        match value.map(|value| (value, std::str::from_utf8(value))) {
            None => to.put_slice(b"null"),
            Some((_, Ok(text))) => json(to, text),
            Some((bytes, Err(_))) => {
                base64_string(to, bytes);
                to.put_slice(b",\"encoding\":\"base64\"");
            }
        }
        to.put_u8(b'}');
    }
    if !first {
        to.put_u8(b']');
    }
}

/// The JSON that the bytes are; what is none is a string, so that one such record does not make all
/// others unreadable.
fn json_or_string(to: &mut BytesMut, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => to.put_slice(bytes),
        Ok(text) => json(to, text),
        Err(_) => base64_string(to, bytes),
    }
}

fn base64_string(to: &mut BytesMut, bytes: &[u8]) {
    to.put_u8(b'"');
    let encoded = base64::encoded_len(bytes.len(), true).expect("less than the address space");
    let start = to.len();
    to.resize(start + encoded, 0);
    let room = to.get_mut(start..).expect("just made");
    BASE64.encode_slice(bytes, room).expect("room was made for it");
    to.put_u8(b'"');
}

/// A number or a string with its escapes.
fn json<T: Serialize + ?Sized>(to: &mut BytesMut, value: &T) {
    serde_json::to_writer(to.writer(), value).expect("a buffer takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::batch::{BatchBuilder, Compression};

    type Fields<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [(&'a str, Option<&'a [u8]>)]);

    fn written((key, value, headers): Fields<'_>, form: Form) -> String {
        let mut builder = BatchBuilder::new();
        builder.push(17, key, value, headers.iter().copied());
        let records = builder.finish(Compression::None).decode(1000).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        let mut to = BytesMut::new();
        match form {
            Form::Native => native(&mut to, 3, &record),
            Form::V2Json | Form::V2Binary => v2(&mut to, form, "t", 3, &record),
        }
        String::from_utf8(to.to_vec()).unwrap()
    }

    #[test]
    fn each_form_is_written() {
        let plain: Fields<'_> = (Some(b"k"), Some(b"\"v\"\n"), &[]);
        let binary: Fields<'_> = (None, Some(&[0xff]), &[("h", Some(b"x")), ("i", None)]);
        let rows = [
            (
                plain,
                Form::Native,
                r#"{"partition":3,"offset":0,"timestamp":17,"key":"k","value":"\"v\"\n"}"#,
            ),
            (
                binary,
                Form::Native,
                r#"{"partition":3,"offset":0,"timestamp":17,"key":null,"value":"/w==","value_encoding":"base64","headers":[{"name":"h","value":"x"},{"name":"i","value":null}]}"#,
            ),
            (
                plain,
                Form::V2Json,
                "{\"topic\":\"t\",\"key\":\"k\",\"value\":\"v\"\n,\"partition\":3,\"offset\":0,\"timestamp\":17}",
            ),
            (
                binary,
                Form::V2Json,
                r#"{"topic":"t","key":null,"value":"/w==","partition":3,"offset":0,"timestamp":17,"headers":[{"name":"h","value":"x"},{"name":"i","value":null}]}"#,
            ),
            (
                plain,
                Form::V2Binary,
                r#"{"topic":"t","key":"aw==","value":"InYiCg==","partition":3,"offset":0,"timestamp":17}"#,
            ),
        ];
        for (fields, form, expected) in rows {
            let found = written(fields, form);
            assert_eq!(found, expected);
            serde_json::from_str::<serde_json::Value>(&found).unwrap();
        }
    }
}
