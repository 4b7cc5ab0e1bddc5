//! Records as JSON, in and out. Neither way builds a tree: a record goes from the body's bytes into its
//! batch, and from its batch into the answer's bytes.
//!
//! | form | a key or value, in | out |
//! |---|---|---|
//! | native | a string is its UTF-8 text, or base64 with `key_encoding`, `value_encoding`; other JSON is its own text | a string; base64 with `…_encoding` if it is not UTF-8 |
//! | v2 json | any JSON is its own text (a string with its quotes) | the JSON it is; a string if it is none |
//! | v2 binary | a base64 string | a base64 string |
//!
//! `null` is null everywhere.

mod headers;
mod read;
pub(super) mod shape;
mod write;

pub(super) use headers::Headers;
pub(super) use read::{Incoming, Reader};
pub(super) use write::{native, native_of, v2};

/// How keys and values stand in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Ours.
    Native,
    /// `application/vnd.kafka.json.v2+json`.
    V2Json,
    /// `application/vnd.kafka.binary.v2+json`.
    V2Binary,
}

/// Standard base64; padding may be left out by the sender, and is always written.
pub(super) const BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);
