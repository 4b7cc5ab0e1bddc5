//! Plays that are always the same: schedules that broke others.

use super::schedule::{Planned, Schedule};
use crate::fault::Kind;

/// A play.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// When, what, and how long, in milliseconds.
    acts: &'static [(u64, Kind, u64)],
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rotated-quorum",
        about: "stop A; B and C acknowledge; cut C's power; A goes on, stop B (NATS #7567)",
        acts: &[
            (3_000, Kind::RotatedQuorum, 3_000),
            (4_000, Kind::RotatedQuorum, 3_000),
            (5_000, Kind::RotatedQuorum, 3_000),
        ],
    },
    Scenario {
        name: "isolated-leader",
        about: "cut a leader off from its followers while clients write to it; heal",
        acts: &[
            (3_000, Kind::IsolateLeader, 2_000),
            (4_000, Kind::IsolateLeader, 300),
            (5_000, Kind::ResponseCut, 2_000),
            (6_000, Kind::IsolateLeader, 5_000),
        ],
    },
    Scenario {
        name: "replaced-tail",
        about: "cut a leader off, heal, cut its power while its successor's records replace its own",
        acts: &[
            (3_000, Kind::PowerWhileReplaced, 500),
            (4_000, Kind::PowerWhileReplaced, 500),
            (5_000, Kind::PowerWhileReplaced, 500),
        ],
    },
    Scenario {
        name: "wiped-node",
        about: "a node returns with an empty disk under its old id, and must be refused",
        acts: &[(3_000, Kind::Wipe, 1_000)],
    },
    Scenario {
        name: "fsync-error",
        about: "a leader's fsync fails, then its power is cut",
        acts: &[(3_000, Kind::PowerAfterError, 2_000), (4_000, Kind::PowerAfterError, 200)],
    },
    Scenario {
        name: "rolling-restart",
        about: "every node ends in good order and starts again, one after the other",
        acts: &[(3_000, Kind::RollingRestart, 0), (4_000, Kind::RollingRestart, 0)],
    },
];

impl Scenario {
    /// The play of that name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            format!("no scenario {name:?}; there are {}", names.join(", "))
        })
    }

    /// As a schedule; only the targets follow from the seed.
    pub fn schedule(&self, seed: u64) -> Schedule {
        let strikes = (0..).zip(self.acts).map(|(place, (at_ms, kind, hold_ms))| Planned {
            at_ms: *at_ms,
            kind: *kind,
            hold_ms: *hold_ms,
            seed: seed.wrapping_add(place),
        });
        Schedule { strikes: strikes.collect(), one_by_one: true }
    }
}
