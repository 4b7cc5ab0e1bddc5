//! What a broker works on at most: beyond it a caller is told to come again, before memory is taken.

use crate::error::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When one that was turned away may come again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The bounds.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    fetches: Bound,
    produce_bytes: Bound,
}

#[derive(Debug, Clone)]
struct Bound {
    free: Arc<Semaphore>,
    max: usize,
    what: &'static str,
}

impl Admission {
    pub(super) fn new(fetches_max: usize, produce_bytes_max: usize) -> Self {
        Self {
            fetches: Bound::new(fetches_max, "fetches"),
            produce_bytes: Bound::new(produce_bytes_max, "bytes of produce requests"),
        }
    }

    /// A place for one fetch, until the permit is dropped.
    pub(super) fn fetch(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.fetches.take(1)
    }

    /// A place for a batch. One that is larger than the whole bound takes all of it.
    pub(super) fn produce(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        self.produce_bytes.take(bytes)
    }
}

impl Bound {
    fn new(max: usize, what: &'static str) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max, what }
    }

    fn take(&self, count: usize) -> Result<OwnedSemaphorePermit, Error> {
        let count = u32::try_from(count.min(self.max)).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(count).map_err(|_full| {
            let Self { max, what, .. } = self;
            Error::new(ErrorKind::Busy, format!("this broker works on its most, {max} {what}"))
                .with_retry_after(RETRY_AFTER)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_a_caller_is_told_to_come_again() {
        let admission = Admission::new(1, 100);
        let first = admission.fetch().unwrap();
        let error = admission.fetch().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy);
        assert!(error.message.contains("1 fetches") && error.retry_after.is_some(), "{error:?}");
        drop(first);
        drop(admission.fetch().unwrap());
    }

    #[test]
    fn a_batch_larger_than_the_bound_passes_alone() {
        let admission = Admission::new(1, 100);
        let all = admission.produce(1000).unwrap();
        assert!(admission.produce(1).is_err());
        drop(all);
        drop(admission.produce(1).unwrap());
    }
}
