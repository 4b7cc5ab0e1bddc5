//! `kill -9`. Effect: processes that are gone, terms that advanced.

use super::{Effect, Stage, Trouble};
use crate::history::Key;

pub(super) async fn leader(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    stage.begins(&[leader], &[key]);
    stage.cluster().kill(leader).await?;
    let effect = Effect::default().with("processes_killed", 1);
    let effect = effect.with("terms_advanced", stage.terms_since(key, term).await);
    stage.hold().await;
    stage.revive(&[leader]).await?;
    Ok(effect)
}

/// Who speaks for the group then is told as moved, if it is another.
pub(super) async fn coordinator(stage: &mut Stage) -> Result<Effect, Trouble> {
    let coordinator = stage.a_coordinator().await?;
    let _claim = stage.claim(&[coordinator]).await?;
    stage.begins(&[coordinator], &[]);
    stage.cluster().kill(coordinator).await?;
    let effect = Effect::default().with("processes_killed", 1);
    let effect = effect.with("coordinators_moved", stage.coordinators_since(coordinator).await);
    stage.hold().await;
    stage.revive(&[coordinator]).await?;
    Ok(effect)
}

pub(super) async fn follower(stage: &mut Stage) -> Result<Effect, Trouble> {
    let follower = stage.a_follower().await?;
    let _claim = stage.claim(&[follower]).await?;
    several(stage, &[follower]).await
}

pub(super) async fn majority(stage: &mut Stage) -> Result<Effect, Trouble> {
    let mut nodes = stage.shuffled();
    nodes.truncate(stage.cluster().minority() + 1);
    let _claim = stage.claim_alone(&nodes).await?;
    several(stage, &nodes).await
}

pub(super) async fn all(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let _claim = stage.claim_alone(&nodes).await?;
    several(stage, &nodes).await
}

async fn several(stage: &mut Stage, nodes: &[u8]) -> Result<Effect, Trouble> {
    let keys: Vec<Key> = Vec::new();
    stage.begins(nodes, &keys);
    let mut effect = Effect::default();
    for node in nodes {
        stage.cluster().kill(*node).await?;
        effect.add("processes_killed", 1);
    }
    stage.hold().await;
    stage.revive(nodes).await?;
    Ok(effect)
}
