//! The machine the faulty disk is in: its names, its files, its power and the faults to come.

use super::chance::Chance;
use super::file_state::FileState;
use super::names::{NameChange, Node};
use super::{SyncCounts, length, missing, position};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

pub(super) type FileId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Power {
    #[default]
    On,
    Off,
}

#[derive(Default)]
pub(super) struct Machine {
    pub(super) seed: u64,
    pub(super) power: Power,
    pub(super) mount: bool,
    pub(super) names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pub(super) pending: Vec<NameChange>,
    pub(super) files: HashMap<FileId, FileState>,
    pub(super) next_id: FileId,
    pub(super) failing_syncs: u32,
    pub(super) space: Option<u64>,
    pub(super) short_write: Option<usize>,
    pub(super) counts: SyncCounts,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        match self.power {
            Power::On => Ok(()),
            Power::Off => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the power was cut")),
        }
    }

    /// The root always is a directory.
    pub(super) fn check_dir(&self, dir: &Path) -> io::Result<()> {
        match self.names.get(dir) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(missing(io::ErrorKind::NotADirectory, dir)),
            None if dir.parent().is_none() => Ok(()),
            None => Err(missing(io::ErrorKind::NotFound, dir)),
        }
    }

    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.check_dir(parent))
    }

    pub(super) fn file_at(&self, path: &Path) -> io::Result<FileId> {
        match self.names.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Dir) => Err(missing(io::ErrorKind::IsADirectory, path)),
            None => Err(missing(io::ErrorKind::NotFound, path)),
        }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    pub(super) fn keep_names(&mut self, count: usize) {
        for change in self.pending.drain(..count) {
            change.apply(&mut self.durable_names);
        }
    }

    pub(super) fn fail_this_sync(&mut self) -> io::Result<()> {
        match self.failing_syncs.checked_sub(1) {
            None => Ok(()),
            Some(left) => {
                self.failing_syncs = left;
                Err(Errno::IO.into())
            }
        }
    }

    /// How many of a write's bytes go through, and what the writer is told.
    pub(super) fn admit(&mut self, len: usize) -> (usize, io::Result<()>) {
        if let Some(short) = self.short_write.take() {
            return (short.min(len), Err(Errno::IO.into()));
        }
        let Some(space) = self.space else { return (len, Ok(())) };
        let wanted = length(len);
        self.space = Some(space.saturating_sub(wanted));
        if wanted <= space { (len, Ok(())) } else { (position(space), Err(Errno::NOSPC.into())) }
    }

    /// The choices for one file depend on the seed and its name alone, not on what other files do.
    pub(super) fn after_power_cut(&self) -> Self {
        let mut names = self.durable_names.clone();
        let mut chance = Chance::new(self.seed, &"names");
        let kept = chance.below(self.pending.len() + 1);
        for change in self.pending.iter().take(kept) {
            change.apply(&mut names);
        }
        let mut files = HashMap::new();
        for (path, node) in &names {
            if let Node::File(id) = node {
                let file = self.files.get(id).expect("a name leads to its file");
                let image = file.after_power_cut(&mut Chance::new(self.seed, path));
                files.insert(*id, FileState::durable(image));
            }
        }
        Self {
            seed: chance.next(),
            mount: self.mount,
            durable_names: names.clone(),
            names,
            files,
            next_id: self.next_id,
            ..Self::default()
        }
    }
}
