//! Power cuts: the process stops where it stands, its file system loses all that was not flushed, and both
//! start again from what the device has. Effect: disks whose canary is gone, a file that never was flushed; and
//! bytes of the node's own files that are gone. A node that flushes before it does anything else loses none of
//! its own, so it is the canary that proves the cut.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::partition::around;
use super::torn::last_segments;
use super::{Effect, Stage, Trouble};
use crate::cluster::Cluster;
use crate::environment::{Contents, Injector, Layer, Life, Tampering, Volume};

/// How long a sync hangs.
const HANGS: Duration = Duration::from_secs(1);
/// How much longer the sync of a log takes while tails are replaced, and in which of these, after how many
/// milliseconds, the power goes: in the first others' votes wait, in the next cuts wait, and then they are made.
const REPLACES: Duration = Duration::from_secs(1);
const REPLACED_MS: Range<u64> = 1_000..5_000;

pub(super) async fn one(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    stage.begins(&[leader], &[key]);
    let mut effect = Effect::default();
    cut(stage.cluster(), &[leader], &mut effect).await?;
    effect.add("terms_advanced", stage.terms_since(key, term).await);
    stage.hold().await;
    stage.revive(&[leader]).await?;
    Ok(effect)
}

/// Every node once, the next as soon as the last one runs again: the quorum rotates.
pub(super) async fn rotating(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let _claim = stage.claim_alone(&nodes).await?;
    stage.begins(&nodes, &[]);
    let mut effect = Effect::default();
    for node in &nodes {
        cut(stage.cluster(), &[*node], &mut effect).await?;
        stage.hold().await;
        stage.cluster().start(*node).await?;
    }
    stage.until_whole().await?;
    Ok(effect)
}

pub(super) async fn all(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let _claim = stage.claim_alone(&nodes).await?;
    stage.begins(&nodes, &[]);
    let mut effect = Effect::default();
    cut(stage.cluster(), &nodes, &mut effect).await?;
    stage.hold().await;
    stage.revive(&nodes).await?;
    Ok(effect)
}

/// The quorum moves from {B, C} to {A, C} over a power cut of C: A is stopped, B and C acknowledge, C loses
/// what it had not flushed, A goes on, B is stopped. What was acknowledged must be there.
pub(super) async fn rotated_quorum(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let &[a, b, c] = nodes.as_slice() else {
        return Err(Trouble::Skipped("this is a play for three nodes".to_owned()));
    };
    let _claim = stage.claim_alone(&nodes).await?;
    stage.begins(&nodes, &[]);
    let mut effect = Effect::default();
    stage.cluster().pause(a).await?;
    stage.hold().await;
    cut(stage.cluster(), &[c], &mut effect).await?;
    stage.cluster().start(c).await?;
    stage.cluster().resume(a).await?;
    stage.cluster().pause(b).await?;
    stage.hold().await;
    stage.cluster().resume(b).await?;
    stage.until_whole().await?;
    Ok(effect)
}

/// A leader whose syncs fail, and whose power is cut before anybody mends it: it must not have acknowledged
/// what it could not flush.
pub(super) async fn after_sync_error(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let process = stage.cluster().process(leader).await?;
    let output = stage.arena.dir.join(format!("strace-{}", stage.id));
    let janitor = Arc::clone(&stage.cluster().janitor);
    stage.begins(&[leader], &[key]);
    let failing = Tampering::SyncFails;
    let injector = Injector::attach(process, failing, Vec::new(), output, janitor).await?;
    stage.hold().await;
    let mut effect = Effect::default().with("syscalls_tampered", injector.tampered());
    if stage.cluster().life(leader).await == Life::Runs {
        cut(stage.cluster(), &[leader], &mut effect).await?;
        injector.detach().await?;
    } else {
        // It has ended by itself, which is an answer too.
        injector.detach().await?;
        let data = stage.cluster().node(leader).site.data.clone();
        let before = Contents::of(&data)?;
        let volume = volume(stage.cluster(), leader)?;
        volume.cut_power()?;
        effect.add("canaries_lost", u64::from(volume.recover()? > 0));
        effect.add("bytes_discarded", before.lost_in(&Contents::of(&data)?));
    }
    stage.revive(&[leader]).await?;
    Ok(effect)
}

