//! All logs of a node, and the thread that commits them.

use crate::backing::Backing;
use crate::commit::{CommitThread, Work};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::segment::SegmentEngine;
use crate::engine::sled::SledEngine;
use crate::log::{Core, half_removed, remove_group};
use crate::{GroupId, Log, State, Table};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The row of table [`Table::Node`] that names the engine.
const ENGINE_KEY: &[u8] = b"engine";

/// Which engine keeps the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// Per-partition segment files.
    #[default]
    Segment,
    /// Entries in sled.
    Sled,
}

impl EngineKind {
    /// Its name, as on the command line and on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Sled => "sled",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

/// The store; clones are the same store. When the last one goes, what is queued is worked off and the
/// commit thread ends; only [`Store::close`] marks a clean shutdown.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backing: Arc<Backing>,
    thread: CommitThread,
    logs: Mutex<HashMap<GroupId, Arc<Slot>>>,
}

/// A log that is open, or that somebody opens: logs open side by side, each once.
#[derive(Default)]
struct Slot(Mutex<Option<Arc<Core>>>);

impl Store {
    /// Opens the store and starts its commit thread. The directory is locked: one process at a time.
    pub fn open(options: StoreOptions) -> io::Result<Self> {
        let directory = Directory::lock(&options.dir)?;
        let state = State::open(&directory.state())?;
        settle_engine(&state, &options)?;
        let engine: Arc<dyn Engine> = match options.engine {
            EngineKind::Segment => {
                let segment_bytes = options.segment_bytes;
                Arc::new(SegmentEngine::open(options.disk, &options.dir, segment_bytes)?)
            }
            EngineKind::Sled => Arc::new(SledEngine::open(&directory.entries())?),
        };
        Self::with_engine(
            engine,
            state,
            directory,
            (options.segment_bytes, options.tail_cache_bytes),
        )
    }

    fn with_engine(
        engine: Arc<dyn Engine>,
        state: State,
        directory: Directory,
        (segment_bytes, tail_cache_bytes): (u64, usize),
    ) -> io::Result<Self> {
        for group in half_removed(&state)? {
            remove_group(engine.as_ref(), &state, group)?;
        }
        let backing = Backing::new((engine, state), directory, segment_bytes, tail_cache_bytes);
        let backing = Arc::new(backing);
        let thread = CommitThread::start(Arc::clone(&backing))?;
        Ok(Self { inner: Arc::new(Inner { backing, thread, logs: Mutex::default() }) })
    }

    /// Opens (recovering) or creates a group's log. A corrupt log refuses with `InvalidData`.
    pub fn log(&self, group: GroupId) -> io::Result<Log> {
        let slot = Arc::clone(self.inner.lock().entry(group).or_default());
        let mut open = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        let core = match &*open {
            Some(core) => Arc::clone(core),
            None => Arc::clone(open.insert(Core::open(&self.inner.backing, group)?)),
        };
        if let Some(why) = core.failure() {
            return Err(io::Error::other(why));
        }
        Ok(Log { core })
    }

    /// Groups that have a log here.
    pub fn groups(&self) -> io::Result<Vec<GroupId>> {
        let mut groups: BTreeSet<GroupId> =
            self.inner.backing.engine.groups()?.into_iter().collect();
        for table in [Table::Votes, Table::Purged] {
            for (key, _) in self.state().scan(table, &[])? {
                let group = key.as_slice().try_into().map(u64::from_be_bytes);
                groups.extend(group.ok().map(GroupId::new));
            }
        }
        Ok(groups.into_iter().collect())
    }

    /// Removes a group's log with all its rows; its disk space returns. Handles that are left answer
    /// every call with an error.
    pub fn remove(&self, group: GroupId) -> io::Result<()> {
        let slot = self.inner.lock().get(&group).cloned();
        let backing = &self.inner.backing;
        let open = slot.map(|slot| slot.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
        match open.flatten() {
            Some(core) => core.push_and_wait(Work::Remove)()?,
            None => remove_group(backing.engine.as_ref(), &backing.state, group)?,
        }
        self.inner.lock().remove(&group);
        Ok(())
    }

    /// The small state, for rows of the layers above (table [`crate::Table::Node`]).
    pub fn state(&self) -> &State {
        &self.inner.backing.state
    }

    /// Beyond how many bytes a segment is sealed, unless its log says otherwise.
    pub fn segment_bytes(&self) -> u64 {
        self.inner.backing.segment_bytes
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.inner.backing.counters()
    }

    /// The error that stopped the commit thread, if one did: the disk is gone.
    pub fn failure(&self) -> Option<String> {
        self.inner.backing.failure().map(str::to_owned)
    }

    /// Flushes everything, marks a clean shutdown, ends the commit thread. Later calls on its logs
    /// that write fail. The directory is free again when all handles are gone.
    pub fn close(&self) -> io::Result<()> {
        let slots: Vec<Arc<Slot>> = self.inner.lock().values().cloned().collect();
        let open = |slot: &Arc<Slot>| slot.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cores: Vec<Arc<Core>> = slots.iter().filter_map(open).collect();
        let synced: Vec<_> = cores.iter().map(|core| core.push_and_wait(Work::Sync)).collect();
        let mut outcome = Ok(());
        for (core, synced) in cores.iter().zip(synced) {
            let noted = synced().and_then(|()| core.note_durable());
            outcome = outcome.and(noted);
        }
        self.inner.end();
        outcome.and(self.inner.backing.state.durable_flush())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, Arc<Slot>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.backing.queue.close();
        self.thread.join();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// The engine is chosen once: the other one would not find the logs.
fn settle_engine(state: &State, options: &StoreOptions) -> io::Result<()> {
    let wanted = options.engine.name();
    match state.get(Table::Node, ENGINE_KEY)? {
        None => {
            state.put(Table::Node, ENGINE_KEY, wanted.as_bytes())?;
            state.durable_flush()
        }
        Some(found) if found == wanted.as_bytes() => Ok(()),
        Some(found) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "data directory {} was made with engine {}, not {wanted}",
                options.dir.display(),
                String::from_utf8_lossy(&found)
            ),
        )),
    }
}
