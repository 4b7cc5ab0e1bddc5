//! Which partition a record goes to: by its key as Kafka's Java client does it, else round-robin.
//! (`Utils.murmur2`, `BuiltInPartitioner.partitionForKey`.)

use crate::topic::PartitionId;

/// Chooses the partition of a record with a key. The seam for partitioning of another kind.
pub trait Partitioner: Send + Sync + 'static {
    /// The partition, below `partitions`; `partitions` is at least 1.
    fn partition(&self, key: &[u8], partitions: u32) -> PartitionId;
}

/// A closure of a key and the number of partitions is a partitioner.
impl<F: Fn(&[u8], u32) -> PartitionId + Send + Sync + 'static> Partitioner for F {
    fn partition(&self, key: &[u8], partitions: u32) -> PartitionId {
        self(key, partitions)
    }
}

/// Kafka's default: murmur2 of the key, made positive, modulo the partition count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Murmur2;

impl Partitioner for Murmur2 {
    fn partition(&self, key: &[u8], partitions: u32) -> PartitionId {
        // Java's `toPositive` drops the sign bit; it is not the absolute value.
        PartitionId((murmur2(key) & 0x7fff_ffff) % partitions.max(1))
    }
}

/// Murmur2, 32 bits, with Kafka's seed. Its i32 in Java is the same bits.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Java's arrays are at most i32::MAX long, and the length is mixed in as 32 bits.
    let length = u32::try_from(data.len() & 0xffff_ffff).expect("masked to 32 bits");
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let word: [u8; 4] = word.try_into().expect("chunks_exact gives 4 bytes");
        let mut k = u32::from_le_bytes(word).wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn murmur2_gives_what_kafkas_own_tests_expect() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let rows: &[(&[u8], i32)] = &[
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (data, expected) in rows {
            assert_eq!(murmur2(data).cast_signed(), *expected, "{:?}", data.escape_ascii());
        }
    }

    #[test]
    fn a_negative_hash_loses_its_sign_bit_and_nothing_else() {
        // toPositive(-973932308) = 1173551340
        assert_eq!(Murmur2.partition(b"21", 1000), PartitionId(340));
    }

    proptest! {
        #[test]
        fn every_key_has_a_partition(key: Vec<u8>, partitions in 1..1000_u32) {
            prop_assert!(Murmur2.partition(&key, partitions).0 < partitions);
        }
    }
}
