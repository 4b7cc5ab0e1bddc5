//! One cycle of the commit thread.

use super::op::{Completion, Op, Step, Work};
use super::stage::{Need, Stage};
use crate::backing::{Backing, about};
use crate::engine::SegmentId;
use crate::log::{Core, Cut, Sealed};
use crate::{FlushPolicy, GroupId, Index};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Stretches of written entries whose order of eviction is remembered.
const CACHED_MAX: usize = 1 << 16;

/// The commit thread's memory.
pub(super) struct Committer {
    backing: Arc<Backing>,
    stages: HashMap<GroupId, Stage>,
    /// Written entries in the tail caches, the oldest first: which log, up to where.
    cached: VecDeque<(Weak<Core>, Index)>,
    /// Purges of this cycle whose point is not durable yet, with the segments to remove.
    purges: Vec<(Arc<Core>, Vec<Index>)>,
}

/// An operation whose work is done but for what the whole cycle shares.
struct Worked {
    log: Arc<Core>,
    bytes: usize,
    done: Completion,
    effect: Effect,
}

/// What is left to do or to say for it.
enum Effect {
    /// Nothing but the completion.
    None,
    /// Entries below the index are flushed with its completion.
    Flushes(Index),
    /// The vote has to be stored.
    Vote(Vec<u8>),
    /// The log is gone, or why it is not.
    Removed(io::Result<()>),
}

impl Committer {
    pub(super) fn new(backing: Arc<Backing>) -> Self {
        Self { backing, stages: HashMap::new(), cached: VecDeque::new(), purges: Vec::new() }
    }

    /// When the next barrier is due although nobody asks.
    pub(super) fn due(&self) -> Option<Instant> {
        self.stages.values().filter_map(Stage::due).min()
    }

    /// Does one cycle's work.
    pub(super) fn run(&mut self, ops: Vec<Op>, now: Instant) {
        if !ops.is_empty() {
            self.backing.totals.cycle();
        }
        let touched: HashSet<GroupId> = ops.iter().map(|op| op.log.group()).collect();
        let worked: Vec<Worked> = ops.into_iter().map(|op| self.work(op, now)).collect();
        self.finish_purges();
        for group in &touched {
            self.settle(*group);
        }
        let rest = self.complete_unforced(worked);
        self.barrier(now);
        self.votes(&rest);
        for worked in rest {
            self.complete(worked);
        }
        for stage in self.stages.values_mut() {
            stage.need = Need::Never;
        }
        self.stages.retain(|_, stage| !stage.dirty.is_empty());
        self.evict();
    }

    /// Makes the purge points of the cycle durable with one flush, then removes what lies below them.
    fn finish_purges(&mut self) {
        if self.purges.is_empty() {
            return;
        }
        let purges = std::mem::take(&mut self.purges);
        let flushed = self.backing.state.durable_flush();
        if let Err(error) = &flushed {
            self.state_failed(error, purges.iter().map(|(log, _)| log));
            return;
        }
        for (log, remove) in purges {
            if let Err(error) = self.purge(&log, &remove) {
                self.log_failed(&log, &error);
            }
        }
    }

    fn work(&mut self, op: Op, now: Instant) -> Worked {
        let Op { log, work, bytes, done } = op;
        let mut worked = Worked { log, bytes, done, effect: Effect::None };
        // What follows a purge may not be on disk before it: that would be a gap.
        if self.purges.iter().any(|(log, _)| log.group() == worked.log.group()) {
            self.finish_purges();
        }
        if worked.log.failure().is_some() {
            return worked;
        }
        let log = Arc::clone(&worked.log);
        let broken = match work {
            Work::Append { steps, policy, next, records } => {
                worked.effect = Effect::Flushes(next);
                self.append(&log, steps, (policy, records), now)
            }
            Work::Vote(vote) => {
                worked.effect = Effect::Vote(vote);
                self.stage(&log).need = Need::Now;
                Ok(())
            }
            Work::Sync => {
                self.stage(&log).need = Need::Now;
                Ok(())
            }
            Work::Seal(sealed) => self.roll(&log, Some(sealed)),
            Work::Cut { next, cut } => self.cut(&log, next, cut),
            Work::Purge { marker, remove } => {
                let noted = log.note_purged(&marker);
                noted.map(|()| self.purges.push((Arc::clone(&log), remove)))
            }
            Work::Remove => {
                self.stages.remove(&log.group());
                worked.effect = Effect::Removed(self.remove(&log));
                Ok(())
            }
        };
        if let Err(error) = broken {
            self.log_failed(&log, &error);
        }
        worked
    }

