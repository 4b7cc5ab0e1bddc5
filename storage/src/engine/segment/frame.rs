//! One entry in a segment file: a 64-byte head, the payload as stored, zeros up to 8 bytes.
//!
//! ```text
//!  0 head crc   u32   over bytes 4..64          32 base offset    u64
//!  4 payload crc u32  over the stored payload   40 max timestamp  i64
//!  8 payload len u32                            48 durable        u64  index + 1; 0 is none
//! 12 records    u32                             56 kind           u8
//! 16 index      u64                             57 zeros          7 bytes
//! 24 term       u64                             64 payload …
//! ```
//!
//! Little endian. Both checksums are CRC-32C begun with the file's salt: a frame of a recycled file's
//! former life is never valid. The head has its own, so that it can be trusted without its payload.
//! A data payload is stored with base offset and leader epoch stamped into its first 16 bytes.

use crate::batch::{self, stamped_head};
use crate::engine::Frame;
use crate::{EntryKind, Header, Index, Offset, Position, Term};
use std::io::{self, IoSlice};
use std::ops::Range;

/// Bytes before the payload.
pub(super) const HEAD_BYTES: usize = 64;
/// Frames begin at multiples of this.
pub(super) const ALIGN_BYTES: u64 = 8;
/// Bytes of a data payload that are stamped.
const STAMP_BYTES: usize = 16;
/// A payload up to this is copied beside its head: cheaper than a slice of its own.
const COPY_BYTES_MAX: usize = 512;

/// Bytes a payload of this length takes in a segment file.
pub fn frame_bytes(payload_len: u32) -> u64 {
    let unpadded = length(HEAD_BYTES) + u64::from(payload_len);
    unpadded.next_multiple_of(ALIGN_BYTES)
}

/// A length in memory as a position in a file.
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits 64 bits")
}

/// A length in a file as one in memory.
pub(super) fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("the house runs on 64 bits")
}

/// What a file's checksums begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn of(salt: u64) -> Self {
        Self(crc32c::crc32c(&salt.to_le_bytes()))
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }
}

/// What a frame's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) header: Header,
    pub(super) durable: Option<Index>,
    pub(super) payload_crc: u32,
}

/// Why 64 bytes are no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHead {
    /// Nothing was ever written here.
    Zero,
    /// The checksum does not match: torn, damaged, or of the file's former life.
    Crc,
}

