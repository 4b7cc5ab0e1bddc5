//! The state machine of a partition: what its replicas agree on beside the records themselves.

use crate::compaction::{Compact, Compactions};
use crate::producers::{Ledger, Stored, Table};
use raft::{Machine, Offset, Position};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::batch::Sequenced;

/// A command in a partition's log. New ones go to the end: logs hold them by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The log is to be compacted.
    Compact(Compact),
}

/// What a replica's machine keeps, for those who append to it; clones are the same.
#[derive(Clone, Default)]
pub struct Replicated {
    /// Its idempotent producers.
    pub producers: Arc<Ledger>,
    /// What was decided of its compaction.
    pub compactions: Decided,
}

/// What was decided of a partition's compaction, as of the last entry applied; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Decided(Arc<Mutex<Compactions>>);

impl Decided {
    /// As it is now.
    pub fn now(&self) -> Compactions {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Compactions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine.
pub struct PartitionMachine {
    kept: Replicated,
}

/// Its state. Fields are added at the end.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    producers: Stored,
    compactions: Compactions,
}

impl PartitionMachine {
    /// A machine that keeps its state there; there is nothing in it yet.
    pub fn new(kept: Replicated) -> Self {
        Self { kept }
    }
}

impl Machine for PartitionMachine {
    fn apply(&mut self, at: Position, command: &[u8]) -> Vec<u8> {
        match storage::codec::decode(command) {
            Ok(Command::Compact(compact)) => self.kept.compactions.lock().apply(compact),
            // One of a later version changes nothing, on any replica of this one.
            Err(error) => tracing::error!(%at, %error, "a command that is not known here"),
        }
        Vec::new()
    }

    fn data(&mut self, at: Position, base_offset: Offset, batch_header: &[u8]) {
        if let Some(batch) = Sequenced::of(batch_header) {
            self.kept.producers.applied(at, &batch, base_offset);
        }
    }

    fn checkpoint(&self) -> Vec<u8> {
        storage::codec::encode(&Checkpoint {
            producers: self.kept.producers.stored(),
            compactions: self.kept.compactions.now(),
        })
    }

    fn restore(&mut self, state: &[u8]) -> io::Result<()> {
        let (table, compactions) = if state.is_empty() {
            // Taken before partitions had a state.
            (Table::default(), Compactions::default())
        } else {
            let Checkpoint { producers, compactions } = storage::codec::decode(state)?;
            (Table::restored(producers)?, compactions)
        };
        self.kept.producers.restore(table);
        *self.kept.compactions.lock() = compactions;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::Goal;
    use storage::batch::{BatchBuilder, Compression, HEADER_BYTES};
    use storage::{Index, Term};

    fn heard(machine: &mut PartitionMachine, producer: Option<i64>, base: u64) {
        let mut builder = BatchBuilder::new();
        if let Some(id) = producer {
            builder = builder.producer(id, 0, 0);
        }
        builder.push(0, None, Some(b"x"), []);
        let bytes = builder.finish(Compression::None).into_bytes();
        let at = Position::new(Term::new(1), Index::new(base));
        machine.data(at, Offset::new(base), &bytes[..HEADER_BYTES]);
    }

    #[test]
    fn a_restored_machine_knows_the_producers_of_the_one_that_was_stored() {
        let mut machine = PartitionMachine::new(Replicated::default());
        heard(&mut machine, Some(7), 0);
        heard(&mut machine, None, 1);
        heard(&mut machine, Some(8), 2);
        let mut other = PartitionMachine::new(Replicated::default());
        other.restore(&machine.checkpoint()).unwrap();
        assert_eq!(other.checkpoint(), machine.checkpoint());
        assert_ne!(other.checkpoint(), PartitionMachine::new(Replicated::default()).checkpoint());
    }

    #[test]
    fn a_restored_machine_knows_what_was_decided_of_its_compaction() {
        let kept = Replicated::default();
        let mut machine = PartitionMachine::new(kept.clone());
        let goal = Goal { upto: Offset::new(9), tombstones_below: Offset::new(4) };
        let command = storage::codec::encode(&Command::Compact(Compact { goal, at_ms: 5 }));
        let at = Position::new(Term::new(1), Index::new(1));
        machine.apply(at, &command);
        machine.apply(at, b"of a later version");
        assert_eq!(kept.compactions.now().goal(), goal);
        let other = Replicated::default();
        let mut restored = PartitionMachine::new(other.clone());
        restored.restore(&machine.checkpoint()).unwrap();
        assert_eq!(other.compactions.now(), kept.compactions.now());
        restored.restore(&[]).unwrap();
        assert_eq!(other.compactions.now(), Compactions::default());
    }

    #[test]
    fn a_checkpoint_from_before_partitions_had_a_state_is_an_empty_one() {
        let mut machine = PartitionMachine::new(Replicated::default());
        let empty = machine.checkpoint();
        heard(&mut machine, Some(7), 0);
        machine.restore(&[]).unwrap();
        assert_eq!(machine.checkpoint(), empty);
        assert!(machine.restore(b"\x01\xff").is_err());
    }
}
