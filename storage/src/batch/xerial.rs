//! Snappy as Java's snappy-java frames it, which is Kafka's framing: a 16-byte header, then blocks,
//! each its length (u32, big-endian) and a raw snappy block. Other clients (librdkafka) write one raw
//! block; it is told apart by the magic, as Java's reader does.

use bytes::Buf;

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Version 1, compatible with version 1 on.
const VERSIONS: &[u8; 8] = b"\0\0\0\x01\0\0\0\x01";
/// snappy-java's default.
const BLOCK_BYTES: usize = 32 * 1024;

/// The raw snappy blocks of `deflated`, in order.
pub(super) fn blocks(deflated: &[u8]) -> Result<Blocks<'_>, String> {
    let Some(framed) = deflated.strip_prefix(MAGIC) else {
        return Ok(Blocks::Raw(deflated));
    };
    match framed.split_at_checked(VERSIONS.len()) {
        Some((_versions, blocks)) => Ok(Blocks::Framed(blocks)),
        None => Err(format!("xerial header of {} bytes", deflated.len())),
    }
}

/// What is left of the blocks.
#[derive(Clone)]
pub(super) enum Blocks<'a> {
    /// One, without a frame.
    Raw(&'a [u8]),
    /// Each behind its length.
    Framed(&'a [u8]),
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], String>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(self, Self::Framed(&[])) {
            Self::Raw(block) => Some(Ok(block)),
            Self::Framed([]) => None,
            Self::Framed(mut rest) => Some(take_block(&mut rest).inspect(|_| {
                *self = Self::Framed(rest);
            })),
        }
    }
}

fn take_block<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = from.try_get_u32().map_err(|short| format!("length of a block: {short}"))?;
    let block = usize::try_from(length).ok().and_then(|length| from.split_off(..length));
    block.ok_or_else(|| format!("block of {length} bytes where {} are left", from.len()))
}

/// Appends `records` framed.
pub(super) fn deflate(records: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(MAGIC);
    to.extend_from_slice(VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in records.chunks(BLOCK_BYTES) {
        let block = encoder.compress_vec(chunk).expect("32 KiB is within snappy's limit");
        let length = u32::try_from(block.len()).expect("32 KiB grow by a sixth at most");
        to.extend_from_slice(&length.to_be_bytes());
        to.extend_from_slice(&block);
    }
}