impl Head {
    /// Of the frame, padding included.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.header.payload_len)
    }

    fn encode(&self, seed: Seed) -> [u8; HEAD_BYTES] {
        let header = &self.header;
        let mut head = [0; HEAD_BYTES];
        head[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        head[8..12].copy_from_slice(&header.payload_len.to_le_bytes());
        head[12..16].copy_from_slice(&header.record_count.to_le_bytes());
        head[16..24].copy_from_slice(&header.position.index.get().to_le_bytes());
        head[24..32].copy_from_slice(&header.position.term.get().to_le_bytes());
        head[32..40].copy_from_slice(&header.base_offset.get().to_le_bytes());
        head[40..48].copy_from_slice(&header.max_timestamp.to_le_bytes());
        let durable = self.durable.map_or(0, |index| index.next().get());
        head[48..56].copy_from_slice(&durable.to_le_bytes());
        head[56] = kind_byte(header.kind);
        let crc = seed.checksum(&head[4..]);
        head[..4].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Reads a head; `bytes` are at least [`HEAD_BYTES`].
    pub(super) fn decode(bytes: &[u8], seed: Seed) -> Result<Self, BadHead> {
        let head: &[u8; HEAD_BYTES] =
            bytes.first_chunk().expect("the caller reads at least a head's bytes");
        if *head == [0; HEAD_BYTES] {
            return Err(BadHead::Zero);
        }
        let mut rest = head.as_slice();
        if u32::from_le_bytes(take(&mut rest)) != seed.checksum(rest) {
            return Err(BadHead::Crc);
        }
        let payload_crc = u32::from_le_bytes(take(&mut rest));
        let payload_len = u32::from_le_bytes(take(&mut rest));
        let record_count = u32::from_le_bytes(take(&mut rest));
        let index = Index::new(u64::from_le_bytes(take(&mut rest)));
        let term = Term::new(u64::from_le_bytes(take(&mut rest)));
        let base_offset = Offset::new(u64::from_le_bytes(take(&mut rest)));
        let max_timestamp = i64::from_le_bytes(take(&mut rest));
        let durable = Index::new(u64::from_le_bytes(take(&mut rest))).previous();
        let [kind] = take(&mut rest);
        let header = Header {
            position: Position::new(term, index),
            kind: kind_of(kind).ok_or(BadHead::Crc)?,
            base_offset,
            record_count,
            max_timestamp,
            payload_len,
        };
        Ok(Self { header, durable, payload_crc })
    }

    /// Whether bytes may be a head at all: cheap, before their checksum is computed.
    pub(super) fn plausible(bytes: &[u8]) -> bool {
        matches!(bytes.get(56..HEAD_BYTES), Some([kind, 0, 0, 0, 0, 0, 0, 0]) if kind_of(*kind).is_some())
            && bytes.get(..4).is_some_and(|crc| crc != [0; 4])
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, rest) = bytes.split_first_chunk().expect("the fields add up to a head");
    *bytes = rest;
    *head
}

const KINDS: [EntryKind; 5] =
    [EntryKind::Blank, EntryKind::Membership, EntryKind::Data, EntryKind::Trim, EntryKind::Command];

fn kind_byte(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Blank => 0,
        EntryKind::Membership => 1,
        EntryKind::Data => 2,
        EntryKind::Trim => 3,
        EntryKind::Command => 4,
    }
}

fn kind_of(byte: u8) -> Option<EntryKind> {
    KINDS.get(usize::from(byte)).copied()
}

/// Frames laid out for one write: heads, stamps, padding and small payloads in one buffer, large
/// payloads where they are.
pub(super) struct Run<'a> {
    buffer: Vec<u8>,
    pieces: Vec<Piece<'a>>,
    /// Where the buffer's unfinished piece begins.
    piece_start: usize,
}

enum Piece<'a> {
    Buffer(Range<usize>),
    Payload(&'a [u8]),
}

impl<'a> Run<'a> {
    pub(super) fn lay_out(frames: &'a [Frame], seed: Seed) -> io::Result<Self> {
        let mut run = Self {
            buffer: Vec::with_capacity(frames.len() * (HEAD_BYTES + 2 * STAMP_BYTES)),
            pieces: Vec::with_capacity(frames.len() * 2 + 1),
            piece_start: 0,
        };
        for frame in frames {
            run.push(frame, seed)?;
        }
        run.finish_piece();
        Ok(run)
    }

    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        let slice = |piece: &'_ Piece<'a>| match piece {
            Piece::Buffer(range) => self.buffer.get(range.clone()).unwrap_or_default(),
            Piece::Payload(payload) => payload,
        };
        self.pieces.iter().map(|piece| IoSlice::new(slice(piece))).collect()
    }

    fn push(&mut self, frame: &'a Frame, seed: Seed) -> io::Result<()> {
        let (stamp, rest) = stamp(frame)?;
        let payload_crc = crc32c::crc32c_append(seed.checksum(&stamp), rest);
        let head = Head { header: frame.header, durable: frame.durable, payload_crc };
        self.buffer.extend_from_slice(&head.encode(seed));
        self.buffer.extend_from_slice(&stamp);
        if rest.len() <= COPY_BYTES_MAX {
            self.buffer.extend_from_slice(rest);
        } else {
            self.finish_piece();
            self.pieces.push(Piece::Payload(rest));
        }
        let unpadded = length(HEAD_BYTES) + u64::from(frame.header.payload_len);
        let padding = in_memory(head.frame_bytes() - unpadded);
        self.buffer.resize(self.buffer.len() + padding, 0);
        Ok(())
    }

    fn finish_piece(&mut self) {
        if self.piece_start < self.buffer.len() {
            self.pieces.push(Piece::Buffer(self.piece_start..self.buffer.len()));
            self.piece_start = self.buffer.len();
        }
    }
}

