//! What a member of a group is told when partitions come and go.

use super::commits::Commits;
use crate::coordinator::TopicPartition;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use std::sync::Arc;

/// Partitions come or go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// They are read from now on.
    Assigned(Vec<Arc<TopicPartition>>),
    /// They go to other members once this was heard. What was given out of them can still be
    /// committed; with automatic commits it is, right after.
    Revoked(Vec<Arc<TopicPartition>>),
    /// They have gone to other members: this one was silent too long. Nothing can be committed.
    Lost(Vec<Arc<TopicPartition>>),
}

/// Hears of partitions that come and go, inside of a call of [`poll`](super::Consumer::poll) or
/// [`next`](super::Consumer::next). A closure of the event is one.
pub trait OnRebalance: Send {
    /// Something changes; it waits for the end of this, so within the rebalance timeout.
    fn rebalance<'a>(&'a mut self, event: &'a Rebalance, commits: &'a Commits)
    -> BoxFuture<'a, ()>;
}

impl<F: FnMut(&Rebalance) + Send> OnRebalance for F {
    fn rebalance<'a>(&'a mut self, event: &'a Rebalance, _: &'a Commits) -> BoxFuture<'a, ()> {
        self(event);
        ready(()).boxed()
    }
}
