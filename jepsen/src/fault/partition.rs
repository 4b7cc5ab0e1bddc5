//! Cuts between hosts. Effect: packets that were dropped, terms that advanced.

use rand::Rng;

use super::{Effect, Stage, Trouble};
use crate::environment::{Host, Layer};
use crate::history::Key;

pub(super) type Pair = (Host, Host);

/// Both directions between every one of these and every one of those.
fn between(left: &[u8], right: &[u8]) -> Vec<Pair> {
    let pairs = left.iter().flat_map(|this| right.iter().map(|that| (*this, *that)));
    let hosts = pairs.map(|(this, that)| (Host::Node(this), Host::Node(that)));
    hosts.flat_map(|(this, that)| [(this, that), (that, this)]).collect()
}

/// Both directions between a node and all others.
pub(super) fn around(stage: &Stage, node: u8) -> Vec<Pair> {
    between(&[node], &others(stage, node))
}

fn others(stage: &Stage, node: u8) -> Vec<u8> {
    stage.cluster().ids().filter(|other| *other != node).collect()
}

/// Cuts, waits, heals, and says what was dropped.
async fn cut(
    stage: &mut Stage,
    nodes: &[u8],
    pairs: &[Pair],
    led: Option<(Key, u64)>,
) -> Result<Effect, Trouble> {
    let keys: Vec<Key> = led.iter().map(|(key, _)| *key).collect();
    stage.begins(nodes, &keys);
    let before = stage.cluster().links.traffic(pairs);
    stage.impose(pairs, Layer::CUT);
    let mut effect = Effect::default();
    if let Some((key, term)) = led {
        effect.add("terms_advanced", stage.terms_since(key, term).await);
    }
    stage.hold().await;
    let after = stage.cluster().links.traffic(pairs);
    stage.lift();
    effect.add("packets_dropped", after.dropped - before.dropped);
    stage.until_whole().await?;
    Ok(effect)
}

pub(super) async fn isolate_leader(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (key, leader, term) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let pairs = around(stage, leader);
    cut(stage, &[leader], &pairs, Some((key, term))).await
}

pub(super) async fn halves(stage: &mut Stage) -> Result<Effect, Trouble> {
    let mut minority = stage.shuffled();
    let majority = minority.split_off(stage.cluster().minority());
    let _claim = stage.claim(&minority).await?;
    cut(stage, &minority, &between(&minority, &majority), None).await
}

pub(super) async fn one_way(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (_, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let deaf = stage.dice.random::<bool>();
    let pairs: Vec<Pair> = others(stage, leader)
        .into_iter()
        .map(|other| (Host::Node(other), Host::Node(leader)))
        .map(|(other, leader)| if deaf { (other, leader) } else { (leader, other) })
        .collect();
    cut(stage, &[leader], &pairs, None).await
}

pub(super) async fn bridge(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let Some((_bridge, rest)) = nodes.split_first() else {
        return Err(Trouble::Skipped("there are no nodes".to_owned()));
    };
    let (left, right) = rest.split_at(rest.len() / 2);
    let _claim = stage.claim_alone(&nodes).await?;
    cut(stage, &nodes, &between(left, right), None).await
}

/// Everybody hears as many neighbours to each side as make a majority with itself.
pub(super) async fn ring(stage: &mut Stage) -> Result<Effect, Trouble> {
    let nodes = stage.shuffled();
    let _claim = stage.claim_alone(&nodes).await?;
    let reach = stage.cluster().minority().div_ceil(2);
    let mut pairs = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        for (other_place, other) in nodes.iter().enumerate() {
            let apart = place.abs_diff(other_place);
            if apart.min(nodes.len() - apart) > reach {
                pairs.push((Host::Node(*node), Host::Node(*other)));
            }
        }
    }
    cut(stage, &nodes, &pairs, None).await
}

pub(super) async fn client_cut(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (_, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    let pairs = [(Host::Clients, Host::Node(leader)), (Host::Node(leader), Host::Clients)];
    cut(stage, &[leader], &pairs, None).await
}

pub(super) async fn response_cut(stage: &mut Stage) -> Result<Effect, Trouble> {
    let (_, leader, _) = stage.a_led_partition().await?;
    let _claim = stage.claim(&[leader]).await?;
    cut(stage, &[leader], &[(Host::Node(leader), Host::Clients)], None).await
}
