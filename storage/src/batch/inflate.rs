//! Inflating a batch's records into one buffer of at most a given size. Whatever a frame says of
//! itself, the buffer never grows beyond the limit; what a codec needs beside it is bounded here:
//!
//! | codec | beside the buffer |
//! |---|---|
//! | gzip | its window, 32 KiB, and a header of three fields of at most 64 KiB |
//! | snappy | nothing |
//! | lz4 | two blocks and the distance, at most 12.1 MiB for a frame of the largest blocks (4 MiB) |
//! | zstd | its context, about 100 KiB: a frame is decoded in one step, so that the buffer is the window, however large a window (up to 2 GiB) its header asks for |

use super::{BatchError, Compression, xerial};
use bytes::Bytes;
use std::io::Read;
use zstd::zstd_safe;

/// How many times its own size a block is first thought to inflate to, where it does not say.
const FIRST_GUESS: usize = 4;
/// By how much the buffer grows when a guess was too small.
const GROWTH: usize = 2;
/// The frame format's magic number. The legacy format, which Kafka never had, is left out: its blocks
/// are 8 MiB.
const LZ4_FRAME: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// `ZSTD_error_dstSize_tooSmall`, as an error is returned; its number is pinned by `zstd_errors.h`.
const ZSTD_BUFFER_TOO_SMALL: usize = 0_usize.wrapping_sub(70);

/// What went wrong inside a codec.
enum Failure {
    TooLarge,
    Corrupt(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Corrupt(why)
    }
}

impl From<snap::Error> for Failure {
    fn from(error: snap::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// Inflates `block` to at most `bytes_max` bytes. What is not compressed is given back as it is.
pub(super) fn inflate(
    codec: Compression,
    block: Bytes,
    bytes_max: usize,
) -> Result<Bytes, BatchError> {
    let inflated = match codec {
        Compression::None => return Ok(block),
        Compression::Gzip => gzip(&block, bytes_max),
        Compression::Snappy => snappy(&block, bytes_max),
        Compression::Lz4 => lz4(&block, bytes_max),
        Compression::Zstd => zstd(&block, bytes_max),
    };
    inflated.map(Bytes::from).map_err(|failure| match failure {
        Failure::TooLarge => BatchError::TooLarge(bytes_max),
        Failure::Corrupt(why) => BatchError::Invalid(format!("{codec} block: {why}")),
    })
}

/// One or more members, as Java's reader takes them.
fn gzip(block: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    read_all(flate2::bufread::MultiGzDecoder::new(block), first_guess(block), bytes_max)
}

/// Each block says what it inflates to, so that the buffer is made once.
fn snappy(block: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let blocks = xerial::blocks(block)?;
    let mut total = 0_usize;
    for block in blocks.clone() {
        total = total.saturating_add(snap::raw::decompress_len(block?)?);
    }
    if total > bytes_max {
        return Err(Failure::TooLarge);
    }
    let mut inflated = vec![0; total];
    let mut rest = inflated.as_mut_slice();
    let mut decoder = snap::raw::Decoder::new();
    for block in blocks {
        let read = decoder.decompress(block?, rest)?;
        rest.split_off_mut(..read).expect("no more is read than there is room");
    }
    Ok(inflated)
}

/// One frame.
fn lz4(block: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    if !block.starts_with(&LZ4_FRAME) {
        return Err(Failure::Corrupt("does not begin a frame".to_owned()));
    }
    let mut decoder = lz4_flex::frame::FrameDecoder::new(block);
    let inflated = read_all(&mut decoder, first_guess(block), bytes_max)?;
    match decoder.get_ref().len() {
        0 => Ok(inflated),
        left => Err(Failure::Corrupt(format!("{left} bytes after its frame"))),
    }
}

/// One or more frames. Where the first does not say its size, a buffer that turns out too small is
/// made anew, larger, until it is as large as allowed: the wasted steps are fewer bytes than the last.
fn zstd(block: &[u8], bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let announced = zstd_safe::get_frame_content_size(block)
        .map_err(|error| Failure::Corrupt(error.to_string()))?;
    let mut room = match announced.map(usize::try_from) {
        Some(Ok(size)) if size <= bytes_max => size,
        Some(_) => return Err(Failure::TooLarge),
        None => first_guess(block).min(bytes_max),
    };
    let mut context = zstd_safe::DCtx::create();
    loop {
        let mut inflated = Vec::with_capacity(room);
        match context.decompress(&mut inflated, block) {
            Ok(size) if size <= bytes_max => return Ok(inflated),
            Err(ZSTD_BUFFER_TOO_SMALL) if room < bytes_max => {
                room = room.max(first_guess(block)).saturating_mul(GROWTH).min(bytes_max);
            }
            Ok(_) | Err(ZSTD_BUFFER_TOO_SMALL) => return Err(Failure::TooLarge),
            Err(code) => {
                return Err(Failure::Corrupt(zstd_safe::get_error_name(code).to_owned()));
            }
        }
    }
}

/// Reads to the end, into a buffer that grows to `bytes_max` at most.
fn read_all(mut from: impl Read, guess: usize, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut inflated = Vec::new();
    let mut filled = 0;
    loop {
        if filled == inflated.len() {
            if filled == bytes_max {
                // Full to the limit: there must be nothing more, not even one byte.
                return match from.read(&mut [0])? {
                    0 => Ok(inflated),
                    _ => Err(Failure::TooLarge),
                };
            }
            let room = guess.max(filled.saturating_mul(GROWTH)).min(bytes_max);
            inflated.reserve_exact(room - filled);
            inflated.resize(room, 0);
        }
        match from.read(inflated.get_mut(filled..).expect("filled is within"))? {
            0 => {
                inflated.truncate(filled);
                return Ok(inflated);
            }
            read => filled += read,
        }
    }
}

fn first_guess(block: &[u8]) -> usize {
    block.len().saturating_mul(FIRST_GUESS).max(1)
}
