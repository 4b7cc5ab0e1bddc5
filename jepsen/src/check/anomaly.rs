//! What can be wrong with a history, by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::history::{Header, Key, SubscribedBy};
use crate::index::{Index, OpId};

/// How many anomalies of one name are kept with all they say; the others are counted.
const SHOWN_MAX: u64 = 32;

/// Names every anomaly, its spelling, and the sentence that a person reads.
macro_rules! names {
    ($($variant:ident $word:literal $meaning:literal,)*) => {
        /// The name of an anomaly. Those of `jepsen.tests.kafka` are spelled as there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name {
            $(#[doc = $meaning] $variant,)*
        }

        impl Name {
            /// All of them.
            pub const ALL: &[Name] = &[$(Name::$variant,)*];

            /// As it is written.
            pub fn word(self) -> &'static str {
                match self { $(Name::$variant => $word,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Name::$variant => $meaning,)* }
            }
        }
    };
}

names! {
    InconsistentOffsets "inconsistent-offsets" "one offset shows several values",
    Duplicate "duplicate" "one value stands at several offsets",
    DuplicateAfterInfo "duplicate-after-info" "a value whose send nobody knows the end of stands at several offsets",
    LostWrite "lost-write" "a value that must exist was never read, though later ones were",
    Unseen "unseen" "an acknowledged value was never read by anyone",
    G1a "G1a" "a value was read whose send certainly failed",
    PrecommittedRead "precommitted-read" "a transaction read what it had itself sent",
    PollSkip "poll-skip" "a consumer's next poll left something out",
    NonmonotonicPoll "nonmonotonic-poll" "a consumer's next poll went back",
    NonmonotonicSend "nonmonotonic-send" "a producer's next send stands before its last",
    IntPollSkip "int-poll-skip" "something is left out inside one poll",
    IntNonmonotonicPoll "int-nonmonotonic-poll" "one poll goes back inside itself",
    IntSendSkip "int-send-skip" "something stands between the records of one send",
    IntNonmonotonicSend "int-nonmonotonic-send" "the records of one send stand in another order",
    G0 "G0" "writes depend on each other in a circle",
    G0Process "G0-process" "writes and the order inside processes form a circle",
    G0Realtime "G0-realtime" "writes and real time form a circle",
    G1c "G1c" "reads and writes depend on each other in a circle",
    G1cProcess "G1c-process" "reads, writes and the order inside processes form a circle",
    G1cRealtime "G1c-realtime" "reads, writes and real time form a circle",
    NonlinearAppend "nonlinear-append" "a send stands before another that was over when it began",
    StaleFetch "stale-fetch" "a linearizable read did not know what was acknowledged before it began",
    HighWatermarkBack "high-watermark-back" "a high watermark went back",
    UnstableRead "unstable-read" "what a read showed is not in the final log",
    InventedRecord "invented-record" "a log holds what nobody sent, or other bytes",
    MissingAcked "missing-acked" "an acknowledged record is not in the final log",
    IdempotenceBroken "idempotence-broken" "one sequence number of a producer has several offsets",
    ZombieWrite "zombie-write" "an older epoch of a producer wrote after a newer one",
    TornBatch "torn-batch" "a batch is not whole or not in one piece",
    ReplicaDivergence "replica-divergence" "replicas differ below the high watermark",
    LogStartBack "log-start-back" "a log start went back",
    TrimmedTooFar "trimmed-too-far" "a log starts beyond everything that was asked to be trimmed",
    RefusedInside "refused-inside" "an offset inside the log was refused as out of range",
    TwoOwners "two-owners" "two members own one partition in one generation",
    UnownedPartition "unowned-partition" "a stable group leaves a subscribed partition to nobody",
    AssignmentMismatch "assignment-mismatch" "a member holds what its coordinator did not mean for it",
    GenerationBack "generation-back" "a group's generation went back",
    Unfenced "unfenced" "a fenced member was still let do something",
    NonlinearCommit "nonlinear-commit" "committed offsets are no linearizable register",
    CommitBack "commit-back" "a committed offset went back",
    CommitTooFar "commit-too-far" "more is committed than was ever polled",
    Undelivered "undelivered" "a record below the committed offset was given to no member",
    Redelivered "redelivered" "a member was given a record twice without a reason",
    NonlinearRegister "nonlinear-register" "topics or settings are no linearizable register",
}

