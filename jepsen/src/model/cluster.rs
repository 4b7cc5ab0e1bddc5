//! A cluster that does right: logs that take effect at one instant, topics, settings and a group.

use std::collections::{BTreeMap, HashMap};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::group::Group;
use crate::history::{Key, Seen};

/// How many records a poll returns per key, at most.
const POLL_RECORDS_MAX: usize = 20;

/// One log.
#[derive(Default)]
pub(super) struct Log {
    pub(super) records: Vec<Seen>,
    pub(super) next: u64,
    pub(super) start: u64,
}

/// The producer, its epoch, the key and the sequence number.
type Stamped = (u64, u32, Key, u64);

/// All that a cluster knows.
pub(super) struct Cluster {
    pub(super) logs: BTreeMap<Key, Log>,
    pub(super) group: Group,
    pub(super) exists: BTreeMap<String, bool>,
    pub(super) settings: BTreeMap<String, u64>,
    /// What each node knows of high watermarks.
    local: BTreeMap<(usize, Key), u64>,
    taken: HashMap<Stamped, u64>,
    /// The newest epoch of each producer that wrote to a key.
    epochs: HashMap<(u64, Key), u32>,
}

pub(super) fn crc_of(key: Key, value: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value.to_be_bytes()), &key.0.to_be_bytes())
}

impl Cluster {
    pub(super) fn new(keys: u32) -> Cluster {
        let keys = (0..keys).map(Key);
        Cluster {
            logs: keys.clone().map(|key| (key, Log::default())).collect(),
            group: Group::new(keys.collect()),
            exists: BTreeMap::new(),
            settings: BTreeMap::new(),
            local: BTreeMap::new(),
            taken: HashMap::new(),
            epochs: HashMap::new(),
        }
    }

    pub(super) fn log(&mut self, key: Key) -> &mut Log {
        self.logs.entry(key).or_default()
    }

    /// Appends records at consecutive offsets, perhaps after a gap; returns the first. What an idempotent
    /// producer sent before stays where it is; an epoch that has a newer one here is refused.
    pub(super) fn append(
        &mut self,
        key: Key,
        values: &[u64],
        stamp: Option<(u64, u32, u64)>,
        rng: &mut ChaCha8Rng,
    ) -> Option<u64> {
        if let Some((id, epoch, _)) = stamp {
            let newest = self.epochs.entry((id, key)).or_default();
            if epoch < *newest {
                return None;
            }
            *newest = epoch;
        }
        let stamp = stamp.map(|(id, epoch, seq)| (id, epoch, key, seq));
        if let Some(base) = stamp.and_then(|stamp| self.taken.get(&stamp)) {
            return Some(*base);
        }
        let log = self.log(key);
        log.next += u64::from(rng.random_bool(0.02));
        let base = log.next;
        for value in values {
            log.records.push(Seen {
                offset: log.next,
                value: *value,
                crc: Some(crc_of(key, *value)),
            });
            log.next += 1;
        }
        if let Some(stamp) = stamp {
            self.taken.insert(stamp, base);
        }
        Some(base)
    }

    /// Takes away what has a later record of its key, all of it below an offset.
    pub(super) fn compact(&mut self, key: Key, keys: u64, upto: u64) {
        let log = self.log(key);
        let below = log.records.iter().filter(|seen| seen.offset < upto);
        let latest: BTreeMap<u64, u64> =
            below.map(|seen| (seen.value % keys, seen.offset)).collect();
        let stays = |seen: &Seen| latest.get(&(seen.value % keys)) == Some(&seen.offset);
        log.records.retain(|seen| seen.offset >= upto || stays(seen));
    }

    /// Records from a position, below a high watermark.
    pub(super) fn read(&self, key: Key, from: u64, below: u64) -> Vec<Seen> {
        let Some(log) = self.logs.get(&key) else { return Vec::new() };
        let place = log.records.partition_point(|seen| seen.offset < from.max(log.start));
        let rest = log.records.get(place..).unwrap_or_default();
        rest.iter().take(POLL_RECORDS_MAX).take_while(|seen| seen.offset < below).copied().collect()
    }

    /// What a node knows of a high watermark, which it may learn late but never forgets.
    pub(super) fn local_high_watermark(
        &mut self,
        node: usize,
        key: Key,
        rng: &mut ChaCha8Rng,
    ) -> u64 {
        let next = self.log(key).next;
        let known = self.local.entry((node, key)).or_default();
        if rng.random_bool(0.5) {
            *known = next;
        }
        *known
    }
}
