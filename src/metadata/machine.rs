//! The image as the state machine of group 0, published to the rest of the process.

use super::command::{Answer, Command, Refusal};
use super::image::Image;
use crate::error::{Error, ErrorKind};
use raft::{Machine, Position};
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// Folds commands and publishes each image; readers hold an `Arc` and never wait for the fold.
#[derive(Debug)]
pub struct MetadataMachine {
    published: watch::Sender<Arc<Image>>,
}

impl MetadataMachine {
    /// A machine with nothing folded yet, and where its images appear.
    pub fn new() -> (Self, watch::Receiver<Arc<Image>>) {
        let (published, images) = watch::channel(Arc::new(Image::default()));
        (Self { published }, images)
    }

    fn fold(&self, command: &[u8]) -> Answer {
        let command: Command = storage::codec::decode(command).map_err(|error| {
            // A command of a later version. It is refused the same way on every replica of this
            // version; a rolling upgrade must not propose it before all understand it.
            let message = format!("a metadata command cannot be read: {error}");
            Refusal::Rejected(Error::new(ErrorKind::Internal, message))
        })?;
        let mut image = Image::clone(&self.published.borrow());
        let before = image.revision();
        let answer = image.apply(command);
        if image.revision() != before {
            self.published.send_replace(Arc::new(image));
        }
        answer
    }
}

impl Machine for MetadataMachine {
    fn apply(&mut self, _at: Position, command: &[u8]) -> Vec<u8> {
        storage::codec::encode(&self.fold(command))
    }

    fn checkpoint(&self) -> Vec<u8> {
        storage::codec::encode(&**self.published.borrow())
    }

    fn restore(&mut self, state: &[u8]) -> io::Result<()> {
        self.published.send_replace(Arc::new(Image::decode(state)?));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Index, Term};
    use uuid::Uuid;

    const AT: Position = Position::new(Term::ZERO, Index::ZERO);

    fn found(cluster: u128) -> Vec<u8> {
        storage::codec::encode(&Command::Found { cluster: Uuid::from_u128(cluster) })
    }

    #[test]
    fn an_applied_command_is_published() {
        let (mut machine, images) = MetadataMachine::new();
        let answer: Answer = storage::codec::decode(&machine.apply(AT, &found(7))).unwrap();
        assert_eq!(answer, Ok(1));
        assert_eq!(images.borrow().cluster(), Uuid::from_u128(7));
    }

    #[test]
    fn a_command_without_effect_wakes_no_reader() {
        let (mut machine, mut images) = MetadataMachine::new();
        machine.apply(AT, &found(7));
        images.mark_unchanged();
        machine.apply(AT, &found(8));
        assert!(!images.has_changed().unwrap());
    }

    #[test]
    fn bytes_that_are_no_command_change_nothing() {
        let (mut machine, images) = MetadataMachine::new();
        let answer: Answer = storage::codec::decode(&machine.apply(AT, b"\x01\xff")).unwrap();
        assert!(
            matches!(answer, Err(Refusal::Rejected(error)) if error.kind == ErrorKind::Internal)
        );
        assert_eq!(images.borrow().revision(), 0);
    }

    #[test]
    fn a_restored_checkpoint_is_published() {
        let (mut machine, _) = MetadataMachine::new();
        machine.apply(AT, &found(7));
        let (mut other, images) = MetadataMachine::new();
        other.restore(&machine.checkpoint()).unwrap();
        assert_eq!(images.borrow().cluster(), Uuid::from_u128(7));
    }
}
