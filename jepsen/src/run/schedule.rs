//! What is done when: all of it drawn from the seed before the run begins, so that a seed says it all.
//!
//! Targets are drawn when a strike begins, from the strike's own seed: who leads then is the cluster's choice.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Profile;
use crate::fault::Kind;
use crate::workload::dice;

/// The stream of the run's seed that the schedule draws from.
const STREAM: u64 = 1_000_000;
/// The mean time between two strikes, over all classes, for each node that may be faulty.
const GAP_MEAN: Duration = Duration::from_secs(6);
/// How long a harm lasts.
const HOLD_MS: std::ops::Range<u64> = 500..5000;
/// Nothing is done so early, or so near to the end.
const MARGIN: Duration = Duration::from_secs(3);

/// One strike to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When, since the load began.
    pub at_ms: u64,
    /// What.
    #[serde(with = "by_name")]
    pub kind: Kind,
    /// How long it lasts, where it lasts.
    pub hold_ms: u64,
    /// Its draws follow from it.
    pub seed: u64,
}

/// All strikes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// In the order of their times.
    pub strikes: Vec<Planned>,
    /// Whether each waits for the one before it.
    pub one_by_one: bool,
}

impl Schedule {
    /// Of a profile: everything it demands, in a drawn order, one after the other over `time`.
    pub fn of_profile(profile: Profile, seed: u64, time: Duration, possible: &[Kind]) -> Self {
        let mut dice = dice(seed, STREAM);
        let mut kinds: Vec<Kind> =
            profile.demands().iter().copied().filter(|kind| possible.contains(kind)).collect();
        kinds.shuffle(&mut dice);
        let gap = time.saturating_sub(MARGIN) / u32::try_from(kinds.len().max(1)).unwrap_or(1);
        let strikes = (0..).zip(kinds).map(|(place, kind)| {
            let at = MARGIN + gap * place;
            planned(at, kind, &mut dice)
        });
        Self { strikes: strikes.collect(), one_by_one: true }
    }

    /// Of random strikes: each class comes again and again with exponential gaps, all at once.
    pub fn random(seed: u64, time: Duration, kinds: &[Kind], minority: u32) -> Self {
        let mut dice = dice(seed, STREAM);
        let mut classes: Vec<&str> = kinds.iter().map(|kind| kind.class()).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut strikes = Vec::new();
        let mean = GAP_MEAN * u32::try_from(classes.len()).unwrap_or(1) / minority.max(1);
        for class in classes {
            let of_class: Vec<Kind> =
                kinds.iter().copied().filter(|kind| kind.class() == class).collect();
            let mut at = MARGIN + exponential(mean / 2, &mut dice);
            while at + MARGIN < time {
                if let Some(kind) = of_class.choose(&mut dice) {
                    strikes.push(planned(at, *kind, &mut dice));
                }
                at += exponential(mean, &mut dice);
            }
        }
        strikes.sort_by_key(|strike| strike.at_ms);
        Self { strikes, one_by_one: false }
    }

    /// The kinds in it, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.strikes.iter().map(|strike| strike.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Reads one that was written.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        serde_json::from_str(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }

    /// Writes it, to be replayed.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
    }
}

fn planned(at: Duration, kind: Kind, dice: &mut ChaCha8Rng) -> Planned {
    let hold_ms = dice.random_range(HOLD_MS);
    let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    Planned { at_ms, kind, hold_ms, seed: dice.random() }
}

fn exponential(mean: Duration, dice: &mut ChaCha8Rng) -> Duration {
    let share: f64 = dice.random_range(f64::EPSILON..1.0);
    mean.mul_f64(-share.ln())
}

mod by_name {
    use super::{FromStr, Kind};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
        Kind::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_mins(2);

    #[test]
    fn a_seed_says_it_all_and_another_says_something_else() {
        let of = |seed| Schedule::random(seed, TIME, Kind::ALL, 1);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(of(1).strikes.len() > 10);
        let last = of(1).strikes.last().unwrap().at_ms;
        assert!(last < 120_000, "{last}");
    }

    #[test]
    fn a_profile_holds_all_that_it_demands() {
        let schedule = Schedule::of_profile(Profile::Ci, 3, TIME, Kind::ALL);
        let kills = schedule.strikes.iter().filter(|strike| strike.kind == Kind::KillLeader);
        assert_eq!(kills.count(), 4);
        assert_eq!(schedule.strikes.len(), Profile::Ci.demands().len());
    }

    #[test]
    fn a_schedule_that_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("schedule.json");
        let schedule = Schedule::random(5, TIME, Kind::ALL, 1);
        schedule.write(&path).unwrap();
        assert_eq!(Schedule::read(&path).unwrap(), schedule);
    }
}
