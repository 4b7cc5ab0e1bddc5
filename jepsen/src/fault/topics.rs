//! Topics that come, grow and go while everything else goes on. Effect: how many, and partitions added.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Effect, Stage, Trouble};

/// How many a topic begins with, and how many it gets.
const PARTITIONS: u32 = 2;
const PARTITIONS_ADDED: u32 = 2;
/// Between two orders.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) async fn churn(stage: &mut Stage) -> Result<Effect, Trouble> {
    stage.begins(&[], &[]);
    let began = Instant::now();
    let mut effect = Effect::default();
    let mut number = 0;
    while began.elapsed() < stage.hold || number == 0 {
        let topic = format!("churn-{}-{number}", stage.id);
        number += 1;
        let admin = &stage.cluster().admin;
        let replicas = stage.cluster().nodes.len().min(3);
        // Under other faults an order may be refused; what was done is counted.
        effect.add(
            "topics_created",
            u64::from(admin.create_topic(&topic, PARTITIONS, replicas).await.is_ok()),
        );
        sleep(PAUSE).await;
        let added = admin.add_partitions(&topic, PARTITIONS + PARTITIONS_ADDED).await.is_ok();
        effect.add("partitions_added", if added { u64::from(PARTITIONS_ADDED) } else { 0 });
        sleep(PAUSE).await;
        effect.add("topics_deleted", u64::from(admin.delete_topic(&topic).await.is_ok()));
        sleep(PAUSE).await;
    }
    Ok(effect)
}
