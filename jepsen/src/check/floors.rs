//! What everybody could know at a point in time: the greatest of the numbers that were told before it.

use std::collections::BTreeMap;

use crate::index::OpId;

/// A number that was told at an event.
type Told = (u32, u64, OpId);

/// Numbers told about several things, each with its own floor.
pub(super) struct Floors<K> {
    told: BTreeMap<K, Vec<Told>>,
}

impl<K: Ord> Floors<K> {
    pub(super) fn new() -> Floors<K> {
        Floors { told: BTreeMap::new() }
    }

    /// Somebody was told `number` about `what` at an event.
    pub(super) fn tell(&mut self, what: K, event: u32, number: u64, by: OpId) {
        self.told.entry(what).or_default().push((event, number, by));
    }

    /// Puts them in order of events and keeps only those that raise the floor.
    pub(super) fn settle(mut self) -> Floors<K> {
        for told in self.told.values_mut() {
            told.sort_unstable();
            let mut floor = None;
            told.retain(|(_, number, _)| {
                let raises = Some(*number) > floor;
                floor = floor.max(Some(*number));
                raises
            });
        }
        self
    }

    /// The greatest number told before an event, and who was told.
    pub(super) fn before(&self, what: &K, event: u32) -> Option<(u64, OpId)> {
        let told = self.told.get(what)?;
        let after = told.partition_point(|(at, _, _)| *at < event);
        told.get(after.checked_sub(1)?).map(|(_, number, by)| (*number, *by))
    }
}
