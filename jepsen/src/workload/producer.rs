//! Which producer an idempotent client is, and which epoch of it went before.
//!
//! Who comes after a client that threw itself away is another producer, or the same one in its next epoch. The
//! epoch before is not dead then: now and then it wakes and writes on, where it must have been fenced.

use std::collections::BTreeMap;

use crate::history::{Key, ProducerStamp};

/// The next sequence number of each partition that something was acknowledged in.
type Sequences = BTreeMap<Key, u64>;

/// A producer in one of its epochs.
#[derive(Debug)]
pub(super) struct Producer {
    id: u64,
    epoch: u32,
    sequences: Sequences,
    /// The epoch before, and where it was.
    outlived: Option<(u32, Sequences)>,
}

impl Producer {
    /// One that never wrote.
    pub(super) fn new(id: u64) -> Self {
        Self { id, epoch: 0, sequences: Sequences::new(), outlived: None }
    }

    /// The same in its next epoch.
    pub(super) fn succeeded(self) -> Self {
        let Self { id, epoch, sequences, .. } = self;
        let outlived = Some((epoch, sequences));
        Self { id, epoch: epoch + 1, sequences: Sequences::new(), outlived }
    }

    /// What its next batch says.
    pub(super) fn stamp(&self, key: Key) -> ProducerStamp {
        ProducerStamp { id: self.id, epoch: self.epoch, seq: due(&self.sequences, key) }
    }

    /// What the next batch of the epoch before says, if this one was acknowledged in the partition: nobody
    /// may take it any more.
    pub(super) fn zombie(&self, key: Key) -> Option<ProducerStamp> {
        let (epoch, sequences) = self.outlived.as_ref()?;
        let fenced = self.sequences.contains_key(&key);
        fenced.then(|| ProducerStamp { id: self.id, epoch: *epoch, seq: due(sequences, key) })
    }

    /// So many records of this epoch were acknowledged.
    pub(super) fn wrote(&mut self, key: Key, records: u32) {
        *self.sequences.entry(key).or_default() += u64::from(records);
    }
}

fn due(sequences: &Sequences, key: Key) -> u64 {
    sequences.get(&key).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tale::{X, Y};

    #[test]
    fn an_epoch_begins_at_0_and_the_one_before_is_fenced_where_it_has_written() {
        let mut first = Producer::new(7);
        first.wrote(X, 3);
        assert_eq!(first.stamp(X), ProducerStamp { id: 7, epoch: 0, seq: 3 });
        assert_eq!(first.zombie(X), None);
        let mut second = first.succeeded();
        assert_eq!(second.stamp(X), ProducerStamp { id: 7, epoch: 1, seq: 0 });
        assert_eq!(second.zombie(X), None, "nothing is fenced yet");
        second.wrote(X, 2);
        assert_eq!(second.stamp(X), ProducerStamp { id: 7, epoch: 1, seq: 2 });
        assert_eq!(second.zombie(X), Some(ProducerStamp { id: 7, epoch: 0, seq: 3 }));
        assert_eq!(second.zombie(Y), None);
    }
}
