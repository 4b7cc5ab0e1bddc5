//! Topics that come and go while everything else goes on. Effect: how many.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Effect, Stage, Trouble};

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
            u64::from(admin.create_topic(&topic, 2, replicas).await.is_ok()),
        );
        sleep(PAUSE).await;
        effect.add("topics_deleted", u64::from(admin.delete_topic(&topic).await.is_ok()));
        sleep(PAUSE).await;
    }
    Ok(effect)
}
