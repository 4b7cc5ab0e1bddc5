//! The producers and consumers of a run, from their start to their end.

use super::auditor::Auditor;
use super::consumer::{Ends, Scan, Scanned, Tail};
use super::course::{Course, Pace};
use super::ledger::{Consumed, Ledger};
use super::options::Load;
use super::producer::{Goal, Producer};
use super::readback::Shelf;
use super::record::{Pen, Tally};
use super::recorder::Recorder;
use super::request::Writer;
use super::site::Site;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use std::sync::Arc;
use tokio::task::{JoinError, JoinSet};

/// What is compared while it is written is shared by so many.
const AUDITORS: u32 = 2;

/// At work; whoever is left is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Crew {
    site: Arc<Site>,
    load: Arc<Load>,
    course: Course,
    tasks: JoinSet<Result<Ended, Failure>>,
    producing: u32,
    /// What those that have ended came to.
    pub(super) came_to: CameTo,
}

/// What all came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CameTo {
    /// Records that were due and not sent.
    pub(super) unsent: u64,
    pub(super) tailed: Tally,
    pub(super) scanned: Scanned,
    pub(super) audited: Consumed,
}

#[derive(Debug)]
enum Ended {
    Produced { unsent: u64 },
    Tailed(Tally),
    Scanned(Scanned),
    Audited(Consumed),
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(site: &Arc<Site>, load: &Arc<Load>, course: Course) -> Self {
        let (site, load) = (Arc::clone(site), Arc::clone(load));
        Self { site, load, course, tasks: JoinSet::new(), producing: 0, came_to: CameTo::default() }
    }

    /// Starts the producers; their records are numbered as those of producers from `first` on.
    pub(super) fn produce(
        &mut self,
        (first, goal, ahead_bytes_max): (u32, Goal, Option<u64>),
        ledger: &Arc<Ledger>,
        recorder: &Arc<Recorder>,
    ) {
        let Self { site, load, course, .. } = self;
        let filler = Pen::filler(load.record_bytes);
        for number in 0..load.producers {
            let pen = Pen::new(first + number, load.record_bytes, Arc::clone(&filler));
            let timeout = Producer::broker_timeout(site.client.timeout());
            let writer = Writer::new(Arc::clone(load), site.topic.clone(), pen, timeout);
            let pace = match goal {
                Goal::Time => Pace::new(load, number),
                Goal::Requests(_) => Pace::Closed,
            };
            let producer = Producer {
                number,
                site: Arc::clone(site),
                path: load.path,
                writer,
                pace,
                course: *course,
                goal,
                ahead_bytes_max,
                partitions: share(number, load.producers, load.partitions),
                ledger: Arc::clone(ledger),
                recorder: Arc::clone(recorder),
            };
            self.producing += 1;
            self.tasks.spawn(async { Ok(Ended::Produced { unsent: producer.run().await? }) });
        }
    }

    /// Starts those who compare while it is written, and keep so many bytes of all.
    pub(super) fn audit(&mut self, keep_bytes: u64, ends: &Ends, ledger: &Arc<Ledger>) {
        let partitions = self.load.partitions;
        for number in 0..AUDITORS.min(partitions) {
            let auditor = Auditor {
                site: Arc::clone(&self.site),
                partitions: share(number, AUDITORS, partitions),
                keep_bytes: keep_bytes / u64::from(partitions),
                ends: ends.clone(),
                ledger: Arc::clone(ledger),
            };
            self.tasks.spawn(async { Ok(Ended::Audited(auditor.run().await?)) });
        }
    }

    /// Starts consumers that take what comes.
    pub(super) fn tail(&mut self, consumers: u32, ends: &Ends, recorder: &Arc<Recorder>) {
        for number in 0..consumers.min(self.load.partitions) {
            let tail = Tail {
                site: Arc::clone(&self.site),
                partitions: share(number, consumers, self.load.partitions),
                course: self.course,
                ends: ends.clone(),
                recorder: Arc::clone(recorder),
            };
            self.tasks.spawn(async { Ok(Ended::Tailed(tail.run().await?)) });
        }
    }

    /// Starts consumers that read what is there, over and over.
    pub(super) fn scan(
        &mut self,
        consumers: u32,
        shelves: &Arc<[Shelf]>,
        recorder: &Arc<Recorder>,
    ) {
        for number in 0..consumers {
            let scan = Scan {
                site: Arc::clone(&self.site),
                partitions: share(number, consumers, self.load.partitions),
                course: self.course,
                shelves: Arc::clone(shelves),
                recorder: Arc::clone(recorder),
            };
            self.tasks.spawn(async { Ok(Ended::Scanned(scan.run().await?)) });
        }
    }

    /// Resolves when somebody fails.
    pub(super) async fn failure(&mut self) -> Failure {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failure) = self.end(ended) {
                return failure;
            }
        }
        std::future::pending().await
    }

    /// Waits until all producers have ended.
    pub(super) async fn produced(&mut self) -> Result<(), Failure> {
        while self.producing > 0 {
            match self.tasks.join_next().await {
                Some(ended) => self.end(ended)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Waits until all have ended.
    pub(super) async fn ended(mut self) -> Result<CameTo, Failure> {
        while let Some(ended) = self.tasks.join_next().await {
            self.end(ended)?;
        }
        Ok(self.came_to)
    }

    fn end(&mut self, ended: Result<Result<Ended, Failure>, JoinError>) -> Result<(), Failure> {
        let broken = |error| Failure::new(Exit::Failed, format!("a task ended: {error}"));
        match ended.map_err(broken)?? {
            Ended::Produced { unsent } => {
                self.producing -= 1;
                self.came_to.unsent += unsent;
            }
            Ended::Tailed(tally) => self.came_to.tailed += tally,
            Ended::Scanned(scanned) => self.came_to.scanned.add(scanned),
            Ended::Audited(consumed) => self.came_to.audited.add(consumed),
        }
        Ok(())
    }
}

/// Which partitions one of so many has: where there are more of them than partitions, they share.
fn share(number: u32, all: u32, partitions: u32) -> Vec<u32> {
    let own: Vec<u32> = (0..partitions).filter(|partition| partition % all == number).collect();
    if own.is_empty() { vec![number % partitions] } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_somebody_and_everybody_a_partition() {
        assert_eq!(share(1, 3, 7), [1, 4]);
        assert_eq!(share(0, 3, 7), [0, 3, 6]);
        assert_eq!(share(6, 16, 4), [2]);
    }
}
