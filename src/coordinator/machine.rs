//! The groups as the state machine of a coordinator's Raft group, and how the rest of the process reads
//! them.
//!
//! Commits come by the thousand and touch one row each, so the state is not published as a copy: readers
//! look at it under a lock, for as long as they copy out what they need. The number of changes of
//! membership is published; commits do not move it.

use super::command::{Answer, Applied, Command};
use super::group::Group;
use super::groups::Groups;
use super::name::GroupName;
use crate::error::{Error, ErrorKind};
use raft::{Machine, Position};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// Folds commands in; the only writer.
#[derive(Debug)]
pub struct CoordinatorMachine {
    groups: Arc<RwLock<Groups>>,
    changes: watch::Sender<u64>,
}

/// Reads what a [`CoordinatorMachine`] folded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GroupsReader {
    groups: Arc<RwLock<Groups>>,
    changes: watch::Receiver<u64>,
}

impl CoordinatorMachine {
    /// A machine with nothing folded yet, and its reader.
    pub fn new() -> (Self, GroupsReader) {
        let groups = Arc::new(RwLock::new(Groups::default()));
        let (sender, receiver) = watch::channel(0);
        let reader = GroupsReader { groups: Arc::clone(&groups), changes: receiver };
        (Self { groups, changes: sender }, reader)
    }

    fn fold(&self, command: &[u8]) -> Answer {
        let command: Command = storage::codec::decode(command).map_err(|error| {
            // A command of a later version. It is refused the same way on every replica of this
            // version; a rolling upgrade must not propose it before all understand it.
            let message = format!("a coordinator's command cannot be read: {error}");
            Error::new(ErrorKind::Internal, message)
        })?;
        let is_membership = command.is_membership();
        let answer = self.groups.write().unwrap_or_else(PoisonError::into_inner).apply(command);
        if is_membership && answer.as_ref().is_ok_and(|applied| *applied != Applied::Stale) {
            self.changes.send_modify(|changes| *changes += 1);
        }
        answer
    }
}

impl Machine for CoordinatorMachine {
    fn apply(&mut self, _at: Position, command: &[u8]) -> Vec<u8> {
        storage::codec::encode(&self.fold(command))
    }

    fn checkpoint(&self) -> Vec<u8> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        storage::codec::encode(&*groups)
    }

    fn restore(&mut self, state: &[u8]) -> io::Result<()> {
        let restored = Groups::decode(state)?;
        *self.groups.write().unwrap_or_else(PoisonError::into_inner) = restored;
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }
}

impl GroupsReader {
    /// Looks at the groups; the fold waits meanwhile, so copy out what is needed.
    pub fn look<T>(&self, look: impl FnOnce(&Groups) -> T) -> T {
        look(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A group's membership as it is now, or the error that says it is unknown.
    pub fn group(&self, name: &GroupName) -> Result<Arc<Group>, Error> {
        self.look(|groups| groups.group(name).map(Arc::clone))
    }

    /// Folds a command in that no other replica hears of: what
    /// [`CommitInMemory`](storage::sabotage::Bug::CommitInMemory) does.
    #[cfg(feature = "sabotage")]
    pub fn fold_alone(&self, command: Command) -> Answer {
        self.groups.write().unwrap_or_else(PoisonError::into_inner).apply(command)
    }

    /// Counts changes of membership, of any group.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::fixtures::{group, join, member, spec};
    use storage::{Index, Term};

    const AT: Position = Position::new(Term::ZERO, Index::ZERO);

    fn apply(machine: &mut CoordinatorMachine, command: &Command) -> Answer {
        let bytes = machine.apply(AT, &storage::codec::encode(command));
        storage::codec::decode(&bytes).unwrap()
    }

    #[test]
    fn a_change_of_membership_is_seen_and_wakes_readers() {
        let (mut machine, reader) = CoordinatorMachine::new();
        let mut changes = reader.changes();
        apply(&mut machine, &join("g", spec("m", &["t"]))).unwrap();
        assert!(changes.has_changed().unwrap());
        assert!(reader.group(&group("g")).unwrap().member(&member("m")).is_ok());
        changes.mark_unchanged();

        let stale = Command::Abandon { group: group("g"), idle_since_ms: 0 };
        assert_eq!(apply(&mut machine, &stale), Ok(Applied::Stale));
        assert!(!changes.has_changed().unwrap());
    }

    #[test]
    fn bytes_that_are_no_command_change_nothing() {
        let (mut machine, reader) = CoordinatorMachine::new();
        let answer: Answer = storage::codec::decode(&machine.apply(AT, b"\x01\xff")).unwrap();
        assert_eq!(answer.unwrap_err().kind, ErrorKind::Internal);
        assert_eq!(reader.look(|groups| groups.iter().len()), 0);
    }

    #[test]
    fn a_restored_checkpoint_is_seen() {
        let (mut machine, _) = CoordinatorMachine::new();
        apply(&mut machine, &join("g", spec("m", &["t"]))).unwrap();
        let (mut other, reader) = CoordinatorMachine::new();
        other.restore(&machine.checkpoint()).unwrap();
        assert!(reader.changes().has_changed().unwrap());
        assert!(reader.group(&group("g")).is_ok());
    }

    #[test]
    fn a_damaged_checkpoint_is_an_error() {
        let (machine, _) = CoordinatorMachine::new();
        let mut bytes = machine.checkpoint();
        bytes.push(0);
        let (mut other, _) = CoordinatorMachine::new();
        assert_eq!(other.restore(&bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
