//! The state machine of a group, as the floor above sees it.

use storage::{Offset, Position};

/// What a floor above does with committed commands. Deterministic: the same commands and batches in the
/// same order give the same state on every replica. Trims never come here: they only move watermarks.
pub trait Machine: Send + 'static {
    /// Applies a committed command; the answer goes to its proposer.
    fn apply(&mut self, at: Position, command: &[u8]) -> Vec<u8>;
    /// Hears of a committed record batch: its header, as it was proposed (what the log stamps, base
    /// offset and leader epoch, may or may not be in it). On the way of every batch: be brief.
    fn data(&mut self, _at: Position, _base_offset: Offset, _batch_header: &[u8]) {}
    /// The whole state, to be restored elsewhere.
    fn checkpoint(&self) -> Vec<u8>;
    /// Replaces the state. An error is corruption: the group stops.
    fn restore(&mut self, state: &[u8]) -> std::io::Result<()>;
}

/// A machine without commands: a plain partition.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommands;

impl Machine for NoCommands {
    fn apply(&mut self, _at: Position, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn checkpoint(&self) -> Vec<u8> {
        Vec::new()
    }
    fn restore(&mut self, _state: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}
