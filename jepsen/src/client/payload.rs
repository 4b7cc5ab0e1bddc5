//! The bytes of a record: which partition and value they are, with a checksum of their own, so that a
//! record in the wrong place or with a wrong byte is known by itself.
//!
//! ```text
//!   KEY/VALUE/CRC/FILL      CRC-32C of "KEY/VALUE/FILL" in eight hexadecimal digits
//! ```

use rand::Rng;

use crate::history::{Alien, Key, Seen};

/// The longest fill.
const FILL_BYTES_MAX: usize = 400;
const FILL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new record's text.
pub fn write(key: Key, value: u64, dice: &mut impl Rng) -> String {
    let length = dice.random_range(0..=FILL_BYTES_MAX);
    let letter = |_| FILL.get(dice.random_range(0..FILL.len())).copied().map_or('x', char::from);
    let fill: String = (0..length).map(letter).collect();
    let crc = own_crc(key, value, &fill);
    format!("{key}/{value}/{crc:08x}/{fill}")
}

/// The key of one of our records in a compacted topic: its value, of which so many differ.
pub fn record_key(text: &str, keys: u64) -> Option<String> {
    let value: u64 = text.split('/').nth(1)?.parse().ok()?;
    value.checked_rem(keys).map(|of| format!("k{of}"))
}

/// The checksum that the history keeps: of the whole text.
pub fn crc(text: &str) -> u32 {
    crc32c::crc32c(text.as_bytes())
}

/// Reads a record that stood at an offset of a partition.
pub fn read(key: Key, offset: u64, text: &str) -> Result<Seen, Alien> {
    let alien = |why: &str| Alien { key, offset, why: format!("{why}: {}", short(text)) };
    let mut parts = text.splitn(4, '/');
    let mut next = || parts.next().ok_or_else(|| alien("not one of ours"));
    let (of, value, own, fill) = (next()?, next()?, next()?, next()?);
    let (Ok(of), Ok(value), Ok(own)) =
        (of.parse().map(Key), value.parse(), u32::from_str_radix(own, 16))
    else {
        return Err(alien("not one of ours"));
    };
    if own != own_crc(of, value, fill) {
        return Err(alien("its bytes are broken"));
    }
    if of != key {
        return Err(alien("written for another partition"));
    }
    Ok(Seen { offset, value, crc: Some(crc(text)) })
}

fn own_crc(key: Key, value: u64, fill: &str) -> u32 {
    crc32c::crc32c(format!("{key}/{value}/{fill}").as_bytes())
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_record_tells_its_value_and_a_broken_or_lost_one_tells_that() {
        let text = write(Key(3), 77, &mut ChaCha8Rng::seed_from_u64(1));
        let seen = read(Key(3), 9, &text).unwrap();
        assert_eq!(seen, Seen { offset: 9, value: 77, crc: Some(crc(&text)) });
        assert_eq!(record_key(&text, 10).as_deref(), Some("k7"));
        assert!(read(Key(4), 9, &text).unwrap_err().why.starts_with("written for another"));
        let broken = text.replacen("77", "78", 1);
        assert!(read(Key(3), 9, &broken).unwrap_err().why.starts_with("its bytes are broken"));
        for other in ["", "hello", "a/b/c/d", "1/2/3"] {
            assert!(read(Key(3), 9, other).unwrap_err().why.starts_with("not one of ours"));
        }
    }
}
