//! SIGTERM: a node hands its leaderships over and ends in good order. Effect: clean ends, terms that advanced.

use super::{Effect, Stage, Trouble};

pub(super) async fn leader(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    stage.begins(&[leader], &[key]);
    end(stage, leader).await?;
    let effect = Effect::default().with("clean_ends", 1);
    let effect = effect.with("terms_advanced", stage.terms_since(key, term).await);
    stage.revive(&[leader]).await?;
    Ok(effect)
}

pub(super) async fn rolling(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let mut effect = Effect::default();
    let _claim = stage.claim_alone(&nodes).await?;
    stage.begins(&nodes, &[]);
    for node in &nodes {
        end(stage, *node).await?;
        effect.add("clean_ends", 1);
        stage.revive(&[*node]).await?;
    }
    Ok(effect)
}

/// A node that does not end in good order is a failure of the product.
async fn end(stage: &Stage, node: u8) -> Result<(), Trouble> {
    let ended = stage.cluster().terminate(node).await;
    ended.map_err(|error| Trouble::Lasting(error.to_string()))
}
