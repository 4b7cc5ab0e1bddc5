//! Which offset each key has last: a bounded map from a key's 128-bit hash.
//!
//! The hash is two of the standard library's keyed ones. Their keys are this process's own and never seen,
//! so nobody can make keys that meet; by chance two of a million do once in 10^26 times.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Keys that are known at once: 22 MiB, a table of 2^20 places when full. More make more passes.
pub const KEYS_MAX: usize = 7 << 17;

/// The last offset of each key that was noted.
#[derive(Debug)]
pub struct LatestKeys {
    hashers: [RandomState; 2],
    latest: HashMap<[u64; 2], u64>,
    keys_max: usize,
}

impl LatestKeys {
    /// None yet, and at most so many.
    pub fn new(keys_max: usize) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { hashers, latest: HashMap::new(), keys_max }
    }

    /// Notes that a key is at an offset.
    pub fn note(&mut self, key: &[u8], offset: u64) {
        let latest = self.latest.entry(self.hashers.each_ref().map(|hasher| hasher.hash_one(key)));
        let latest = latest.or_insert(offset);
        *latest = (*latest).max(offset);
    }

    /// Whether no more should be noted.
    pub fn is_full(&self) -> bool {
        self.latest.len() >= self.keys_max
    }

    /// Whether a later offset than this was noted of the key.
    pub fn supersede(&self, key: &[u8], offset: u64) -> bool {
        let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one(key));
        self.latest.get(&hash).is_some_and(|latest| *latest > offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_superseded_by_a_later_one_of_its_key() {
        let mut keys = LatestKeys::new(2);
        keys.note(b"a", 3);
        keys.note(b"a", 7);
        keys.note(b"a", 5);
        assert!(!keys.is_full());
        keys.note(b"", 4);
        assert!(keys.is_full());
        assert!(keys.supersede(b"a", 6));
        assert!(!keys.supersede(b"a", 7), "not by itself");
        assert!(keys.supersede(b"", 3));
        assert!(!keys.supersede(b"b", 0));
    }
}
