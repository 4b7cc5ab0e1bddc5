//! Links that are bad, but not cut. Effect: packets that were late, lost or doubled.

use std::time::Duration;

use super::{Effect, Stage, Trouble};
use crate::environment::{Host, Layer, Traffic};

pub(super) async fn slow(stage: &mut Stage) -> Result<Effect, Trouble> {
    let layer = Layer {
        delay: Duration::from_millis(60),
        jitter: Duration::from_millis(60),
        ..Layer::default()
    };
    worsen(stage, layer, |after, before| ("packets_delayed", after.delayed - before.delayed)).await
}

pub(super) async fn narrow(stage: &mut Stage) -> Result<Effect, Trouble> {
    let layer = Layer { bytes_per_second: Some(64 << 10), ..Layer::default() };
    worsen(stage, layer, |after, before| ("packets_delayed", after.delayed - before.delayed)).await
}

pub(super) async fn lossy(stage: &mut Stage) -> Result<Effect, Trouble> {
    let layer = Layer { lost_permille: 100, ..Layer::default() };
    worsen(stage, layer, |after, before| ("packets_dropped", after.dropped - before.dropped)).await
}

pub(super) async fn doubling(stage: &mut Stage) -> Result<Effect, Trouble> {
    let layer = Layer { doubled_permille: 200, ..Layer::default() };
    worsen(stage, layer, |after, before| ("packets_doubled", after.doubled - before.doubled)).await
}

/// All links of a leader, to nodes and clients.
async fn worsen(
    stage: &mut Stage,
    layer: Layer,
    measure: impl Fn(Traffic, Traffic) -> (&'static str, u64) + Send,
) -> Result<Effect, Trouble> {
    let (key, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let me = Host::Node(leader);
    let others = stage.cluster().ids().filter(|other| *other != leader).map(Host::Node);
    let pairs: Vec<_> =
        others.chain([Host::Clients]).flat_map(|other| [(me, other), (other, me)]).collect();
    stage.begins(&[leader], &[key]);
    let before = stage.cluster().links.traffic(&pairs);
    stage.impose(&pairs, layer);
    stage.hold().await;
    let after = stage.cluster().links.traffic(&pairs);
    stage.lift();
    let (name, amount) = measure(after, before);
    stage.until_whole().await?;
    Ok(Effect::default().with(name, amount))
}
