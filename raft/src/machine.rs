//! The state machine of a group, as the floor above sees it.

use storage::Position;

/// What a floor above does with committed commands. Deterministic: the same commands in the same order
/// give the same state on every replica. Data and trims never come here: they only move watermarks.
pub trait Machine: Send + 'static {
    /// Applies a committed command; the answer goes to its proposer.
    fn apply(&mut self, at: Position, command: &[u8]) -> Vec<u8>;
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
