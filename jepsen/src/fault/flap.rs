//! A follower whose links go down and up: it must not keep disturbing the others when it returns. Effect:
//! how often, and packets that were dropped.

use std::time::{Duration, Instant};

use rand::Rng;
use tokio::time::sleep;

use super::{Effect, Stage, Trouble};
use crate::environment::{Host, Layer};

/// The bounds of each phase.
const PHASE_MS: std::ops::Range<u64> = 100..1500;

pub(super) async fn follower(stage: &mut Stage) -> Result<Effect, Trouble> {
    let node = stage.a_follower().await?;
    let _claim = stage.claim(&[node]).await?;
    let others = stage.cluster().ids().filter(|other| *other != node).map(Host::Node);
    let me = Host::Node(node);
    let pairs: Vec<_> = others.flat_map(|other| [(me, other), (other, me)]).collect();
    stage.begins(&[node], &[]);
    let before = stage.cluster().links.traffic(&pairs);
    let began = Instant::now();
    let mut effect = Effect::default();
    while began.elapsed() < stage.hold {
        stage.impose(&pairs, Layer::CUT);
        sleep(Duration::from_millis(stage.dice.random_range(PHASE_MS))).await;
        stage.lift();
        effect.add("times_cut", 1);
        sleep(Duration::from_millis(stage.dice.random_range(PHASE_MS))).await;
    }
    let after = stage.cluster().links.traffic(&pairs);
    effect.add("packets_dropped", after.dropped - before.dropped);
    stage.until_whole().await?;
    Ok(effect)
}
