//! The numbers inside a record: zigzag varints of at most 5 bytes (`i32`) or 10 bytes (`i64`), as in
//! Protocol Buffers. Longer than needed is read; bits beyond the type are refused, so that no two
//! readers disagree about what a number was.

use bytes::{BufMut, BytesMut};

/// The most bytes that an `i32` takes.
pub(super) const INT_BYTES_MAX: usize = 5;
const LONG_BYTES_MAX: usize = 10;

/// Takes an `i32` off the front; `None`, and `from` untouched, if there is none.
#[inline]
pub(super) fn read_int(from: &mut &[u8]) -> Option<i32> {
    let mut rest = *from;
    let zigzag = u32::try_from(read_unsigned(&mut rest, INT_BYTES_MAX)?).ok()?;
    *from = rest;
    Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

/// Takes an `i64` off the front; `None`, and `from` untouched, if there is none.
#[inline]
pub(super) fn read_long(from: &mut &[u8]) -> Option<i64> {
    let zigzag = read_unsigned(from, LONG_BYTES_MAX)?;
    Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

#[inline]
fn read_unsigned(from: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let mut rest = *from;
    let mut value = 0;
    let mut shift = 0;
    for _ in 0..bytes_max {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << shift;
        if shifted >> shift != bits {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            *from = rest;
            return Some(value);
        }
        shift += 7;
    }
    None
}

/// Appends an `i32`.
#[inline]
pub(super) fn write_int(to: &mut BytesMut, value: i32) {
    write_long(to, i64::from(value));
}

/// Appends an `i64`.
#[inline]
pub(super) fn write_long(to: &mut BytesMut, value: i64) {
    let mut rest = zigzag(value);
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            to.put_u8(low);
            return;
        }
        to.put_u8(low | 0x80);
    }
}

/// Bytes that [`write_int`] appends.
#[inline]
pub(super) fn int_bytes(value: i32) -> usize {
    long_bytes(i64::from(value))
}

/// Bytes that [`write_long`] appends.
#[inline]
pub(super) fn long_bytes(value: i64) -> usize {
    match zigzag(value).checked_ilog2() {
        None => 1,
        Some(highest_bit) => usize::try_from(highest_bit / 7 + 1).expect("at most 10"),
    }
}

/// Small numbers of either sign to small numbers without one. An `i32` has the same image as the
/// `i64` of its value, which is why one writer serves both.
#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_the_ones_of_protocol_buffers() {
        let rows: [(i64, &[u8]); 7] = [
            (0, &[0x00]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-65, &[0x81, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ];
        for (value, bytes) in rows {
            let mut out = BytesMut::new();
            write_long(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn bits_beyond_the_type_are_refused() {
        let five_bytes_of_33_bits = [0xff, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(read_int(&mut &five_bytes_of_33_bits[..]), None);
        let ten_bytes_of_65_bits = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03];
        assert_eq!(read_long(&mut &ten_bytes_of_65_bits[..]), None);
        let eleven_bytes = [0x80; 11];
        assert_eq!(read_long(&mut &eleven_bytes[..]), None);
        assert_eq!(read_int(&mut &[0x80, 0x80][..]), None, "ends inside");
        assert_eq!(read_int(&mut &[0x82, 0x00][..]), Some(1), "longer than needed");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_measured(long in any::<i64>(), int in any::<i32>()) {
            let mut out = BytesMut::new();
            write_long(&mut out, long);
            prop_assert_eq!(out.len(), long_bytes(long));
            write_int(&mut out, int);
            prop_assert_eq!(out.len(), long_bytes(long) + int_bytes(int));
            let mut rest = &out[..];
            prop_assert_eq!(read_long(&mut rest), Some(long));
            prop_assert_eq!(read_int(&mut rest), Some(int));
            prop_assert!(rest.is_empty());
        }
    }
}
