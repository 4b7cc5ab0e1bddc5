//! The one place that speaks bincode: small state on disk and control messages between nodes, never
//! record payloads. A format byte stands in front, so the encoding can be replaced.

use serde::{Serialize, de::DeserializeOwned};
use std::io;

/// bincode 2, standard configuration (little endian, variable-length integers).
const FORMAT_BINCODE_2: u8 = 1;
/// The largest value that is decoded; bounds what a peer or a damaged disk can make us allocate.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<VALUE_BYTES_MAX>()
}

/// Encodes a value behind its format byte.
///
/// # Panics
/// If the value's `Serialize` itself fails, which ours never do.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT_BINCODE_2];
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .expect("writing to a Vec cannot fail and our types serialize");
    bytes
}

/// Decodes what [`encode`] wrote; `InvalidData` says what was wrong.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    match bytes.split_first() {
        Some((&FORMAT_BINCODE_2, body)) => {
            let (value, used) = bincode::serde::decode_from_slice(body, config())
                .map_err(|error| invalid(format!("value of {} bytes: {error}", bytes.len())))?;
            if used == body.len() {
                Ok(value)
            } else {
                Err(invalid(format!("value of {} bytes: only {used} were used", body.len())))
            }
        }
        Some((format, _)) => Err(invalid(format!("unknown format byte {format:#04x}"))),
        None => Err(invalid("an empty value".into())),
    }
}
