//! What is too old or too much goes: at intervals this node looks at the partitions it leads, and proposes
//! the trims that their topics' settings ask for. Every replica then purges its own segments.

use super::Inner;
use crate::retention::{Extent, Retention};
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;
use raft::{Group, NotAppended, Offset, Outcome, Role};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Trims that are proposed at once: each is an entry with its flush, beside those of producers.
const TRIMS_AT_ONCE: usize = 16;
/// How long a trim may take; what did not happen is due again at the next look.
const TRIM_PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    /// Runs for as long as the broker.
    pub(super) async fn retain(self: Arc<Self>, every: Duration) {
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now_ms = Timestamp::now().as_millisecond();
            let image = self.image();
            let due = self.node.groups().into_iter().filter_map(|group| {
                let (_, _, topic, _) = image.group(group.id())?;
                let to = due(&group, topic.settings.retention(), now_ms)?;
                Some((group, to))
            });
            let due: Vec<(Group, Offset)> = due.collect();
            let trims = due.into_iter().map(|(group, to)| self.retire(group, to));
            stream::iter(trims).for_each_concurrent(TRIMS_AT_ONCE, |trim| trim).await;
        }
    }

    async fn retire(&self, group: Group, to: Offset) {
        let name = self.name_of(group.id());
        match group.trim(to, Instant::now() + TRIM_PATIENCE).await {
            Outcome::Appended(_) => tracing::debug!(partition = name, %to, "retention trimmed"),
            // Whoever leads now looks too.
            Outcome::NotAppended(NotAppended::NotLeader { .. } | NotAppended::ShuttingDown) => {}
            // It may be trimmed, or is due again at the next look.
            outcome @ (Outcome::NotAppended(_) | Outcome::Unknown(_)) => {
                tracing::warn!(partition = name, %to, ?outcome, "retention did not trim");
            }
        }
    }
}

/// Where the log of a group that this node leads should start, if that is beyond its start now.
fn due(group: &Group, retention: Retention, now_ms: i64) -> Option<Offset> {
    if !matches!(group.role(), Role::Leading { .. }) {
        return None;
    }
    let watermark = group.watermark();
    let (sealed, active) = group.log().segment_ends();
    let extent = Extent {
        sealed: &sealed,
        active,
        log_start: watermark.log_start,
        high_watermark: watermark.high_watermark,
    };
    retention.trim_to(extent, now_ms)
}
