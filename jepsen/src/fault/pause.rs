//! SIGSTOP: a process that hangs, with all its connections. Effect: milliseconds stopped, terms that advanced.

use std::time::Instant;

use super::{Effect, Stage, Trouble};
use crate::history::Key;

pub(super) async fn leader(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    pause(stage, leader, Some((key, term))).await
}

pub(super) async fn follower(stage: &mut Stage) -> Result<Effect, Trouble> {
    let follower = stage.a_follower().await?;
    let _claim = stage.claim(&[follower]).await?;
    pause(stage, follower, None).await
}

async fn pause(stage: &mut Stage, node: u8, led: Option<(Key, u64)>) -> Result<Effect, Trouble> {
    let keys: Vec<Key> = led.iter().map(|(key, _)| *key).collect();
    stage.begins(&[node], &keys);
    stage.cluster().pause(node).await?;
    let began = Instant::now();
    let mut effect = Effect::default();
    if let Some((key, term)) = led {
        effect.add("terms_advanced", stage.terms_since(key, term).await);
    }
    stage.hold().await;
    effect.add("ms_stopped", u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    stage.cluster().resume(node).await?;
    stage.until_whole().await?;
    Ok(effect)
}
