//! Who a producer is. One number space, three kinds that cannot meet:
//!
//! | bits 62, 61 | kind | from |
//! |---|---|---|
//! | 0 – | allocated | `POST /v1/producers`, unique in the cluster |
//! | 1 0 | named | the hash of a name that its owner chose |
//! | 1 1 | one-shot | the hash of an `Idempotency-Key`: one batch a partition, ever |

use std::fmt;

/// The longest name of a producer.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest `Idempotency-Key`.
pub const KEY_BYTES_MAX: usize = 256;

const HASHED: i64 = 1 << 62;
const ONE_SHOT: i64 = 1 << 61;
/// What is left for a hash.
const HASH_MASK: i64 = ONE_SHOT - 1;

/// A producer's id, as it stands in its batches: from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// The id in a batch's header; `None` if that says that there is none.
    pub fn new(id: i64) -> Option<Self> {
        (id >= 0).then_some(Self(id))
    }

    /// The id of a producer that chose its name.
    pub fn named(name: &[u8]) -> Self {
        Self(HASHED | hash(name))
    }

    /// The id of the one-shot producer behind a key.
    pub fn one_shot(key: &[u8]) -> Self {
        Self(HASHED | ONE_SHOT | hash(key))
    }

    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }

    /// Whether the cluster gave it, or may give it one day.
    pub fn is_allocated(self) -> bool {
        self.0 & HASHED == 0
    }

    /// Whether it stands for an `Idempotency-Key`.
    pub fn is_one_shot(self) -> bool {
        self.0 & (HASHED | ONE_SHOT) == HASHED | ONE_SHOT
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// FNV-1a of 128 bits, folded. It stands in logs: it must be the same on every node and in every
/// version. Two of a million names share an id with a probability of 10⁻⁷.
fn hash(name: &[u8]) -> i64 {
    let hash = fnv_1a(name);
    let folded = (hash ^ (hash >> 64)) & u128::from(HASH_MASK.cast_unsigned());
    i64::try_from(folded).expect("masked to 61 bits")
}

fn fnv_1a(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        // draft-eastlake-fnv: test vectors of FNV-1a, 128 bits.
        assert_eq!(fnv_1a(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_eq!(fnv_1a(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn the_kinds_never_meet() {
        let allocated = ProducerId::new(HASHED - 1).unwrap();
        assert!(allocated.is_allocated() && !allocated.is_one_shot());
        for text in [&b"a"[..], b"orders-service-1", b"", &[0xff; 300]] {
            let (named, keyed) = (ProducerId::named(text), ProducerId::one_shot(text));
            assert!(!named.is_allocated() && !named.is_one_shot() && named.get() > 0);
            assert!(!keyed.is_allocated() && keyed.is_one_shot() && keyed.get() > 0);
        }
        assert_eq!(ProducerId::new(-1), None);
    }
}
