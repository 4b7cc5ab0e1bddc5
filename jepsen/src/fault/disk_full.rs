//! A disk without space. Effect: bytes taken, and replicas of which the node says that they stopped.

use super::{Effect, Stage, Trouble};

/// Left for what must still be written: less than a batch.
const LEFT_BYTES: u64 = 64 << 10;

pub(super) async fn strike(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    let cluster = std::sync::Arc::clone(&stage.arena.cluster);
    let Some(volume) = &cluster.node(node).site.volume else {
        return Err(Trouble::Skipped("the node has no volume".to_owned()));
    };
    stage.begins(&[node], &[]);
    let mut effect = Effect::default().with("bytes_taken", volume.fill(LEFT_BYTES)?);
    stage.hold().await;
    let stopped = cluster.admin.broken(node).await.len();
    effect.add("replicas_stopped", u64::try_from(stopped).unwrap_or(u64::MAX));
    volume.drain()?;
    // What stopped for want of space is taken up by a new process.
    cluster.kill(node).await?;
    stage.revive(&[node]).await?;
    Ok(effect)
}
