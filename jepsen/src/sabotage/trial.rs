//! What exposes each planted bug. A short play, the same every time but for its targets; whoever finds the
//! bug under none of the names that stand here has found something else.

use std::fmt;

use storage::sabotage::Bug;

use crate::check::Name;
use crate::fault::Kind;
use crate::run::schedule::{Planned, Schedule};
use crate::workload::Workload;

/// How a bug shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The checker names it.
    Anomaly(Name),
    /// The cluster does not come back, or not as it was.
    DoesNotHeal,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anomaly(name) => f.write_str(name.word()),
            Self::DoesNotHeal => f.write_str("does-not-heal"),
        }
    }
}

/// One bug's play.
#[derive(Debug)]
pub struct Trial {
    /// What is planted.
    pub bug: Bug,
    /// What the clients do.
    pub workload: Workload,
    /// How many partitions they do it to.
    pub partitions: u32,
    /// More flags for every node.
    pub flags: &'static [&'static str],
    /// How long the load lasts at least, in seconds.
    pub load: u64,
    /// When, what, and how long, in milliseconds; one after the other.
    pub acts: &'static [(u64, Kind, u64)],
    /// Any of these is the bug.
    pub signs: &'static [Sign],
}

/// How long the load lasts at least, in seconds, where a trial says nothing else.
pub(super) const LOAD: u64 = 6;

/// A trial of the workload `log` on four partitions.
const fn log(bug: Bug, acts: &'static [(u64, Kind, u64)], signs: &'static [Sign]) -> Trial {
    Trial { bug, workload: Workload::Log, partitions: 4, flags: &[], load: LOAD, acts, signs }
}

/// The same of idempotent producers.
const fn idempotent(bug: Bug, acts: &'static [(u64, Kind, u64)], signs: &'static [Sign]) -> Trial {
    Trial {
        bug,
        workload: Workload::Idempotent,
        partitions: 4,
        flags: &[],
        load: LOAD,
        acts,
        signs,
    }
}

/// The same of a consumer group; its members come, go and sleep by themselves.
const fn group(bug: Bug, acts: &'static [(u64, Kind, u64)], signs: &'static [Sign]) -> Trial {
    Trial { bug, workload: Workload::Group, partitions: 4, flags: &[], load: 20, acts, signs }
}

/// Records that were acknowledged are gone, or others stand in their place.
const LOST: &[Sign] = &[Sign::Anomaly(Name::MissingAcked), Sign::Anomaly(Name::LostWrite)];
/// A batch that was sent again is there again.
const TWICE: &[Sign] = &[Sign::Anomaly(Name::Duplicate), Sign::Anomaly(Name::IdempotenceBroken)];

