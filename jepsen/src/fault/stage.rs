//! Where a strike acts: the cluster, the budget, its own draws, and what it tells the history.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::{IndexedRandom, IteratorRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep};

use super::{Budget, Claim, Kind};
use crate::cluster::{Cluster, name_of, until};
use crate::environment::{Host, Layer, Life};
use crate::history::{Detail, Fault, FaultStage, Key, Operation, Process};
use crate::recorder::Recorder;
use crate::workload::GROUP;

/// How long a strike waits for its turn.
const CLAIM_PATIENCE: Duration = Duration::from_secs(20);
/// How long a new leader may take to be seen.
const LEADER_PATIENCE: Duration = Duration::from_secs(15);
/// How long the cluster may take to be whole again after a strike; with all replicas on one small machine.
pub(super) const RECOVERY_PATIENCE: Duration = Duration::from_mins(1);

/// Why a strike did not do its work.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be done here and now; nothing happened.
    Skipped(String),
    /// The harness failed: the run is worth nothing.
    Harness(io::Error),
    /// The cluster did not come back: the run failed.
    Lasting(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Harness(error)
    }
}

/// What all strikes share.
pub struct Arena {
    /// Whom they hit.
    pub cluster: Arc<Cluster>,
    /// What they tell.
    pub recorder: Arc<Recorder>,
    /// Who may be faulty.
    pub budget: Arc<Budget>,
    /// Where their own files go.
    pub dir: PathBuf,
}

/// One strike's place.
pub struct Stage {
    /// What all share.
    pub(super) arena: Arc<Arena>,
    /// Its number.
    pub(super) id: u64,
    /// What it is.
    pub(super) kind: Kind,
    /// How long the harm lasts, where it lasts.
    pub(super) hold: Duration,
    /// Its draws.
    pub(super) dice: ChaCha8Rng,
    begun: Option<(Vec<String>, Vec<Key>)>,
}

impl Stage {
    /// For strike number `id`.
    pub(crate) fn new(
        arena: Arc<Arena>,
        id: u64,
        kind: Kind,
        hold: Duration,
        dice: ChaCha8Rng,
    ) -> Self {
        Self { arena, id, kind, hold, dice, begun: None }
    }

