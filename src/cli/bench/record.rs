//! A record of a benchmark: it says which one it is, so that what was read can be compared with what was
//! acknowledged.
//!
//! ```text
//!   0003000000000001 0000000f4240 qwjx…      16 digits: its number, the producer's in front
//!                                            12 digits: µs from the beginning to when it was to be sent
//! ```
//!
//! A [`Tally`] adds up the fingerprints of records: two tallies are equal if they are of the same records,
//! in whatever order, none twice and none damaged (but for a chance in 2⁶⁴).

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Serialize, Serializer};
use std::ops::{Add, AddAssign};
use std::sync::Arc;

/// Of a record's number the producer has these bits, what it counts the ones below.
const COUNT_BITS: u32 = 40;
const NUMBER_DIGITS: usize = 16;
const HEAD_DIGITS: usize = 28;
/// What fills records up begins somewhere in so much random text.
const FILLER_BYTES: usize = 1 << 16;

/// Writes the records of one producer.
#[derive(Debug, Clone)]
pub(super) struct Pen {
    filler: Arc<[u8]>,
    record_bytes: usize,
    next: u64,
}

/// How many records, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Tally {
    pub(super) records: u64,
    /// Of their values.
    pub(super) bytes: u64,
    #[serde(serialize_with = "hexadecimal")]
    pub(super) hash: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn hexadecimal<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{hash:016x}"))
}

impl Pen {
    /// Random text to fill records up, for any number of pens.
    pub(super) fn filler(record_bytes: usize) -> Arc<[u8]> {
        let mut random = SmallRng::seed_from_u64(1);
        (0..FILLER_BYTES + record_bytes).map(|_| random.random_range(b'a'..=b'z')).collect()
    }

    /// A producer's.
    pub(super) fn new(producer: u32, record_bytes: usize, filler: Arc<[u8]>) -> Self {
        Self { filler, record_bytes, next: u64::from(producer) << COUNT_BITS }
    }

    /// The number of the record that comes next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Appends the value of the next record, and counts it.
    pub(super) fn write(&mut self, due_us: u64, to: &mut Vec<u8>) -> Tally {
        let begin = to.len();
        digits(self.next, NUMBER_DIGITS, to);
        digits(due_us, HEAD_DIGITS - NUMBER_DIGITS, to);
        let skip = usize::try_from(self.next % 65_521).expect("below 2¹⁶");
        let rest = self.record_bytes - HEAD_DIGITS;
        to.extend_from_slice(self.filler.get(skip..skip + rest).unwrap_or_default());
        self.next += 1;
        Tally::of(to.get(begin..).unwrap_or_default())
    }
}

impl Tally {
    /// Of one record.
    pub(super) fn of(value: &[u8]) -> Self {
        let bytes = u64::try_from(value.len()).unwrap_or(u64::MAX);
        let number = number(value).unwrap_or(u64::MAX);
        let hash = mixed(number ^ mixed(u64::from(crc32c::crc32c(value)) ^ (bytes << 32)));
        Self { records: 1, bytes, hash }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            hash: self.hash.wrapping_add(other.hash),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The number that a record says.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    read(value.get(..NUMBER_DIGITS)?)
}

/// Whose number it is.
pub(super) fn producer(number: u64) -> usize {
    usize::try_from(number >> COUNT_BITS).unwrap_or(usize::MAX)
}

/// When a record was to be sent, as it says: µs from the beginning.
pub(super) fn due_us(value: &[u8]) -> Option<u64> {
    read(value.get(NUMBER_DIGITS..HEAD_DIGITS)?)
}

fn read(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn digits(number: u64, count: usize, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for at in (0..count).rev() {
        let nibble = usize::try_from(number >> (4 * at) & 0xf).unwrap_or_default();
        to.extend(DIGITS.get(nibble));
    }
}

/// Spreads a number over all bits (the finalizer of `SplitMix64`).
const fn mixed(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Vec<u8>> {
        let mut pen = Pen::new(3, 100, Pen::filler(100));
        let value = |due| {
            let mut value = Vec::new();
            pen.write(due, &mut value);
            value
        };
        [0, 1_000_000, u64::from(u32::MAX)].map(value).to_vec()
    }

    fn tally(values: &[&Vec<u8>]) -> Tally {
        values.iter().fold(Tally::default(), |sum, value| sum + Tally::of(value))
    }

    #[test]
    fn a_record_says_its_number_and_its_time() {
        let values = three();
        assert!(values.iter().all(|value| value.len() == 100));
        assert_eq!(number(&values[1]), Some((3 << COUNT_BITS) + 1));
        assert_eq!(due_us(&values[2]), Some(u64::from(u32::MAX)));
        assert_eq!((number(b"short"), due_us(b"zz")), (None, None));
    }

    #[test]
    fn a_tally_tells_records_apart_whatever_their_order() {
        let values = three();
        let [a, b, c] = [&values[0], &values[1], &values[2]];
        let all = tally(&[a, b, c]);
        assert_eq!(all, tally(&[c, a, b]));
        assert_ne!(all, tally(&[a, b, b]), "one twice, one missing");
        let mut damaged = c.clone();
        damaged[99] ^= 1;
        assert_ne!(all, tally(&[a, b, &damaged]));
        assert_eq!((all.records, all.bytes), (3, 300));
    }
}