impl Name {
    /// Whether a correct system of this kind may show it.
    pub fn is_allowed(self, header: &Header) -> bool {
        match self {
            Name::IntSendSkip
            | Name::DuplicateAfterInfo
            | Name::G0
            | Name::G0Process
            | Name::G0Realtime => true,
            Name::PollSkip | Name::NonmonotonicPoll => {
                header.subscribed_by == SubscribedBy::Subscribe
            }
            Name::G1c | Name::G1cProcess | Name::G1cRealtime => header.ww_deps,
            Name::InconsistentOffsets
            | Name::Duplicate
            | Name::LostWrite
            | Name::Unseen
            | Name::G1a
            | Name::PrecommittedRead
            | Name::NonmonotonicSend
            | Name::IntPollSkip
            | Name::IntNonmonotonicPoll
            | Name::IntNonmonotonicSend
            | Name::NonlinearAppend
            | Name::StaleFetch
            | Name::HighWatermarkBack
            | Name::UnstableRead
            | Name::InventedRecord
            | Name::MissingAcked
            | Name::IdempotenceBroken
            | Name::ZombieWrite
            | Name::TornBatch
            | Name::ReplicaDivergence
            | Name::LogStartBack
            | Name::TrimmedTooFar
            | Name::RefusedInside
            | Name::TwoOwners
            | Name::UnownedPartition
            | Name::AssignmentMismatch
            | Name::GenerationBack
            | Name::Unfenced
            | Name::NonlinearCommit
            | Name::CommitBack
            | Name::CommitTooFar
            | Name::Undelivered
            | Name::Redelivered
            | Name::NonlinearRegister => false,
        }
    }

    /// What `jepsen.tests.kafka` calls it; `None` if it does not look for it.
    pub fn original(self) -> Option<&'static str> {
        match self {
            Name::InconsistentOffsets
            | Name::Duplicate
            | Name::LostWrite
            | Name::Unseen
            | Name::G1a
            | Name::PrecommittedRead
            | Name::PollSkip
            | Name::NonmonotonicPoll
            | Name::NonmonotonicSend
            | Name::IntPollSkip
            | Name::IntNonmonotonicPoll
            | Name::IntSendSkip
            | Name::IntNonmonotonicSend
            | Name::G0
            | Name::G0Realtime
            | Name::G1c
            | Name::G1cRealtime => Some(self.word()),
            // It asks no send whether it may be doubled.
            Name::DuplicateAfterInfo => Some(Name::Duplicate.word()),
            // It draws real time only, which has the order inside processes in it.
            Name::G0Process => Some(Name::G0Realtime.word()),
            Name::G1cProcess => Some(Name::G1cRealtime.word()),
            Name::NonlinearAppend
            | Name::StaleFetch
            | Name::HighWatermarkBack
            | Name::UnstableRead
            | Name::InventedRecord
            | Name::MissingAcked
            | Name::IdempotenceBroken
            | Name::ZombieWrite
            | Name::TornBatch
            | Name::ReplicaDivergence
            | Name::LogStartBack
            | Name::TrimmedTooFar
            | Name::RefusedInside
            | Name::TwoOwners
            | Name::UnownedPartition
            | Name::AssignmentMismatch
            | Name::GenerationBack
            | Name::Unfenced
            | Name::NonlinearCommit
            | Name::CommitBack
            | Name::CommitTooFar
            | Name::Undelivered
            | Name::Redelivered
            | Name::NonlinearRegister => None,
        }
    }

    /// The name that is written so.
    pub fn of(word: &str) -> Option<Name> {
        Name::ALL.iter().copied().find(|name| name.word() == word)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// What kind.
    pub name: Name,
    /// With which partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The events that show it, ascending.
    pub events: Vec<u64>,
    /// A sentence with the numbers.
    pub what: String,
}

/// What a check found.
#[derive(Default)]
pub struct Found {
    /// How many of each name.
    pub counts: BTreeMap<Name, u64>,
    /// The first of each name.
    pub shown: Vec<Anomaly>,
}

/// What an anomaly points at: operations, both ends of which are shown, and single events.
pub(super) struct Proof<'a> {
    /// Operations.
    pub ops: &'a [OpId],
    /// Events.
    pub events: &'a [Option<u32>],
}

impl<'a> Proof<'a> {
    /// Only operations.
    pub(super) fn ops(ops: &'a [OpId]) -> Proof<'a> {
        Proof { ops, events: &[] }
    }

    /// Only events.
    pub(super) fn events(events: &'a [Option<u32>]) -> Proof<'a> {
        Proof { ops: &[], events }
    }
}

impl Found {
    /// Counts one and keeps it if there are few of its name.
    #[expect(clippy::too_many_arguments, reason = "every check says all of them, at one place")]
    pub(super) fn add(
        &mut self,
        index: &Index,
        name: Name,
        key: Option<Key>,
        proof: &Proof<'_>,
        what: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        if *count > SHOWN_MAX {
            return;
        }
        let mut events = index.events_of(proof.ops);
        events.extend(proof.events.iter().flatten().map(|event| u64::from(*event)));
        events.sort_unstable();
        events.dedup();
        self.shown.push(Anomaly { name, key, events, what: what() });
    }

    /// Adds what another check found.
    pub fn merge(&mut self, other: Found) {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.shown.extend(other.shown);
    }
}
