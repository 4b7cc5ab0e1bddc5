//! System calls of a node's disk that fail, lie or take long. Effect: calls that were tampered with, and of
//! errors also whether the node said so.
//!
//! A lie is followed by a real sync before anything else happens to the node: a power cut after one would
//! lose what this node acknowledged, and no protocol survives that.

use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Stage, Trouble};
use crate::environment::{Injector, Tampering, tool};

/// How much longer a slow sync takes.
const SLOW: Duration = Duration::from_millis(150);

pub(super) async fn error(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let said = stage.cluster().log_text(leader).len();
    let mut effect = tamper(stage, leader, Tampering::SyncFails).await?;
    effect.add("terms_advanced", stage.terms_since(key, term).await);
    effect.add("errors_told", errors_told(stage, leader, said));
    again(stage, leader).await?;
    Ok(effect)
}

pub(super) async fn no_space(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    let said = stage.cluster().log_text(node).len();
    let mut effect = tamper(stage, node, Tampering::NoSpace).await?;
    effect.add("errors_told", errors_told(stage, node, said));
    again(stage, node).await?;
    Ok(effect)
}

pub(super) async fn lie(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_node()?;
    let _claim = stage.claim(&[node]).await?;
    let effect = tamper(stage, node, Tampering::SyncLies).await?;
    tool::run("sync", &["-f", tool::argument(&stage.cluster().node(node).site.data)?])?;
    stage.until_whole().await?;
    Ok(effect)
}

pub(super) async fn slow(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (_, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let effect = tamper(stage, leader, Tampering::SyncSlow(SLOW)).await?;
    stage.until_whole().await?;
    Ok(effect)
}

async fn tamper(stage: &mut Stage, node: u8, tampering: Tampering) -> Result<Effect, Trouble> {
    let process = stage.cluster().process(node).await?;
    let output = stage.arena.dir.join(format!("strace-{}", stage.id));
    let janitor = Arc::clone(&stage.cluster().janitor);
    stage.begins(&[node], &[]);
    let injector = Injector::attach(process, tampering, Vec::new(), output, janitor).await?;
    stage.hold().await;
    let tampered = injector.detach().await?;
    Ok(Effect::default().with("syscalls_tampered", tampered))
}

/// A node whose disk failed does not trust it again: it is started anew.
async fn again(stage: &Stage, node: u8) -> Result<(), Trouble> {
    stage.cluster().kill(node).await?;
    stage.revive(&[node]).await
}

/// Lines of error that a node wrote since its words were so long.
fn errors_told(stage: &Stage, node: u8, since: usize) -> u64 {
    let text = stage.cluster().log_text(node);
    let lines = text.get(since..).unwrap_or_default().lines();
    u64::try_from(lines.filter(|line| line.contains("ERROR")).count()).unwrap_or(u64::MAX)
}
