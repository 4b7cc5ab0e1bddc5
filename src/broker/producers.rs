//! Ids for idempotent producers: unique in the cluster, from blocks that each broker reserves for itself.
//!
//! A block is numbered by the revision of the metadata that its reservation made, which no other command
//! ever makes. What a broker had left of its block when it stopped is never given to anyone.

use super::Inner;
use super::wire::Change;
use crate::error::{Error, ErrorKind};
use crate::producers::ProducerId;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};
use tokio::time::Instant;

/// Ids in a block: a broker asks the metadata once in so many.
const BLOCK_IDS: i64 = 1000;

impl Inner {
    /// An id that no one had before.
    pub(super) async fn new_producer(&self, deadline: Instant) -> Result<ProducerId, Error> {
        let left = self.producer_ids().next();
        let id = if left.is_some() {
            left
        } else {
            let changed = self.change(Change::ReserveProducerIds, deadline).await?;
            let mut block = block(changed.revision)?;
            let first = block.next();
            // Who asked at the same time has a block too: the rest of one of them is lost.
            *self.producer_ids() = block;
            first
        };
        id.and_then(ProducerId::new).ok_or_else(exhausted)
    }

    fn producer_ids(&self) -> MutexGuard<'_, Range<i64>> {
        self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The block of a revision.
fn block(revision: u64) -> Result<Range<i64>, Error> {
    let first = i64::try_from(revision).ok().and_then(|revision| revision.checked_mul(BLOCK_IDS));
    let block = first.and_then(|first| Some(first..first.checked_add(BLOCK_IDS)?));
    let is_allocated =
        |block: &Range<i64>| ProducerId::new(block.end).is_some_and(ProducerId::is_allocated);
    block.filter(is_allocated).ok_or_else(exhausted)
}

fn exhausted() -> Error {
    Error::new(ErrorKind::Internal, "there are no more ids for producers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_two_revisions_share_no_id() {
        assert_eq!(block(7).unwrap(), 7000..8000);
        assert_eq!(block(8).unwrap().start, block(7).unwrap().end);
        assert!(block(1 << 52).is_ok());
        assert!(block(1 << 53).is_err() && block(u64::MAX).is_err());
    }
}
