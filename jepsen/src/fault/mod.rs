//! Harm, one kind per row: done, undone, and its effect measured.
//!
//! A strike is one injection of one kind. It claims the nodes it makes faulty from the [`Budget`], tells the
//! history when it begins and ends, and measures what it did by looking from outside: a term that advanced,
//! bytes that are gone, packets that were dropped, calls that failed. What measured nothing proved nothing.

mod budget;
mod clock;
mod deposed;
mod disk_full;
mod effect;
mod flap;
mod flip;
mod kill;
mod link;
mod partition;
mod pause;
mod power;
mod restart;
mod stage;
mod sync;
mod topics;
mod torn;
mod wipe;

use std::fmt;
use std::str::FromStr;

pub use budget::{Budget, Claim};
pub use effect::Effect;
pub use stage::{Arena, Stage, Trouble};

use crate::doctor::Need;

macro_rules! kinds {
    ($(#[doc = $about:literal] $kind:ident = $name:literal $class:literal [$($need:ident)*] $strike:expr;)*) => {
        /// A kind of harm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $about] $kind,)* }

        impl Kind {
            /// Every kind, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its name, as in histories.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What it does, in words.
            pub fn about(self) -> &'static str {
                match self { $(Self::$kind => $about.trim(),)* }
            }

            /// The class that `--faults` names.
            pub const fn class(self) -> &'static str {
                match self { $(Self::$kind => $class,)* }
            }

            /// What it needs.
            pub const fn needs(self) -> &'static [Need] {
                match self { $(Self::$kind => &[$(Need::$need),*],)* }
            }

            /// Does it, undoes it, and says what came of it.
            pub(crate) async fn strike(self, stage: &mut Stage) -> Result<Effect, Trouble> {
                match self { $(Self::$kind => Box::pin($strike(stage)).await,)* }
            }
        }
    };
}