/// The stamped beginning of a payload as it is to be stored, and the rest of it.
fn stamp(frame: &Frame) -> io::Result<(Vec<u8>, &[u8])> {
    let header = &frame.header;
    let refuse = |why: &str| {
        let index = header.position.index;
        let len = frame.payload.len();
        let text = format!("entry {index}: {why} (payload of {len} bytes)");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    if u32::try_from(frame.payload.len()) != Ok(header.payload_len) {
        return refuse("its header says another length");
    }
    if header.kind != EntryKind::Data {
        return Ok((Vec::new(), &frame.payload));
    }
    let rest = match frame.payload.get(STAMP_BYTES..) {
        Some(rest) if frame.payload.len() >= batch::HEADER_BYTES => rest,
        Some(_) | None => return refuse("no record batch is that short"),
    };
    let (Ok(offset), Ok(epoch)) =
        (i64::try_from(header.base_offset.get()), i32::try_from(header.position.term.get()))
    else {
        return refuse("base offset or term beyond what a record batch holds");
    };
    Ok((stamped_head(&frame.payload, offset, epoch).to_vec(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(index: u64, payload: &[u8]) -> Frame {
        let header = Header {
            position: Position::new(Term::new(3), Index::new(index)),
            kind: EntryKind::Command,
            base_offset: Offset::new(9),
            record_count: 0,
            max_timestamp: -1,
            payload_len: u32::try_from(payload.len()).unwrap(),
        };
        let durable = Index::new(index).previous();
        Frame { header, payload: Bytes::copy_from_slice(payload), durable }
    }

    fn stored(frames: &[Frame], seed: Seed) -> Vec<u8> {
        let run = Run::lay_out(frames, seed).unwrap();
        run.slices().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn a_head_reads_back_and_its_payload_follows() {
        let seed = Seed::of(42);
        for payload in [vec![], vec![1; 5], vec![2; 5000]] {
            let frame = frame(7, &payload);
            let bytes = stored(std::slice::from_ref(&frame), seed);
            let head = Head::decode(&bytes, seed).unwrap();
            assert_eq!((head.header, head.durable), (frame.header, frame.durable));
            assert_eq!(bytes[HEAD_BYTES..HEAD_BYTES + payload.len()], payload);
            assert_eq!(head.payload_crc, seed.checksum(&payload));
            assert!(Head::plausible(&bytes));
        }
    }

    #[test]
    fn frames_follow_each_other_at_multiples_of_eight() {
        let seed = Seed::of(42);
        let frames = [frame(0, &[1; 3]), frame(1, &[2; 4001]), frame(2, &[])];
        let bytes = stored(&frames, seed);
        let mut at = 0;
        for frame in &frames {
            let head = Head::decode(&bytes[at..], seed).unwrap();
            assert_eq!(head.header, frame.header);
            at += in_memory(head.frame_bytes());
            assert_eq!(at % 8, 0);
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn a_frame_of_another_life_is_not_valid() {
        let bytes = stored(&[frame(0, b"old")], Seed::of(1));
        assert_eq!(Head::decode(&bytes, Seed::of(2)), Err(BadHead::Crc));
        assert_eq!(Head::decode(&[0; 64], Seed::of(2)), Err(BadHead::Zero));
    }

    #[test]
    fn each_flipped_bit_of_a_head_is_seen() {
        let seed = Seed::of(1);
        let bytes = stored(&[frame(5, b"")], seed);
        for bit in 0..HEAD_BYTES * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&bad, seed), Err(BadHead::Crc), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_of_another_length_than_its_header_says_is_refused() {
        let mut frame = frame(5, b"four");
        frame.header.payload_len = 5;
        assert!(Run::lay_out(&[frame], Seed::of(1)).is_err());
    }
}
