//! All logs of a node, and the thread that commits them.

use crate::disk::Disk;
use crate::{GroupId, Log, State};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Which engine keeps the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// Per-partition segment files.
    #[default]
    Segment,
    /// Entries in sled.
    Sled,
}

/// How a store is opened.
#[derive(Clone)]
pub struct StoreOptions {
    /// The data directory.
    pub dir: PathBuf,
    /// Which engine keeps the frames.
    pub engine: EngineKind,
    /// The file system, real or faulty.
    pub disk: Arc<dyn Disk>,
    /// A segment is sealed when the next entry would take it beyond this.
    pub segment_bytes: u64,
    /// Recent entries kept in memory over all logs.
    pub tail_cache_bytes: usize,
}

/// The store; clones are the same store.
#[derive(Clone)]
pub struct Store {}

#[allow(unused_variables, clippy::todo, reason = "skeleton")]
impl Store {
    /// Opens the store and starts its commit thread. The directory is locked: one process at a time.
    pub fn open(options: StoreOptions) -> io::Result<Self> {
        todo!()
    }
    /// Opens (recovering) or creates a group's log. A corrupt log refuses with `InvalidData`.
    pub fn log(&self, group: GroupId) -> io::Result<Log> {
        todo!()
    }
    /// Groups that have a log here.
    pub fn groups(&self) -> io::Result<Vec<GroupId>> {
        todo!()
    }
    /// Removes a group's log with all its rows; its disk space returns.
    pub fn remove(&self, group: GroupId) -> io::Result<()> {
        todo!()
    }
    /// The small state, for rows of the layers above (table [`crate::Table::Node`]).
    pub fn state(&self) -> &State {
        todo!()
    }
    /// The error that stopped the commit thread, if one did: the disk is gone.
    pub fn failure(&self) -> Option<String> {
        todo!()
    }
    /// Flushes everything, marks a clean shutdown, ends the commit thread.
    pub fn close(&self) -> io::Result<()> {
        todo!()
    }
}