    fn append(
        &mut self,
        log: &Arc<Core>,
        steps: Vec<Step>,
        (policy, records): (FlushPolicy, u64),
        now: Instant,
    ) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Create { segment, base_offset, seals } => {
                    self.roll(log, seals)?;
                    self.backing.engine.create(segment, base_offset)?;
                    log.note_created(segment.first, base_offset)?;
                }
                Step::Write { segment, frames } => {
                    let bytes =
                        frames.iter().map(|frame| u64::from(frame.header.payload_len)).sum();
                    let count = u64::try_from(frames.len()).unwrap_or(u64::MAX);
                    let engine = Arc::clone(&self.backing.engine);
                    self.stage(log).gather(engine.as_ref(), segment, frames)?;
                    self.backing.totals.wrote(count, bytes);
                }
            }
        }
        self.stage(log).ask(policy, records, now);
        Ok(())
    }

    /// Ends a segment: durable first, so that one followed by another is known to be whole.
    fn roll(&mut self, log: &Arc<Core>, seals: Option<Sealed>) -> io::Result<()> {
        let engine = Arc::clone(&self.backing.engine);
        let stage = self.stage(log);
        stage.settle(engine.as_ref())?;
        let dirty: Vec<SegmentId> = stage.dirty.iter().copied().collect();
        if !dirty.is_empty() {
            let began = Instant::now();
            engine.barrier(&dirty)?;
            self.stage(log).synced();
            self.backing.totals.barrier(began.elapsed());
        }
        if let Some(sealed) = seals {
            log.note_sealed(&sealed)?;
        }
        Ok(())
    }

    fn cut(&mut self, log: &Arc<Core>, next: Index, cut: Cut) -> io::Result<()> {
        let engine = Arc::clone(&self.backing.engine);
        let stage = self.stage(log);
        stage.settle(engine.as_ref())?;
        log.note_cut(next, &cut)?;
        let group = log.group();
        let mut removed = Vec::with_capacity(cut.remove.len());
        for (first, _) in cut.remove {
            let segment = SegmentId { group, first };
            engine.remove(segment)?;
            self.stage(log).dirty.remove(&segment);
            removed.push(first);
        }
        log.note_removed(&removed)?;
        if let Some(first) = cut.shorten {
            engine.cut(SegmentId { group, first }, next.previous())?;
        }
        if let Some(sealed) = cut.sealed {
            log.note_sealed(&sealed)?;
        }
        self.stage(log).cut(next);
        log.was_cut();
        Ok(())
    }

    fn purge(&mut self, log: &Arc<Core>, remove: &[Index]) -> io::Result<()> {
        let engine = Arc::clone(&self.backing.engine);
        let stage = self.stage(log);
        stage.settle(engine.as_ref())?;
        for first in remove {
            let segment = SegmentId { group: stage.group(), first: *first };
            engine.remove(segment)?;
            stage.dirty.remove(&segment);
        }
        log.note_removed(remove)
    }

    /// Removes all of a group. A row says so first: a crash in between is finished at the next start.
    fn remove(&self, log: &Arc<Core>) -> io::Result<()> {
        let group = log.group();
        log.end();
        crate::log::remove_group(self.backing.engine.as_ref(), &self.backing.state, group)
    }

    fn settle(&mut self, group: GroupId) {
        let Some(stage) = self.stages.get_mut(&group) else { return };
        if let Err(error) = stage.settle(self.backing.engine.as_ref()) {
            let log = Arc::clone(&stage.log);
            self.log_failed(&log, &error);
            return;
        }
        self.cached.push_back((Arc::downgrade(&stage.log), stage.written));
    }

    /// Completes what no barrier is needed for; returns the rest. A log waits as a whole, so that its
    /// completions stay in order.
    fn complete_unforced(&self, worked: Vec<Worked>) -> Vec<Worked> {
        let mut rest = Vec::new();
        for worked in worked {
            let waits = self.stages.get(&worked.log.group()).is_some_and(|s| s.need == Need::Now);
            if waits {
                rest.push(worked);
            } else {
                self.complete(worked);
            }
        }
        rest
    }

    /// One barrier for everything that needs one now.
    fn barrier(&mut self, now: Instant) {
        let needs =
            |stage: &Stage| stage.need == Need::Now || stage.due().is_some_and(|due| due <= now);
        let stages: Vec<&mut Stage> =
            self.stages.values_mut().filter(|stage| needs(stage)).collect();
        let mut dirty: Vec<SegmentId> =
            stages.iter().flat_map(|stage| stage.dirty.iter().copied()).collect();
        let outcome = if dirty.is_empty() {
            Ok(())
        } else {
            dirty.sort_unstable();
            let began = Instant::now();
            let outcome = self.backing.engine.barrier(&dirty);
            self.backing.totals.barrier(began.elapsed());
            outcome
        };
        for stage in stages {
            match &outcome {
                Ok(()) => stage.synced(),
                Err(error) => {
                    stage.log.fail(error);
                    stage.abandon();
                }
            }
        }
    }

    /// Stores the votes of logs that are still well, with one flush.
    fn votes(&self, worked: &[Worked]) {
        let mut voted = Vec::new();
        let began = Instant::now();
        for Worked { log, effect, .. } in worked {
            let Effect::Vote(vote) = effect else { continue };
            if log.failure().is_some() {
                continue;
            }
            match log.note_vote(vote) {
                Ok(()) => voted.push(log),
                Err(error) => log.fail(&error),
            }
        }
        if voted.is_empty() {
            return;
        }
        if let Err(error) = self.backing.state.durable_flush() {
            self.state_failed(&error, voted.iter().copied());
        }
        let count = u64::try_from(voted.len()).unwrap_or(u64::MAX);
        self.backing.totals.voted(count, began.elapsed());
    }

    fn complete(&self, worked: Worked) {
        let Worked { log, bytes, done, effect } = worked;
        let result = match (effect, log.failure()) {
            (Effect::Removed(result), _) => result,
            (_, Some(why)) => Err(io::Error::other(why)),
            (Effect::Flushes(next), None) => {
                log.flushed(next);
                Ok(())
            }
            (Effect::None | Effect::Vote(_), None) => Ok(()),
        };
        self.backing.queue.release(bytes);
        done.complete(result);
    }

    /// Lets the oldest written entries of the node go until the caches fit their budget.
    fn evict(&mut self) {
        while self.backing.budget.is_over() || self.cached.len() > CACHED_MAX {
            let Some((log, below)) = self.cached.pop_front() else { return };
            if let Some(log) = log.upgrade() {
                log.evict(below);
            }
        }
    }

    fn log_failed(&mut self, log: &Arc<Core>, error: &io::Error) {
        log.fail(error);
        if let Some(stage) = self.stages.get_mut(&log.group()) {
            stage.abandon();
        }
    }

    /// Without its state the node can store no vote and no purge point: nothing may go on.
    fn state_failed<'a>(&self, error: &io::Error, logs: impl Iterator<Item = &'a Arc<Core>>) {
        self.backing.fail(error.to_string());
        for log in logs {
            log.fail(&about(log.group(), error));
        }
    }

    fn stage(&mut self, log: &Arc<Core>) -> &mut Stage {
        self.stages.entry(log.group()).or_insert_with(|| Stage::new(Arc::clone(log)))
    }
}
