//! Request bodies: read within bounds of bytes and time, and inflated within bounds.

use super::door::Door;
use crate::error::{Error, ErrorKind};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::io::Read;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

/// The budget of all bodies is counted in these.
pub(super) const BUDGET_UNIT_BYTES: usize = 1024;
/// From here on a body is inflated beside the workers that serve requests.
const INFLATE_ASIDE_BYTES: usize = 64 * 1024;

/// A body and its share of the budget, which is given back with it.
pub(super) struct Received {
    /// The body, inflated.
    pub(super) bytes: Bytes,
    _share: Share,
}

/// What a body has taken of the budget.
#[derive(Default)]
struct Share(Vec<OwnedSemaphorePermit>);

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
}

/// Reads a whole body.
pub(super) async fn receive(
    door: &Door,
    headers: &HeaderMap,
    body: Body,
) -> Result<Received, Error> {
    let coding = coding(headers)?;
    let mut share = Share::default();
    let bytes = read(door, headers, body, &mut share).await?;
    let bytes = match coding {
        None => bytes,
        Some(coding) => {
            let most = door.limits.inflated_bytes_max;
            let bytes = if bytes.len() < INFLATE_ASIDE_BYTES {
                inflate(coding, &bytes, most)?
            } else {
                tokio::task::spawn_blocking(move || inflate(coding, &bytes, most))
                    .await
                    .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))??
            };
            share.take(door, bytes.len())?;
            bytes
        }
    };
    Ok(Received { bytes, _share: share })
}

async fn read(
    door: &Door,
    headers: &HeaderMap,
    body: Body,
    share: &mut Share,
) -> Result<Bytes, Error> {
    let most = door.limits.body_bytes_max;
    let too_large = |bytes: u64| {
        let message = format!("the body has {bytes} bytes or more; at most {most} are taken");
        Error::new(ErrorKind::BodyTooLarge, message)
    };
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced: Option<u64> = announced.and_then(|value| value.to_str().ok()?.parse().ok());
    let announced = match announced {
        Some(bytes) => usize::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= most)
            .ok_or_else(|| too_large(bytes))?,
        None => 0,
    };
    share.take(door, announced)?;
    let deadline = Instant::now() + door.limits.body_time_max;
    let mut chunks = body.into_data_stream();
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    let mut received = 0_usize;
    loop {
        let pause = (Instant::now() + door.limits.body_pause_max).min(deadline);
        let Ok(chunk) = timeout_at(pause, chunks.next()).await else {
            let message = format!("the body stopped after {received} bytes");
            return Err(Error::new(ErrorKind::SlowRequest, message));
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| {
            let message = format!("the body broke off after {received} bytes: {error}");
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        received += chunk.len();
        if received > most {
            return Err(too_large(u64::try_from(received).unwrap_or(u64::MAX)));
        }
        if received > announced {
            share.take(door, chunk.len())?;
        }
        // A body of one chunk is not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(chunk),
            None => whole.extend_from_slice(&chunk),
            Some(before) => {
                whole.reserve(announced.max(before.len() + chunk.len()));
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

impl Share {
    fn take(&mut self, door: &Door, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX);
        match door.budget().try_acquire_many_owned(units) {
            Ok(permit) => {
                match self.0.first_mut() {
                    Some(held) => held.merge(permit),
                    None => self.0.push(permit),
                }
                Ok(())
            }
            Err(_full) => {
                let message = format!(
                    "{bytes} more bytes of request bodies do not fit into the {} this node holds",
                    door.limits.bodies_bytes_max
                );
                Err(Error::new(ErrorKind::Busy, message))
            }
        }
    }
}

fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Error> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
    let name = value.to_str().unwrap_or("").trim().to_ascii_lowercase();
    match name.as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Coding::Gzip)),
        "zstd" => Ok(Some(Coding::Zstd)),
        other => {
            let message = format!("Content-Encoding {other:?} is not taken; taken: gzip, zstd");
            Err(Error::new(ErrorKind::UnsupportedType, message))
        }
    }
}

fn inflate(coding: Coding, bytes: &[u8], most: usize) -> Result<Bytes, Error> {
    match coding {
        Coding::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(bytes), most),
        Coding::Zstd => {
            let decoder =
                zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| broken(&error))?;
            read_bounded(decoder, most)
        }
    }
}

fn read_bounded(from: impl Read, most: usize) -> Result<Bytes, Error> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit).read_to_end(&mut inflated).map_err(|error| broken(&error))?;
    if inflated.len() > most {
        let message = format!("the body inflates to more than {most} bytes");
        return Err(Error::new(ErrorKind::InflatedTooLarge, message));
    }
    Ok(inflated.into())
}

fn broken(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("the body cannot be inflated: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_inflate_up_to_the_limit() {
        let body = vec![7; 1000];
        for (coding, encoded) in
            [(Coding::Gzip, gzip(&body)), (Coding::Zstd, zstd::encode_all(&body[..], 1).unwrap())]
        {
            assert_eq!(inflate(coding, &encoded, 1000).unwrap(), body);
            let error = inflate(coding, &encoded, 999).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InflatedTooLarge);
            let error = inflate(coding, &encoded[..encoded.len() - 9], 1000).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn an_unknown_coding_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(coding(&headers), Ok(None));
        for (value, expected) in
            [("gzip", Coding::Gzip), ("GZIP", Coding::Gzip), ("zstd", Coding::Zstd)]
        {
            headers.insert(header::CONTENT_ENCODING, value.parse().unwrap());
            assert_eq!(coding(&headers), Ok(Some(expected)));
        }
        headers.insert(header::CONTENT_ENCODING, "br".parse().unwrap());
        assert_eq!(coding(&headers).unwrap_err().kind, ErrorKind::UnsupportedType);
    }

    proptest::proptest! {
        #[test]
        fn no_encoded_body_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _either = inflate(Coding::Gzip, &bytes, 1000);
            let _either = inflate(Coding::Zstd, &bytes, 1000);
        }
    }
}
