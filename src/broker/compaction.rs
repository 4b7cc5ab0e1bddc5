//! Compacted topics: at intervals this node decides for the partitions it leads how far they are to be
//! compacted, and brings its own replicas, one at a time, to what was decided.
//!
//! What a replica has reached is not written down: after a start it goes over each compacted log once,
//! at the pace of any pass.

use super::Inner;
use crate::compaction::{Cleaning, Goal, Pass, Swept};
use crate::metadata::Image;
use crate::partition::{Command, Replicated};
use crate::retention::Extent;
use futures::future::join_all;
use jiff::Timestamp;
use raft::{Acks, EntryKind, Group, GroupId, Offset, Outcome, Proposal, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The longest time between two looks: they cost no disk.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(15);
/// Decisions that are proposed at once: each is an entry with its flush, beside those of producers.
const PROPOSALS_AT_ONCE: usize = 16;
/// How long a proposal may take; what was not decided is due again at the next look.
const PATIENCE: Duration = Duration::from_secs(10);
/// How fast a pass reads: producers and consumers have the rest of the disk.
const BYTES_PER_SECOND: u64 = 64 << 20;

/// What this node's replicas have reached since it was started.
type Reached = BTreeMap<GroupId, Goal>;

/// A replica of a compacted topic.
struct Compacted {
    group: Group,
    kept: Replicated,
    cleaning: Cleaning,
    /// Whether nothing but compaction removes its records.
    only: bool,
}

impl Inner {
    /// Runs for as long as the broker, and to the end of the step it is at.
    pub(super) async fn compact(self: Arc<Self>, every: Duration) {
        let stopping = self.tasks.stopping().clone();
        let mut looks = interval(every.min(LOOK_EVERY_MAX));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reached = Reached::new();
        loop {
            if stopping.run_until_cancelled(looks.tick()).await.is_none() {
                return;
            }
            let replicas = self.compacted(&self.image());
            let now_ms = Timestamp::now().as_millisecond();
            for some in replicas.chunks(PROPOSALS_AT_ONCE) {
                let decided =
                    join_all(some.iter().map(|replica| self.decide_compaction(replica, now_ms)));
                if stopping.run_until_cancelled(decided).await.is_none() {
                    return;
                }
            }
            reached.retain(|group, _| self.node.group(*group).is_some());
            for replica in &replicas {
                self.bring(replica, &mut reached).await;
            }
        }
    }

    fn compacted(&self, image: &Image) -> Vec<Compacted> {
        let groups = self.node.groups().into_iter();
        groups
            .filter_map(|group| {
                let (_, _, topic, _) = image.group(group.id())?;
                let cleaning = topic.settings.cleaning()?;
                let kept = self.replicated().get(&group.id())?.clone();
                Some(Compacted { group, kept, cleaning, only: topic.settings.is_compacted_only() })
            })
            .collect()
    }

    /// Decides for a partition, if this node leads it and something is due.
    async fn decide_compaction(&self, replica: &Compacted, now_ms: i64) {
        let Compacted { group, kept, cleaning, .. } = replica;
        if !matches!(group.role(), Role::Leading { .. }) {
            return;
        }
        let watermark = group.watermark();
        let (sealed, active) = group.log().segment_ends();
        let log = Extent {
            sealed: &sealed,
            active,
            log_start: watermark.log_start,
            high_watermark: watermark.high_watermark,
        };
        let Some(compact) = cleaning.due(log, &kept.compactions.now(), now_ms) else { return };
        let proposal = Proposal {
            kind: EntryKind::Command,
            payload: storage::codec::encode(&Command::Compact(compact)).into(),
            acks: Acks::Quorum,
            expected_end: None,
        };
        let outcome = group.propose(proposal, Instant::now() + PATIENCE).await;
        let (partition, goal) = (self.name_of(group.id()), compact.goal);
        match outcome {
            Outcome::Appended(_) => tracing::debug!(partition, ?goal, "compaction decided"),
            // Whoever leads looks again.
            Outcome::NotAppended(_) | Outcome::Unknown(_) => {
                tracing::debug!(partition, ?goal, ?outcome, "compaction not decided");
            }
        }
    }

    /// Brings a replica to what was decided.
    async fn bring(&self, replica: &Compacted, reached: &mut Reached) {
        let (group, goal) = (&replica.group, replica.kept.compactions.now().goal());
        let before = reached.get(&group.id()).copied().unwrap_or_default();
        if before == goal {
            return;
        }
        let partition = self.name_of(group.id());
        let began = Instant::now();
        match run(Pass::new(group.log().clone(), before, goal), self.tasks.stopping()).await {
            Ok(None) => {}
            Ok(Some(swept)) => {
                tracing::debug!(partition, ?goal, ?swept, took = ?began.elapsed(), "compacted");
                reached.insert(group.id(), goal);
                if replica.only {
                    let trim = self.trim_compacted(group, swept.first_kept);
                    self.tasks.stopping().run_until_cancelled(trim).await;
                }
            }
            // The log is as good as before; the next look begins anew.
            Err(error) => tracing::warn!(partition, %error, "not compacted"),
        }
    }

    /// What a log begins with and has no records any more goes as a whole: else the headers of all batches
    /// there ever were would pile up.
    async fn trim_compacted(&self, group: &Group, first_kept: Offset) {
        let log_start = group.watermark().log_start;
        let frees_segments = group.log().sealed_ends().iter().any(|end| {
            let next = end.marker.next_offset;
            log_start < next && next <= first_kept
        });
        if !frees_segments || !matches!(group.role(), Role::Leading { .. }) {
            return;
        }
        let outcome = group.trim(first_kept, Instant::now() + PATIENCE).await;
        let partition = self.name_of(group.id());
        tracing::debug!(partition, %first_kept, ?outcome, "nothing is left before the first record");
    }
}

/// Runs a pass off the threads that others wait for, at its pace; nothing comes of one that is stopped.
async fn run(mut pass: Pass, stopping: &CancellationToken) -> std::io::Result<Option<Swept>> {
    loop {
        // A step that has begun is waited for: it holds the log.
        let step = tokio::task::spawn_blocking(move || {
            let step = pass.step();
            (pass, step)
        });
        let (after, step) = step.await.map_err(std::io::Error::other)?;
        pass = after;
        let Some(bytes) = step? else { return Ok(Some(pass.swept())) };
        let pause = sleep(Duration::from_secs(1).mul_f64(share(bytes)));
        if stopping.run_until_cancelled(pause).await.is_none() {
            return Ok(None);
        }
    }
}

/// Which part of a second so many bytes may take.
fn share(bytes: u64) -> f64 {
    let kib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX));
    kib(bytes) / kib(BYTES_PER_SECOND)
}