/// All of them, in the order in which they are hunted.
pub const TRIALS: &[Trial] = &[
    log(Bug::AckBeforeFsync, &[(2_000, Kind::PowerAll, 300)], LOST),
    log(Bug::IgnoreSyncError, &[(2_000, Kind::PowerAllAfterError, 1_000)], LOST),
    log(
        Bug::ChecksumUnchecked,
        &[(5_000, Kind::BitFlip, 300), (5_500, Kind::BitFlip, 300)],
        &[
            Sign::DoesNotHeal,
            Sign::Anomaly(Name::InventedRecord),
            Sign::Anomaly(Name::ReplicaDivergence),
        ],
    ),
    log(Bug::WrongCursor, &[], &[Sign::Anomaly(Name::PollSkip)]),
    log(
        Bug::AckOnLeaderAlone,
        &[
            (1_500, Kind::IsolateLeader, 50),
            (2_000, Kind::IsolateLeader, 50),
            (2_500, Kind::IsolateLeader, 50),
        ],
        LOST,
    ),
    log(
        Bug::AckTruncated,
        &[(1_500, Kind::IsolateLeader, 50), (2_000, Kind::IsolateLeader, 50)],
        LOST,
    ),
    log(
        Bug::VoteNotStored,
        &[(2_000, Kind::DeposedReturns, 1_000)],
        &[
            Sign::Anomaly(Name::MissingAcked),
            Sign::Anomaly(Name::ReplicaDivergence),
            Sign::Anomaly(Name::UnstableRead),
            Sign::DoesNotHeal,
        ],
    ),
    Trial {
        // A node that leads many of them has many tails to be replaced, one after the other.
        partitions: 24,
        ..log(
            Bug::TailCommitted,
            &[
                (1_500, Kind::PowerWhileReplaced, 500),
                (2_000, Kind::PowerWhileReplaced, 500),
                (2_500, Kind::PowerWhileReplaced, 500),
                (3_000, Kind::PowerWhileReplaced, 500),
                (3_500, Kind::PowerWhileReplaced, 500),
            ],
            // openraft's debug assertion stops the replica; without it, it differs from then on.
            &[
                Sign::DoesNotHeal,
                Sign::Anomaly(Name::ReplicaDivergence),
                Sign::Anomaly(Name::UnstableRead),
            ],
        )
    },
    log(
        Bug::TruncateNothing,
        &[(1_500, Kind::IsolateLeader, 300), (2_000, Kind::IsolateLeader, 300)],
        &[Sign::Anomaly(Name::ReplicaDivergence), Sign::Anomaly(Name::MissingAcked)],
    ),
    log(
        Bug::FollowerDiffers,
        &[],
        &[Sign::Anomaly(Name::ReplicaDivergence), Sign::Anomaly(Name::InventedRecord)],
    ),
    log(
        Bug::ServeUncommitted,
        &[(1_500, Kind::PowerAllWhileHanging, 1_500), (2_000, Kind::PowerAllWhileHanging, 1_500)],
        &[Sign::Anomaly(Name::UnstableRead)],
    ),
    Trial {
        // A deposed reader is met after the pause.
        load: 12,
        ..log(
            Bug::ServeDeposed,
            &[(1_500, Kind::PauseLeader, 300)],
            &[Sign::Anomaly(Name::StaleFetch)],
        )
    },
    log(
        Bug::NoReadIndex,
        &[(1_500, Kind::IsolateLeader, 1_500)],
        &[Sign::Anomaly(Name::StaleFetch)],
    ),
    idempotent(
        Bug::LeadTooEarly,
        &[(1_500, Kind::KillLeader, 300), (2_000, Kind::KillLeader, 300)],
        TWICE,
    ),
    log(
        Bug::OffsetOffByOne,
        &[(1_500, Kind::Transfer, 300)],
        &[Sign::Anomaly(Name::InconsistentOffsets), Sign::Anomaly(Name::MissingAcked)],
    ),
    log(Bug::StaleLatest, &[], &[Sign::Anomaly(Name::StaleFetch)]),
    log(
        Bug::DropRecord,
        &[],
        &[Sign::Anomaly(Name::InconsistentOffsets), Sign::Anomaly(Name::MissingAcked)],
    ),
    log(Bug::BatchInPieces, &[], &[Sign::Anomaly(Name::TornBatch)]),
    log(
        Bug::WrongPartition,
        &[],
        &[Sign::Anomaly(Name::InventedRecord), Sign::Anomaly(Name::MissingAcked)],
    ),
    log(
        Bug::UnknownAsFailed,
        &[
            (1_500, Kind::PauseLeader, 300),
            (2_000, Kind::OneWay, 1_500),
            (2_500, Kind::KillLeader, 300),
            (3_000, Kind::OneWay, 1_500),
        ],
        &[Sign::Anomaly(Name::G1a)],
    ),
    log(
        Bug::RetryUnknown,
        &[
            (1_500, Kind::PauseLeader, 500),
            (2_000, Kind::KillLeader, 300),
            (2_500, Kind::PauseLeader, 500),
            (3_000, Kind::KillLeader, 300),
        ],
        &[Sign::Anomaly(Name::Duplicate)],
    ),
    Trial {
        partitions: 1,
        flags: &["--segment-bytes", "65536", "--retention-check-ms", "500"],
        ..log(Bug::RetentionTooFar, &[], &[Sign::Anomaly(Name::TrimmedTooFar)])
    },
    Trial {
        workload: Workload::Compacted,
        partitions: 2,
        load: 12,
        ..log(Bug::CompactTooFar, &[], &[Sign::Anomaly(Name::MissingAcked)])
    },
    log(Bug::ReuseWipedId, &[(1_500, Kind::Wipe, 300)], &[Sign::DoesNotHeal]),
    idempotent(
        Bug::DuplicateOnRetry,
        &[(1_500, Kind::ResponseCut, 1_500), (2_000, Kind::KillLeader, 300)],
        TWICE,
    ),
    idempotent(
        Bug::ForgetProducers,
        &[(1_500, Kind::KillLeader, 300), (2_000, Kind::PauseLeader, 300)],
        TWICE,
    ),
    idempotent(Bug::EpochUnchecked, &[], &[Sign::Anomaly(Name::ZombieWrite)]),
    Trial {
        // Some member has to oversleep, and then commit what another has by then.
        load: 60,
        ..group(
            Bug::NoGenerationCheck,
            &[],
            &[Sign::Anomaly(Name::Unfenced), Sign::Anomaly(Name::NonlinearCommit)],
        )
    },
    group(
        Bug::CommitInMemory,
        &[(4_000, Kind::KillCoordinator, 300), (5_000, Kind::KillCoordinator, 300)],
        &[Sign::Anomaly(Name::NonlinearCommit), Sign::Anomaly(Name::CommitBack)],
    ),
    group(Bug::TwoOwners, &[], &[Sign::Anomaly(Name::TwoOwners)]),
];