kinds! {
    /// `kill -9` of a partition's leader.
    KillLeader        = "kill-leader"         "kill"      []          kill::leader;
    /// `kill -9` of the consumer group's coordinator.
    KillCoordinator   = "kill-coordinator"    "kill"      [Groups]    kill::coordinator;
    /// `kill -9` of one that does not lead.
    KillFollower      = "kill-follower"       "kill"      []          kill::follower;
    /// `kill -9` of a majority at once.
    KillMajority      = "kill-majority"       "kill"      []          kill::majority;
    /// `kill -9` of all at once.
    KillAll           = "kill-all"            "kill"      []          kill::all;
    /// SIGSTOP of a partition's leader, and SIGCONT.
    PauseLeader       = "pause-leader"        "pause"     []          pause::leader;
    /// SIGSTOP of one that does not lead, and SIGCONT.
    PauseFollower     = "pause-follower"      "pause"     []          pause::follower;
    /// SIGTERM of a leader, which hands its leaderships over; started again.
    Transfer          = "transfer"            "restart"   []          restart::leader;
    /// SIGTERM and start of every node, one after the other.
    RollingRestart    = "rolling-restart"     "restart"   []          restart::rolling;
    /// A leader hears and is heard by no other node; clients still reach it.
    IsolateLeader     = "isolate-leader"      "partition" []          partition::isolate_leader;
    /// A minority and a majority that do not hear each other.
    Halves            = "partition"           "partition" []          partition::halves;
    /// A leader is heard, but hears nobody; or the other way round.
    OneWay            = "one-way"             "partition" []          partition::one_way;
    /// Two halves that only one node hears both of.
    Bridge            = "bridge"              "partition" [FiveNodes] partition::bridge;
    /// Every node hears a majority, no two the same one.
    Ring              = "ring"                "partition" [FiveNodes] partition::ring;
    /// A deposed leader comes back among voters that were killed and started again.
    DeposedReturns    = "deposed-returns"     "partition" []          deposed::returns;
    /// Clients do not reach a leader; the nodes do.
    ClientCut         = "client-cut"          "partition" []          partition::client_cut;
    /// The answers of a leader do not reach the clients; their requests reach it.
    ResponseCut       = "response-cut"        "partition" []          partition::response_cut;
    /// A follower's links go down and up many times.
    Flap              = "flap"                "partition" []          flap::follower;
    /// Everything to and from a node comes late.
    SlowLink          = "slow-link"           "link"      []          link::slow;
    /// A node's links carry little.
    NarrowLink        = "narrow-link"         "link"      []          link::narrow;
    /// A node's links lose packets.
    LossyLink         = "lossy-link"          "link"      [Packets]   link::lossy;
    /// A node's links double packets.
    DoublingLink      = "doubling-link"       "link"      [Packets]   link::doubling;
    /// The power of one node is cut.
    PowerOne          = "power-cut"           "power"     [Volumes]   power::one;
    /// One node after the other, each before the last one is in sync again.
    PowerRotating     = "power-cut-rotating"  "power"     [Volumes]   power::rotating;
    /// The power of all is cut at once.
    PowerAll          = "power-cut-all"       "power"     [Volumes]   power::all;
    /// The quorum moves to the node that was stopped and the one whose power was cut.
    RotatedQuorum     = "rotated-quorum"      "power"     [Volumes]   power::rotated_quorum;
    /// A leader that was cut off loses its power while its records are replaced.
    PowerWhileReplaced = "power-cut-while-replaced" "power" [Volumes Tampering] power::while_replaced;
    /// A leader whose syncs fail loses its power.
    PowerAfterError   = "fsync-error-power-cut" "power" [Volumes Tampering] power::after_sync_error;
    /// The power of all is cut while nobody's syncs succeed.
    PowerAllAfterError = "fsync-error-power-cut-all" "power" [Volumes Tampering] power::all_after_sync_error;
    /// The power of all is cut while everybody's syncs hang.
    PowerAllWhileHanging = "fsync-hangs-power-cut-all" "power" [Volumes Tampering] power::all_while_sync_hangs;
    /// Syncs of a leader fail.
    SyncError         = "fsync-error"         "disk"      [Tampering] sync::error;
    /// Syncs of a node do nothing and say that they did.
    SyncLie           = "fsync-lie"           "disk"      [Tampering] sync::lie;
    /// Syncs of a node take long.
    SyncSlow          = "fsync-slow"          "disk"      [Tampering] sync::slow;
    /// Writes of a node find no space.
    NoSpace           = "no-space"            "disk"      [Tampering] sync::no_space;
    /// The disk of a node is full.
    DiskFull          = "disk-full"           "disk"      [Volumes]   disk_full::strike;
    /// Garbage behind the end of a dead node's logs, as a torn write leaves it.
    TornTail          = "torn-tail"           "data"      [Segments]  torn::strike;
    /// A flipped bit in a log of a dead follower.
    BitFlip           = "bit-flip"            "data"      [Segments]  flip::strike;
    /// A node comes back with an empty disk under its old id.
    Wipe              = "wipe"                "data"      []          wipe::strike;
    /// A node's clock jumps, forth and back.
    ClockJump         = "clock-jump"          "clock"     [Clock]     clock::jump;
    /// Topics come and go.
    TopicChurn        = "topic-churn"         "topics"    []          topics::churn;
}

impl Kind {
    /// The classes, each once.
    pub fn classes() -> Vec<&'static str> {
        let mut classes: Vec<_> = Self::ALL.iter().map(|kind| kind.class()).collect();
        classes.dedup();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// The kinds that a name means: itself, or all of a class.
    pub fn named(name: &str) -> Result<Vec<Self>, String> {
        let meant: Vec<Self> = Self::ALL
            .iter()
            .copied()
            .filter(|kind| kind.name() == name || kind.class() == name)
            .collect();
        // A kind may have the name of its class.
        let exact: Vec<Self> = meant.iter().copied().filter(|kind| kind.class() == name).collect();
        match (exact.is_empty(), meant.is_empty()) {
            (false, _) => Ok(exact),
            (true, false) => Ok(meant),
            (true, true) => {
                Err(format!("no fault {name:?}; the classes are {}", Self::classes().join(", ")))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kind = Self::ALL.iter().copied().find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("no fault {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_kind_and_a_class_all_of_it() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert!(Kind::named(kind.class()).unwrap().contains(kind));
        }
        assert_eq!(Kind::named("kill-all").unwrap(), [Kind::KillAll]);
        assert_eq!(Kind::named("partition").unwrap().len(), 9);
        assert!(Kind::named("flood").unwrap_err().contains("partition"));
    }
}
