//! What becomes of a record after it was handed over.

use crate::client::Error;
use crate::error::WriteOutcome;
use crate::topic::PartitionId;
use futures::FutureExt as _;
use futures::future::Shared;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset there.
    pub offset: u64,
}

/// A record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// What became of it, over all attempts: certainly not in the log, or unknown.
    pub outcome: WriteOutcome,
    /// Why the last attempt failed.
    pub error: Error,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.outcome {
            WriteOutcome::NotAppended => "not appended",
            WriteOutcome::Unknown => "may be appended or not",
        };
        write!(f, "{what}: {}", self.error)
    }
}

impl std::error::Error for SendError {}

/// An error of the first and only attempt.
impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self { outcome: error.outcome(), error }
    }
}

/// The base offset of a batch, once it is known.
pub(super) type Outcome = Result<u64, SendError>;
/// The future of a batch, shared by its records.
pub(super) type Fate = Shared<oneshot::Receiver<Outcome>>;

/// A batch's fate, and the way to seal it.
pub(super) fn fate() -> (oneshot::Sender<Outcome>, Fate) {
    let (tell, told) = oneshot::channel();
    (tell, told.shared())
}

/// The future of a record that a producer took: where it is, or why it is not. Dropping it changes
/// nothing for the record.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) fate: Fate,
    pub(super) partition: PartitionId,
    /// Its place in its batch.
    pub(super) place: u32,
}

impl Delivery {
    /// The partition it goes to.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }
}

impl Future for Delivery {
    type Output = Result<Sent, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let base_offset = match ready!(self.fate.poll_unpin(context)) {
            Ok(outcome) => outcome?,
            // The producer was dropped, perhaps while the batch was under way.
            Err(_dropped) => {
                let (outcome, error) = (WriteOutcome::Unknown, Error::Closed);
                return Poll::Ready(Err(SendError { outcome, error }));
            }
        };
        let offset = base_offset + u64::from(self.place);
        Poll::Ready(Ok(Sent { partition: self.partition, offset }))
    }
}