impl Trial {
    /// The trial of a bug.
    pub fn of(bug: Bug) -> Option<&'static Self> {
        TRIALS.iter().find(|trial| trial.bug == bug)
    }

    /// Its play, as a schedule; only the targets follow from the seed.
    pub fn schedule(&self, seed: u64) -> Schedule {
        play(self.acts.iter().copied(), seed)
    }

    /// The play of a control: all that is done in trials of a workload, each kind once.
    pub fn control(workload: Workload, trials: &[&Self], seed: u64) -> Schedule {
        let of_workload = trials.iter().filter(|trial| trial.workload == workload);
        let mut acts: Vec<(u64, Kind, u64)> =
            of_workload.flat_map(|trial| trial.acts).copied().collect();
        acts.sort_by_key(|(at_ms, kind, _)| (*kind, *at_ms));
        acts.dedup_by_key(|(_, kind, _)| *kind);
        acts.sort_by_key(|(at_ms, _, _)| *at_ms);
        play(acts.into_iter(), seed)
    }
}

fn play(acts: impl Iterator<Item = (u64, Kind, u64)>, seed: u64) -> Schedule {
    let strikes = (0..).zip(acts).map(|(place, (at_ms, kind, hold_ms))| Planned {
        at_ms,
        kind,
        hold_ms,
        seed: seed.wrapping_add(place),
    });
    Schedule { strikes: strikes.collect(), one_by_one: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_one_trial_and_something_to_be_found_as() {
        for bug in Bug::ALL {
            let trials = TRIALS.iter().filter(|trial| trial.bug == *bug);
            let signs: Vec<&[Sign]> = trials.map(|trial| trial.signs).collect();
            assert!(matches!(signs.as_slice(), [[_, ..]]), "{}: {signs:?}", bug.name());
        }
        assert!(TRIALS.len() >= 20);
    }

    #[test]
    fn a_control_does_all_that_is_done_each_kind_once() {
        let trials: Vec<&Trial> = TRIALS.iter().collect();
        let control = Trial::control(Workload::Log, &trials, 1);
        let mut kinds: Vec<Kind> = control.strikes.iter().map(|strike| strike.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, control.kinds());
        for trial in trials.iter().filter(|trial| trial.workload == Workload::Log) {
            for kind in trial.schedule(1).kinds() {
                assert!(kinds.contains(&kind), "{kind}");
            }
        }
    }
}
