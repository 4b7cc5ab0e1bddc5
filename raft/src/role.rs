//! What a replica is in its group.

use crate::NodeId;
use storage::Term;

/// The role of a replica. Only `Leading` serves writes and reads.
///
/// | from | event | to |
/// |---|---|---|
/// | any | hears of a newer term | `Following` |
/// | `Following` | election timeout, or told to take over | `Electing` |
/// | `Electing` | a majority votes for it | `Taking(term)` |
/// | `Taking(term)` | applied the blank entry of its own term | `Leading(term)` |
/// | `Taking`, `Leading` | loses its leadership | `Following` |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Follows `leader`, if it knows one.
    Following {
        /// The newest term it knows.
        term: Term,
        /// The leader of that term, if known.
        leader: Option<NodeId>,
    },
    /// Stands for election in `term`.
    Electing {
        /// The term it stands for.
        term: Term,
    },
    /// Won `term`, but does not know yet what its predecessors committed.
    Taking {
        /// The term it won.
        term: Term,
    },
    /// Leads `term` and serves.
    Leading {
        /// The term it leads.
        term: Term,
    },
}
