//! Compressing a batch's records, each codec in the form that Kafka's Java client can read.

use super::{Compression, xerial};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::Write as _;

/// Appends `records`, compressed, to a buffer.
pub(super) fn deflate(codec: Compression, records: &[u8], to: &mut Vec<u8>) {
    match codec {
        Compression::None => to.extend_from_slice(records),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::default());
            encoder.write_all(records).expect("a Vec takes all");
            encoder.finish().expect("a Vec takes all");
        }
        Compression::Snappy => xerial::deflate(records, to),
        Compression::Lz4 => {
            // Java's reader refuses linked blocks; 64 KiB is what its writer makes.
            let frame =
                FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(frame, to);
            encoder.write_all(records).expect("a Vec takes all");
            encoder.finish().expect("a Vec takes all");
        }
        Compression::Zstd => {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let deflated = zstd::bulk::compress(records, level).expect("zstd has memory to work");
            to.extend_from_slice(&deflated);
        }
    }
}
