//! The first block of a segment file: which segment it is, and which life of the file.
//!
//! ```text
//!  0 "OttlaSeg"   8 format u32  12 zeros u32  16 group u64  24 first index u64
//! 32 base offset u64   40 salt u64   48 crc u32 over 0..48   …zeros up to 4096
//! ```
//!
//! The header is durable before the file gets its name (see `spares`), so a named segment without a
//! valid header is damaged, unless the whole file is empty.

use super::frame::length;
use crate::disk::DiskFile;
use crate::engine::SegmentId;
use crate::{GroupId, Index, Offset};
use std::io::{self, IoSlice};

/// Where the first frame begins.
pub const HEADER_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"OttlaSeg";
/// The layout of header and frames.
const FORMAT: u32 = 1;
const CRC_AT: usize = 48;
const USED_BYTES: usize = CRC_AT + 4;

/// A segment file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) id: SegmentId,
    pub(super) base_offset: Offset,
    /// Unique for each life of a file.
    pub(super) salt: u64,
}

/// What stands where a header should.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Header(FileHeader),
    /// Only zeros, or no bytes at all.
    Nothing,
    /// Something else, and why it is not a header.
    Damaged(String),
}

impl FileHeader {
    pub(super) fn new(id: SegmentId, base_offset: Offset) -> Self {
        let (salt, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self { id, base_offset, salt }
    }

    pub(super) fn write(&self, file: &dyn DiskFile) -> io::Result<()> {
        let mut block = self.encode().to_vec();
        block.resize(super::frame::in_memory(HEADER_BYTES), 0);
        file.write_all_at(0, &mut [IoSlice::new(&block)])
    }

    pub(super) fn read(file: &dyn DiskFile) -> io::Result<Found> {
        let mut bytes = [0; USED_BYTES];
        file.read_at(0, &mut bytes)?;
        Ok(Self::decode(&bytes))
    }

    fn encode(&self) -> [u8; USED_BYTES] {
        let mut bytes = [0; USED_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.group.get().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.id.first.get().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base_offset.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; USED_BYTES]) -> Found {
        if *bytes == [0; USED_BYTES] {
            return Found::Nothing;
        }
        let u64_of = |field: &[u8]| {
            u64::from_le_bytes(field.try_into().expect("each field is cut to eight bytes"))
        };
        let found = crc32c::crc32c(&bytes[..CRC_AT]).to_le_bytes();
        if bytes[..8] != *MAGIC {
            return Found::Damaged("not a segment file: magic".into());
        }
        if bytes[CRC_AT..] != found {
            return Found::Damaged("header at byte 0: crc".into());
        }
        if bytes[8..12] != FORMAT.to_le_bytes() {
            return Found::Damaged(format!("header at byte 8: only format {FORMAT} is known"));
        }
        Found::Header(Self {
            id: SegmentId {
                group: GroupId::new(u64_of(&bytes[16..24])),
                first: Index::new(u64_of(&bytes[24..32])),
            },
            base_offset: Offset::new(u64_of(&bytes[32..40])),
            salt: u64_of(&bytes[40..48]),
        })
    }
}

/// Whether a file holds nothing but zeros.
pub(super) fn is_blank(file: &dyn DiskFile) -> io::Result<bool> {
    let mut block = vec![0; 1 << 16];
    let mut at = 0;
    while let Some(data) = file.next_data(at)? {
        let read = file.read_at(data, &mut block)?;
        if block.iter().take(read).any(|byte| *byte != 0) {
            return Ok(false);
        }
        if read == 0 {
            break;
        }
        at = data + length(read);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        let id = SegmentId { group: GroupId::new(5), first: Index::new(77) };
        FileHeader::new(id, Offset::new(123))
    }

    #[test]
    fn a_header_reads_back() {
        let header = header();
        assert_eq!(FileHeader::decode(&header.encode()), Found::Header(header));
    }

    #[test]
    fn each_life_has_its_own_salt() {
        assert_ne!(header().salt, header().salt);
    }

    #[test]
    fn each_flipped_bit_is_seen_and_zeros_are_nothing() {
        for bit in 0..USED_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(FileHeader::decode(&bytes), Found::Damaged(_)), "bit {bit}");
        }
        assert_eq!(FileHeader::decode(&[0; USED_BYTES]), Found::Nothing);
    }
}
