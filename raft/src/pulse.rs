//! The pulse of a node's groups: when a leader beats, and whose election clock runs.
//!
//! Each beat and each tick of openraft's clock wakes a core, used or not, and a node has a thousand of them.
//! So at rest there are few of either:
//!
//! | a group that | does, in a round |
//! |---|---|
//! | leads and has applied something since the last round | beat: its followers learn what is committed |
//! | leads and is at rest | beat in every n-th round, in turn with others |
//! | follows and has heard its leader within `election_min` | nothing: no election can be due |
//! | follows and has not | let openraft's clock run, and stand when that says so |
//!
//! Two beats at rest are at most three quarters of `election_min` apart, and openraft's lease on a leader lasts
//! `election_max`: one beat may be lost or late without a word about elections. None of this is needed for
//! safety.

use crate::{Group, Role, Timing};
use futures::future::FutureExt;
use std::sync::Mutex;
use storage::{GroupId, Index};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What is known of one group.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Signs>);

#[derive(Debug, Default)]
struct Signs {
    /// When its leader was heard last.
    heard: Option<Instant>,
    /// What was applied in the last round.
    applied: Option<Index>,
}

/// What a group does in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Beat,
    Rest,
    RunClock,
}

impl Pulse {
    /// Its leader spoke, and was accepted as such.
    pub(crate) fn hear(&self) {
        self.signs().heard = Some(Instant::now());
    }

    fn act(&self, role: Role, applied: Option<Index>, is_turn: bool, since: Instant) -> Act {
        let mut signs = self.signs();
        let moved = signs.applied != applied;
        signs.applied = applied;
        match role {
            Role::Leading { .. } | Role::Taking { .. } if moved || is_turn => Act::Beat,
            Role::Leading { .. } | Role::Taking { .. } => Act::Rest,
            Role::Following { .. } | Role::Electing { .. } => match signs.heard {
                Some(heard) if heard >= since => Act::Rest,
                Some(_) | None => Act::RunClock,
            },
        }
    }

    fn signs(&self) -> std::sync::MutexGuard<'_, Signs> {
        self.0.lock().expect("no one panics while noting a sign")
    }
}

/// In how many rounds a group at rest beats once.
fn rounds_at_rest(timing: Timing) -> u64 {
    let rounds = (timing.election_min * 3 / 4).as_millis() / timing.heartbeat.as_millis().max(1);
    u64::try_from(rounds).unwrap_or(1).max(1)
}

/// Goes its rounds until the node closes. All that beat in a round do so at once: the transport packs them
/// per peer.
pub(crate) async fn run(
    groups: impl Fn() -> Vec<Group>,
    timing: Timing,
    closing: CancellationToken,
) {
    let mut rounds = interval(timing.heartbeat);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let at_rest = rounds_at_rest(timing);
    for round in 0.. {
        let now = tokio::select! {
            () = closing.cancelled() => return,
            now = rounds.tick() => now,
        };
        for group in groups() {
            let raft = &group.inner.raft;
            let applied = group.inner.replica.watermark.borrow().applied;
            let is_turn = is_turn(round, group.id(), at_rest);
            // A clock that began less than `election_min` ago has no such moment: then nobody counts as heard.
            let since = now.checked_sub(timing.election_min).unwrap_or(now);
            let act = group.inner.pulse.act(group.role(), applied, is_turn, since);
            raft.runtime_config().tick(act == Act::RunClock);
            if act == Act::Beat {
                // Never waits: a core whose queue is full gets its beat next time.
                drop(raft.trigger().heartbeat().now_or_never());
            }
        }
    }
}

fn is_turn(round: u64, group: GroupId, at_rest: u64) -> bool {
    group.get().wrapping_add(round).is_multiple_of(at_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use std::time::Duration;
    use storage::Term;

    const TERM: Term = Term::new(3);
    const LEADS: Role = Role::Leading { term: TERM };
    const FOLLOWS: Role = Role::Following { term: TERM, leader: Some(NodeId(2)) };

    #[test]
    fn a_leader_beats_in_its_turn_and_whenever_something_was_applied() {
        let pulse = Pulse::default();
        let now = Instant::now();
        let applied = Some(Index::new(7));
        for (applied, is_turn, expected) in [
            (None, false, Act::Rest),
            (None, true, Act::Beat),
            (applied, false, Act::Beat),
            (applied, false, Act::Rest),
            (applied, true, Act::Beat),
        ] {
            assert_eq!(pulse.act(LEADS, applied, is_turn, now), expected);
        }
        assert_eq!(pulse.act(Role::Taking { term: TERM }, None, false, now), Act::Beat);
    }

    #[test]
    fn the_clock_of_a_follower_runs_unless_its_leader_was_heard() {
        let pulse = Pulse::default();
        let before = Instant::now();
        for role in [FOLLOWS, Role::Electing { term: TERM }] {
            assert_eq!(pulse.act(role, None, true, before), Act::RunClock);
        }
        pulse.hear();
        assert_eq!(pulse.act(FOLLOWS, None, true, before), Act::Rest);
        let later = Instant::now() + Duration::from_millis(1);
        assert_eq!(pulse.act(FOLLOWS, None, true, later), Act::RunClock);
    }

    #[test]
    fn at_rest_beats_are_less_than_an_election_timeout_apart() {
        for (heartbeat, election_min, expected) in
            [(150, 600, 3), (100, 600, 4), (300, 600, 1), (250, 500, 1), (1, 2, 1)]
        {
            let timing = Timing {
                heartbeat: Duration::from_millis(heartbeat),
                election_min: Duration::from_millis(election_min),
                election_max: Duration::from_secs(1),
            };
            assert_eq!(rounds_at_rest(timing), expected);
            assert!(heartbeat * expected < election_min);
        }
    }

    #[test]
    fn each_group_at_rest_has_one_turn_and_they_are_spread() {
        let turns =
            |group: u64| (0..3).filter(move |round| is_turn(*round, GroupId::new(group), 3));
        let all: Vec<u64> = (0..3).flat_map(turns).collect();
        assert_eq!(all, [0, 2, 1]);
        assert!((0..9).all(|round| is_turn(round, GroupId::new(5), 1)));
    }
}
