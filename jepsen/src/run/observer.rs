//! Looks on and writes down what changed: who leads, who is up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::{Cluster, name_of};
use crate::environment::{Host, Life};
use crate::history::{Detail, Key, Kind, Leadership, NodeState, Operation, Process, State};
use crate::recorder::Recorder;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Looks on until dropped.
pub(super) async fn observe(cluster: Arc<Cluster>, recorder: Arc<Recorder>) {
    let mut nodes: BTreeMap<String, NodeState> = BTreeMap::new();
    let mut leaders: BTreeMap<Key, Leadership> = BTreeMap::new();
    loop {
        let mut changed = State::default();
        for id in cluster.ids() {
            let (name, now) = (name_of(id), state(&cluster, id).await);
            if nodes.insert(name.clone(), now) != Some(now) {
                changed.nodes.insert(name, now);
            }
        }
        for (key, now) in cluster.leaders().await {
            if leaders.get(&key) != Some(&now) {
                leaders.insert(key, now.clone());
                changed.leaders.insert(key, now);
            }
        }
        if changed != State::default() {
            let operation = Operation::State(changed);
            recorder.record(Process::Observer, Kind::Info, operation, Detail::default());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn state(cluster: &Cluster, id: u8) -> NodeState {
    match cluster.life(id).await {
        Life::None | Life::Ended(_) => NodeState::Down,
        Life::Paused => NodeState::Paused,
        Life::Runs if cluster.links.touched(Host::Node(id)) => NodeState::Cut,
        Life::Runs => NodeState::Up,
    }
}
