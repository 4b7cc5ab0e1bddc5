//! Bugs that are planted on purpose, so that the harness can prove that it finds such.
//!
//! They exist only under the feature `sabotage`, and then at most one is awake: the one that
//! [`VARIABLE`] names. Without the feature [`planted!`](crate::planted) is `false` where it stands, so
//! neither the code behind it nor a name reaches a binary; a test of the server's says so.
//!
//! Each is what somebody really got wrong, or easily could here: one `if` where the right thing is done.

use std::sync::OnceLock;

/// The environment variable that names the planted bug.
pub const VARIABLE: &str = "OTTLA_SABOTAGE";

macro_rules! bugs {
    ($($bug:ident = $name:literal $about:literal;)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug { $(#[doc = $about] $bug,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)*];

            /// What it is called.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name,)* }
            }

            /// What goes wrong.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$bug => $about,)* }
            }
        }
    };
}

bugs! {
    AckBeforeFsync      = "ack-before-fsync"      "an append counts as flushed before it is";
    IgnoreSyncError     = "ignore-fsync-error"    "a failed fsync is taken for one that went well";
    ChecksumUnchecked   = "checksum-unchecked"    "the checksum of a payload on disk is not verified";
    WrongCursor         = "wrong-cursor"          "a reader that comes back is put one entry too far";
    AckOnLeaderAlone    = "ack-on-leader-alone"   "the leader's own disk is enough for an acknowledgement";
    AckTruncated        = "ack-truncated"         "what the log was given is acknowledged in the end, whatever came of it";
    VoteNotStored       = "vote-not-stored"       "votes are forgotten in a restart";
    TailCommitted       = "tail-committed"        "a tail that others had replaced counts as committed after a power cut";
    TruncateNothing     = "truncate-nothing"      "a follower keeps its own entries where the leader has others";
    FollowerDiffers     = "follower-differs"      "a follower writes other bytes than it was sent";
    ServeUncommitted    = "serve-uncommitted"     "records are served before they are committed";
    ServeDeposed        = "serve-deposed"         "a deposed leader goes on to serve reads";
    NoReadIndex         = "no-read-index"         "a linearizable read does not confirm leadership";
    LeadTooEarly        = "lead-too-early"        "a new leader serves before it knows what was committed";
    OffsetOffByOne      = "offset-off-by-one"     "after a change of leader the offsets told are one too large";
    StaleLatest         = "stale-latest"          "the end of the log is told without its last record";
    DropRecord          = "drop-record"           "the third record of a batch is acknowledged and dropped";
    BatchInPieces       = "batch-in-pieces"       "a batch is appended record by record";
    WrongPartition      = "wrong-partition"       "now and then a record goes to the next partition";
    UnknownAsFailed     = "unknown-as-failed"     "an unknown outcome is called a definite failure";
    RetryUnknown        = "retry-unknown"         "a write whose outcome is unknown is sent again";
    RetentionTooFar     = "retention-too-far"     "retention removes sealed segments though there is no limit";
    CompactTooFar       = "compact-too-far"       "compaction takes the last record of a key as well";
    ReuseWipedId        = "reuse-wiped-id"        "a node that lost its disk is let in under its old id";
    DuplicateOnRetry    = "duplicate-on-retry"    "a batch that was sent again is appended again";
    ForgetProducers     = "forget-producers"      "a new leader knows no producers";
    EpochUnchecked      = "epoch-unchecked"       "an epoch of a producer that has a newer one is let write";
    NoGenerationCheck   = "no-generation-check"   "offsets are committed by whoever comes";
    CommitInMemory      = "commit-in-memory"      "committed offsets live in the coordinator's memory alone";
    TwoOwners           = "two-owners"            "a group gives one partition to several members";
}

impl Bug {
    /// The bug of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

/// Whether this bug is planted in this process. Asked through [`planted!`](crate::planted) only.
///
/// # Panics
/// If the variable names no bug: a run of it would prove nothing.
#[doc(hidden)]
pub fn is_planted(bug: Bug) -> bool {
    static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        let bug = Bug::named(&name).unwrap_or_else(|| panic!("{VARIABLE}: no bug {name:?}"));
        tracing::warn!(bug = name, "planted: {}", bug.about());
        Some(bug)
    });
    *planted == Some(bug)
}

/// Whether a bug is planted: `false` in every build without the feature `sabotage` of the crate that asks.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        cfg!(feature = "sabotage") && $crate::sabotage::is_planted($crate::sabotage::Bug::$bug)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_means_its_bug() {
        for bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(*bug));
        }
        assert_eq!(Bug::named("no-such-bug"), None);
    }

    #[test]
    fn nothing_is_planted_unless_it_is_asked_for() {
        for bug in Bug::ALL {
            assert!(!is_planted(*bug));
        }
        assert!(!planted!(AckBeforeFsync));
    }
}
