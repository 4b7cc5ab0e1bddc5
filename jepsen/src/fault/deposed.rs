//! A deposed leader that does not know it comes back among voters that have just been restarted: what they
//! promised its successor has to have been on their disks. Effect: terms advanced, processes killed, packets
//! dropped.

use super::{Effect, Stage, Trouble};
use crate::environment::{Host, Layer};

pub(super) async fn returns(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes: Vec<u8> = stage.cluster().ids().collect();
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim_alone(&nodes).await?;
    let others: Vec<u8> = nodes.iter().copied().filter(|node| *node != leader).collect();
    let pairs: Vec<_> = others
        .iter()
        .map(|other| (Host::Node(leader), Host::Node(*other)))
        .flat_map(|(leader, other)| [(leader, other), (other, leader)])
        .collect();
    stage.begins(&nodes, &[key]);
    let before = stage.cluster().links.traffic(&pairs);
    stage.impose(&pairs, Layer::CUT);
    let mut effect = Effect::default().with("terms_advanced", stage.terms_since(key, term).await);
    // The successor acknowledges what the deposed one knows nothing of.
    stage.hold().await;
    for other in &others {
        stage.cluster().kill(*other).await?;
        effect.add("processes_killed", 1);
    }
    let after = stage.cluster().links.traffic(&pairs);
    effect.add("packets_dropped", after.dropped - before.dropped);
    stage.lift();
    stage.revive(&others).await?;
    Ok(effect)
}