/// A leader that was cut off comes back, and loses its power while its successor's records replace those that
/// nobody else has. They may be there again then, and must go again.
pub(super) async fn while_replaced(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let process = stage.cluster().process(leader).await?;
    let output = stage.arena.dir.join(format!("strace-{}", stage.id));
    let janitor = Arc::clone(&stage.cluster().janitor);
    let pairs = around(stage, leader);
    stage.begins(&[leader], &[key]);
    let before = stage.cluster().links.traffic(&pairs);
    stage.impose(&pairs, Layer::CUT);
    let mut effect = Effect::default().with("terms_advanced", stage.terms_since(key, term).await);
    // The successor commits beyond what the deposed one has alone.
    stage.hold().await;
    let slow = Tampering::SyncSlow(REPLACES);
    // The logs' only: what is noted of them is on disk at once, and they are not.
    let logs = last_segments(&stage.cluster().node(leader).site.data)?;
    let injector = Injector::attach(process, slow, logs, output, janitor).await?;
    let after = stage.cluster().links.traffic(&pairs);
    effect.add("packets_dropped", after.dropped - before.dropped);
    stage.lift();
    sleep(Duration::from_millis(stage.dice.random_range(REPLACED_MS))).await;
    cut(stage.cluster(), &[leader], &mut effect).await?;
    effect.add("syscalls_tampered", injector.detach().await?);
    stage.revive(&[leader]).await?;
    Ok(effect)
}

/// Everybody's syncs fail, then everybody's power is cut: nothing may have been acknowledged in between.
pub(super) async fn all_after_sync_error(stage: &mut Stage) -> Result<Effect, Trouble> {
    all_while(stage, Tampering::SyncFails).await
}

/// Everybody's power is cut while everybody's syncs hang: what was not acknowledged yet is lost for
/// certain, and nobody may have been shown it.
pub(super) async fn all_while_sync_hangs(stage: &mut Stage) -> Result<Effect, Trouble> {
    all_while(stage, Tampering::SyncSlow(HANGS)).await
}

async fn all_while(stage: &mut Stage, tampering: Tampering) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let _claim = stage.claim_alone(&nodes).await?;
    stage.begins(&nodes, &[]);
    let mut injectors = Vec::new();
    for node in &nodes {
        let process = stage.cluster().process(*node).await?;
        let output = stage.arena.dir.join(format!("strace-{}-{node}", stage.id));
        let janitor = Arc::clone(&stage.cluster().janitor);
        injectors.push(Injector::attach(process, tampering, Vec::new(), output, janitor).await?);
    }
    stage.hold().await;
    let mut effect = Effect::default();
    for node in &nodes {
        if stage.cluster().life(*node).await != Life::Runs {
            // A node may well end over it; there is nothing to stop then before its power is cut.
            stage.cluster().start(*node).await?;
        }
    }
    cut(stage.cluster(), &nodes, &mut effect).await?;
    for injector in injectors {
        effect.add("syscalls_tampered", injector.detach().await?);
    }
    stage.revive(&nodes).await?;
    Ok(effect)
}

/// Cuts the power of nodes, as near to at once as can be. They are down then, their disks mounted again.
pub(crate) async fn cut(cluster: &Cluster, nodes: &[u8], effect: &mut Effect) -> io::Result<()> {
    for node in nodes {
        cluster.pause(*node).await?;
    }
    let mut before = Vec::new();
    for node in nodes {
        let data = cluster.node(*node).site.data.clone();
        before.push(blocking(move || Contents::of(&data)).await?);
    }
    for node in nodes {
        volume(cluster, *node)?.cut_power()?;
    }
    for node in nodes {
        cluster.kill(*node).await?;
    }
    for (node, before) in nodes.iter().zip(before) {
        let volume = volume(cluster, *node)?;
        effect.add("canaries_lost", u64::from(volume.recover()? > 0));
        let data = cluster.node(*node).site.data.clone();
        let lost =
            blocking(move || Contents::of(&data).map(|after| before.lost_in(&after))).await?;
        effect.add("bytes_discarded", lost);
    }
    Ok(())
}

fn volume(cluster: &Cluster, node: u8) -> io::Result<&Volume> {
    let volume = cluster.node(node).site.volume.as_ref();
    volume.ok_or_else(|| io::Error::other("a power cut needs a volume"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
