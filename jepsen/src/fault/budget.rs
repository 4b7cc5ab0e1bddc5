//! Who is faulty now: never more than a minority at a time, unless a strike is meant for more and then is
//! alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

#[derive(Debug, Default)]
struct Faulty {
    nodes: BTreeSet<u8>,
    /// Somebody waits to be alone: nobody else begins.
    alone: bool,
}

/// The nodes that may be faulty.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    faulty: Mutex<Faulty>,
    freed: Notify,
}

/// Nodes that are faulty as long as this lives.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<Budget>,
    nodes: BTreeSet<u8>,
}

impl Budget {
    /// At most so many at a time.
    pub fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { most, faulty: Mutex::default(), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Faulty> {
        self.faulty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nodes that nobody has claimed.
    pub fn is_free(&self, node: u8) -> bool {
        !self.lock().nodes.contains(&node)
    }

    /// Claims these nodes, if they are free and not too many; `alone`: if nobody else has any.
    pub fn try_claim(self: &Arc<Self>, nodes: &[u8], alone: bool) -> Option<Claim> {
        let nodes: BTreeSet<u8> = nodes.iter().copied().collect();
        let mut faulty = self.lock();
        let fits = if alone {
            faulty.nodes.is_empty()
        } else {
            !faulty.alone
                && faulty.nodes.is_disjoint(&nodes)
                && faulty.nodes.len() + nodes.len() <= self.most
        };
        if !fits {
            faulty.alone |= alone;
            return None;
        }
        faulty.alone = alone;
        faulty.nodes.extend(&nodes);
        drop(faulty);
        Some(Claim { budget: Arc::clone(self), nodes })
    }

    /// Claims them as soon as it is possible, within `patience`.
    pub async fn claim(
        self: &Arc<Self>,
        nodes: &[u8],
        alone: bool,
        patience: Duration,
    ) -> Option<Claim> {
        let waiting = async {
            loop {
                let freed = self.freed.notified();
                if let Some(claim) = self.try_claim(nodes, alone) {
                    return claim;
                }
                freed.await;
            }
        };
        let claimed = timeout(patience, waiting).await.ok();
        if claimed.is_none() && alone {
            self.lock().alone = false;
            self.freed.notify_waiters();
        }
        claimed
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut faulty = self.budget.lock();
        for node in &self.nodes {
            faulty.nodes.remove(node);
        }
        if faulty.nodes.is_empty() {
            faulty.alone = false;
        }
        drop(faulty);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn never_more_than_a_minority_is_faulty_unless_a_strike_is_alone() {
        let budget = Budget::of(1);
        let one = budget.try_claim(&[1], false).unwrap();
        assert!(budget.try_claim(&[1], false).is_none() && budget.try_claim(&[2], false).is_none());
        assert!(budget.claim(&[1, 2, 3], true, SHORT).await.is_none());
        drop(one);
        let all = budget.claim(&[1, 2, 3], true, SHORT).await.unwrap();
        assert!(budget.try_claim(&[2], false).is_none());
        drop(all);
        assert!(budget.try_claim(&[2], false).is_some());
    }

    #[tokio::test]
    async fn who_waits_to_be_alone_is_not_starved() {
        let budget = Budget::of(2);
        let one = budget.try_claim(&[1], false).unwrap();
        assert!(budget.try_claim(&[1, 2, 3], true).is_none());
        assert!(budget.try_claim(&[2], false).is_none());
        drop(one);
        assert!(budget.try_claim(&[1, 2, 3], true).is_some());
    }
}
