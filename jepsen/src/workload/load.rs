//! All clients of a run, as long as it loads the cluster.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::actor::Actor;
use super::{Consumer, Rules, Steward, Workload, Writer};
use crate::client::Client;
use crate::history::Key;
use crate::recorder::Recorder;

/// Of so many clients one is a steward, where there are any.
const CLIENTS_PER_STEWARD: u32 = 4;

/// The clients.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Numbers that nobody else has.
    values: Arc<AtomicU64>,
}

/// When a client begins its operations, and when it ends.
pub(super) struct Pace {
    gap: Duration,
    next: Instant,
    stop: watch::Receiver<bool>,
}

impl Pace {
    /// Waits for the next operation's time; false if there is none.
    pub(super) async fn next(&mut self) -> bool {
        sleep_until(self.next).await;
        // An open loop: what took long is not made up for in a burst.
        self.next = (self.next + self.gap).max(Instant::now());
        !*self.stop.borrow()
    }
}

/// Draws from the seed of a run for one of its parts: more draws in one do not shift the others.
pub(crate) fn dice(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(stream);
    dice
}

impl Load {
    /// Starts the clients.
    pub fn start(
        rules: Rules,
        client: &Client,
        source: Option<IpAddr>,
        keys: &[Key],
        recorder: &Arc<Recorder>,
    ) -> io::Result<Self> {
        let stop = watch::Sender::new(false);
        let values = Arc::new(AtomicU64::new(1));
        let mut tasks = JoinSet::new();
        let gap = Duration::from_secs(1) * rules.clients / rules.rate.max(1);
        let mut homes = keys.iter().copied();
        for place in 0..rules.clients {
            let actor = Actor::new(&rules, place, client, source, recorder)?;
            // They begin one after the other.
            let share = f64::from(place) / f64::from(rules.clients);
            let next = Instant::now() + gap.mul_f64(share);
            let pace = Pace { gap, next, stop: stop.subscribe() };
            match rules.workload {
                Workload::Group if place % 2 == 1 => {
                    tasks.spawn(Consumer::new(actor, keys).work(pace));
                }
                Workload::Topics if place % CLIENTS_PER_STEWARD == 1 => {
                    tasks.spawn(Steward::new(actor, keys).work(pace));
                }
                Workload::Log
                | Workload::Idempotent
                | Workload::Group
                | Workload::Compacted
                | Workload::Topics => {
                    let idempotent = rules.workload == Workload::Idempotent;
                    let home = homes.next().map(|home| vec![home]);
                    let keys = home.unwrap_or_else(|| keys.to_vec());
                    let writer = Writer::new(actor, keys, idempotent, &values);
                    tasks.spawn(writer.work(pace));
                }
            }
        }
        Ok(Self { stop, tasks, values })
    }

    /// Lets every client end its operation and go. Returns who gives out numbers.
    pub async fn stop(mut self) -> Arc<AtomicU64> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.values
    }
}
