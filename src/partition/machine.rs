//! The state machine of a partition: what its replicas agree on beside the records themselves.

use crate::producers::{Ledger, Stored, Table};
use raft::{Machine, Offset, Position};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use storage::batch::Sequenced;

/// What a replica's machine keeps, for those who append to it; clones are the same.
#[derive(Clone, Default)]
pub struct Replicated {
    /// Its idempotent producers.
    pub producers: Arc<Ledger>,
}

/// The machine.
pub struct PartitionMachine {
    kept: Replicated,
}

/// Its state. Fields are added at the end.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    producers: Stored,
}

impl PartitionMachine {
    /// A machine that keeps its state there; there is nothing in it yet.
    pub fn new(kept: Replicated) -> Self {
        Self { kept }
    }
}

impl Machine for PartitionMachine {
    /// There is no command yet: one of a later version changes nothing, on any replica.
    fn apply(&mut self, _at: Position, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn data(&mut self, at: Position, base_offset: Offset, batch_header: &[u8]) {
        if let Some(batch) = Sequenced::of(batch_header) {
            self.kept.producers.applied(at, &batch, base_offset);
        }
    }

    fn checkpoint(&self) -> Vec<u8> {
        storage::codec::encode(&Checkpoint { producers: self.kept.producers.stored() })
    }

    fn restore(&mut self, state: &[u8]) -> io::Result<()> {
        let table = if state.is_empty() {
            // Taken before partitions had a state.
            Table::default()
        } else {
            let Checkpoint { producers } = storage::codec::decode(state)?;
            Table::restored(producers)?
        };
        self.kept.producers.restore(table);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_checkpoint_from_before_partitions_had_a_state_is_an_empty_one() {
        let mut machine = PartitionMachine::new(Replicated::default());
        let empty = machine.checkpoint();
        heard(&mut machine, Some(7), 0);
        machine.restore(&[]).unwrap();
        assert_eq!(machine.checkpoint(), empty);
        assert!(machine.restore(b"\x01\xff").is_err());
    }
}