    /// What it tells.
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.arena.recorder
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.arena.cluster
    }

    /// Claims nodes, or the strike is skipped.
    pub(super) async fn claim(&self, nodes: &[u8]) -> Result<Claim, Trouble> {
        self.claim_as(nodes, false).await
    }

    /// Claims nodes with no other strike anywhere.
    pub(super) async fn claim_alone(&self, nodes: &[u8]) -> Result<Claim, Trouble> {
        self.claim_as(nodes, true).await
    }

    async fn claim_as(&self, nodes: &[u8], alone: bool) -> Result<Claim, Trouble> {
        let claim = self.arena.budget.claim(nodes, alone, CLAIM_PATIENCE).await;
        let claim = claim.ok_or_else(|| {
            Trouble::Skipped(format!("nodes {nodes:?} cannot be faulty beside those that are"))
        })?;
        for node in nodes {
            if self.cluster().life(*node).await != Life::Runs {
                return Err(Trouble::Lasting(format!("{} does not run", name_of(*node))));
            }
        }
        Ok(claim)
    }

    /// A partition with its leader and term, the leader free to be hit.
    pub(super) async fn a_led_partition(&mut self) -> Result<(Key, u8, u64), Trouble> {
        let deadline = Instant::now() + LEADER_PATIENCE;
        let arena = Arc::clone(&self.arena);
        let found = until(deadline, async || {
            let view = arena.cluster.view().await;
            let led = view.iter().filter_map(|(key, view)| {
                let leader = u8::try_from(view.leader?).ok()?;
                let free = arena.budget.is_free(leader);
                free.then_some((*key, leader, view.leader_epoch?))
            });
            led.choose(&mut self.dice).ok_or_else(|| "no partition has a free leader".to_owned())
        });
        found.await.map_err(Trouble::Skipped)
    }

    /// Who speaks for the workload's group, free to be hit.
    pub(super) async fn a_coordinator(&self) -> Result<u8, Trouble> {
        let coordinator = self.cluster().admin.coordinator(GROUP).await;
        let free = coordinator.filter(|node| self.arena.budget.is_free(*node));
        free.ok_or_else(|| Trouble::Skipped("the group has no free coordinator".to_owned()))
    }

    /// 1 once somebody else than `before` speaks for the workload's group.
    pub(super) async fn coordinators_since(&self, before: u8) -> u64 {
        let deadline = Instant::now() + LEADER_PATIENCE;
        let moved = until(deadline, async || match self.cluster().admin.coordinator(GROUP).await {
            Some(now) if now != before => Ok(()),
            _ => Err(String::new()),
        });
        u64::from(moved.await.is_ok())
    }

    /// A node that leads the fewest partitions.
    pub(super) async fn a_follower(&mut self) -> Result<u8, Trouble> {
        let view = self.cluster().view().await;
        let leads = |id: u8| view.values().filter(|one| one.leader == Some(u64::from(id))).count();
        let mut ids: Vec<u8> = self.cluster().ids().collect();
        ids.retain(|id| self.arena.budget.is_free(*id));
        ids.shuffle(&mut self.dice);
        let follower = ids.into_iter().min_by_key(|id| leads(*id));
        follower.ok_or_else(|| Trouble::Skipped("no node is free".to_owned()))
    }

    /// Any node that is free to be hit.
    pub(super) fn a_node(&mut self) -> Result<u8, Trouble> {
        let free: Vec<u8> =
            self.cluster().ids().filter(|id| self.arena.budget.is_free(*id)).collect();
        let node = free.choose(&mut self.dice).copied();
        node.ok_or_else(|| Trouble::Skipped("no node is free".to_owned()))
    }

    /// All ids in a drawn order.
    pub(super) fn shuffled(&mut self) -> Vec<u8> {
        let mut ids: Vec<u8> = self.cluster().ids().collect();
        ids.shuffle(&mut self.dice);
        ids
    }

    /// Tells the history that the harm begins.
    pub(super) fn begins(&mut self, nodes: &[u8], keys: &[Key]) {
        let nodes: Vec<String> = nodes.iter().copied().map(name_of).collect();
        self.begun = Some((nodes.clone(), keys.to_vec()));
        self.tell(FaultStage::Inject, (nodes, keys.to_vec()), &super::Effect::default(), "");
    }

    /// Tells the history how it ended.
    pub(crate) fn ends(&mut self, outcome: &Result<super::Effect, Trouble>) {
        let begun = self.begun.take();
        match (outcome, begun) {
            (Ok(effect), Some(hit)) => self.tell(FaultStage::Heal, hit, effect, ""),
            (Ok(effect), None) => {
                self.tell(FaultStage::Once, (Vec::new(), Vec::new()), effect, "");
            }
            (Err(trouble), Some(hit)) => {
                let why = trouble.to_string();
                self.tell(FaultStage::Heal, hit, &super::Effect::default(), &why);
            }
            (Err(trouble), None) => {
                let why = trouble.to_string();
                let nobody = (Vec::new(), Vec::new());
                self.tell(FaultStage::Skip, nobody, &super::Effect::default(), &why);
            }
        }
    }

    fn tell(
        &self,
        stage: FaultStage,
        hit: (Vec<String>, Vec<Key>),
        effect: &super::Effect,
        why: &str,
    ) {
        let fault = Fault {
            name: self.kind.name().to_owned(),
            id: self.id,
            stage,
            nodes: hit.0,
            keys: hit.1,
            effect: effect.amounts(),
            why: why.to_owned(),
        };
        let (process, kind) = (Process::Nemesis, crate::history::Kind::Info);
        self.arena.recorder.record(process, kind, Operation::Fault(fault), Detail::default());
    }

    /// Lets the harm last.
    pub(super) async fn hold(&self) {
        sleep(self.hold).await;
    }

    /// Lays a layer of this strike on links.
    pub(super) fn impose(&self, pairs: &[(Host, Host)], layer: Layer) {
        self.cluster().links.impose(self.id, pairs, layer);
    }

    /// Takes all its layers off.
    pub(super) fn lift(&self) {
        self.cluster().links.lift(self.id);
    }

    /// By how many terms a partition got ahead of one; waits for the first.
    pub(super) async fn terms_since(&self, key: Key, term: u64) -> u64 {
        let deadline = Instant::now() + LEADER_PATIENCE;
        let advanced = until(deadline, async || match self.cluster().leader_of(key).await {
            Some((_, now)) if now > term => Ok(now - term),
            _ => Err(String::new()),
        });
        advanced.await.unwrap_or(0)
    }

    /// Starts nodes again and waits until everything is whole.
    pub(super) async fn revive(&self, nodes: &[u8]) -> Result<(), Trouble> {
        for node in nodes {
            self.cluster().start(*node).await?;
        }
        self.until_whole().await
    }

    /// Waits until every replica is in sync.
    pub(super) async fn until_whole(&self) -> Result<(), Trouble> {
        let deadline = Instant::now() + RECOVERY_PATIENCE;
        let whole = self.cluster().until_in_sync(deadline).await;
        whole.map_err(|why| Trouble::Lasting(format!("after {}: {why}", self.kind)))
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped(why) | Self::Lasting(why) => f.write_str(why),
            Self::Harness(error) => write!(f, "the harness failed: {error}"),
        }
    }
}
