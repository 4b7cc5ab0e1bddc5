//! The small durable state of a node, in sled.
//!
//! One tree per [`Table`]. Rows are small ([`State::ROW_BYTES_MAX`]); who has more to say cuts it into
//! rows. A write is visible at once and durable after the next [`State::durable_flush`]; sled keeps
//! the order of writes, so what survives a power cut is always a prefix of them.

use crate::database::{Database, ROW_BYTES_MAX, from_sled};
use std::io;
use std::path::Path;
use std::sync::Arc;

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
    /// Group, first index → a segment's summary.
    Catalogue,
    /// The node's own rows: identity, cluster id, durable marks, configuration.
    Node,
}

/// A row, or a removed one.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The state store; clones are the same store.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    votes: sled::Tree,
    committed: sled::Tree,
    purged: sled::Tree,
    checkpoints: sled::Tree,
    catalogue: sled::Tree,
    node: sled::Tree,
    database: Database,
}

impl State {
    /// The largest value of a row.
    pub const ROW_BYTES_MAX: usize = ROW_BYTES_MAX;

    /// Opens or creates the state under `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let database = Database::open(dir)?;
        let inner = Inner {
            votes: database.tree("votes")?,
            committed: database.tree("committed")?,
            purged: database.tree("purged")?,
            checkpoints: database.tree("checkpoints")?,
            catalogue: database.tree("catalogue")?,
            node: database.tree("node")?,
            database,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A row.
    pub fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let row = self.tree(table).get(key).map_err(|error| self.named(error))?;
        Ok(row.map(|value| value.to_vec()))
    }

    /// Writes a row (visible at once, durable after the next flush).
    ///
    /// # Panics
    /// If the value is larger than [`State::ROW_BYTES_MAX`].
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert_row(key, value);
        self.tree(table).insert(key, value).map_err(|error| self.named(error))?;
        Ok(())
    }

    /// Removes a row.
    pub fn delete(&self, table: Table, key: &[u8]) -> io::Result<()> {
        self.tree(table).remove(key).map_err(|error| self.named(error))?;
        Ok(())
    }

    /// Writes and removes rows of one table, all or none of them.
    ///
    /// # Panics
    /// If a value is larger than [`State::ROW_BYTES_MAX`].
    pub fn change(&self, table: Table, changes: Vec<Change>) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    assert_row(&key, &value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        self.tree(table).apply_batch(batch).map_err(|error| self.named(error))
    }

    /// All rows whose key begins with `prefix`, ascending.
    pub fn scan(&self, table: Table, prefix: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.tree(table)
            .scan_prefix(prefix)
            .map(|row| match row {
                Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
                Err(error) => Err(self.named(error)),
            })
            .collect()
    }

    /// Makes every earlier write durable: sled's flush, then `fdatasync` of its file. Concurrent
    /// callers share it. After an error every later call fails too.
    pub fn durable_flush(&self) -> io::Result<()> {
        self.inner.database.durable_flush()
    }

    /// How many durable flushes were made.
    pub fn flushes(&self) -> u64 {
        self.inner.database.device_flushes()
    }

    /// Runs `hook` after every durable flush, before it is reported: a test's place to take the
    /// picture of the directory that a power cut would leave.
    #[doc(hidden)]
    pub fn after_flush(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.inner.database.after_flush(Box::new(hook));
    }

    fn tree(&self, table: Table) -> &sled::Tree {
        match table {
            Table::Votes => &self.inner.votes,
            Table::Committed => &self.inner.committed,
            Table::Purged => &self.inner.purged,
            Table::Checkpoints => &self.inner.checkpoints,
            Table::Catalogue => &self.inner.catalogue,
            Table::Node => &self.inner.node,
        }
    }

    fn named(&self, error: sled::Error) -> io::Error {
        self.inner.database.named(&from_sled(error))
    }
}

fn assert_row(key: &[u8], value: &[u8]) {
    assert!(
        key.len() + value.len() <= ROW_BYTES_MAX,
        "a row of {} bytes; at most {ROW_BYTES_MAX} are kept durable",
        key.len() + value.len()
    );
}
