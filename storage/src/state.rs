//! The small durable state of a node, in sled.

use std::io;
use std::path::Path;

/// The tables of a node's state; one sled tree each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Group → the encoded vote.
    Votes,
    /// Group → how far it had committed.
    Committed,
    /// Group → the purge marker.
    Purged,
    /// Group, index, chunk → a piece of a checkpoint.
    Checkpoints,
    /// Group, first index → a sealed segment's summary.
    Catalogue,
    /// The node's own rows: identity, cluster id, clean-shutdown marks, configuration.
    Node,
}

/// The state store. Rows are at most 4 KiB; a write is durable only after [`State::durable_flush`].
#[derive(Clone)]
pub struct State {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl State {
    /// Opens or creates the state under `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        todo!()
    }
    /// A row.
    pub fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        todo!()
    }
    /// Writes a row (visible at once, durable after the next flush).
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> io::Result<()> {
        todo!()
    }
    /// Removes a row.
    pub fn delete(&self, table: Table, key: &[u8]) -> io::Result<()> {
        todo!()
    }
    /// All rows whose key begins with `prefix`, ascending.
    pub fn scan(&self, table: Table, prefix: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        todo!()
    }
    /// Makes every earlier write durable: sled's flush, then `fdatasync` of its file.
    pub fn durable_flush(&self) -> io::Result<()> {
        todo!()
    }
}
