//! Positions, each its own type: an index is never an offset.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Zero, where everything starts.
            pub const ZERO: Self = Self(0);

            /// Wraps the number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The position `count` further on.
            ///
            /// # Panics
            /// At the end of the number's range, which no log reaches.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                match self.0.checked_add(count) {
                    Some(value) => Self(value),
                    None => panic!("a position ran past u64::MAX"),
                }
            }

            /// The position right after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }

            /// The position right before this one, if there is one.
            pub const fn previous(self) -> Option<Self> {
                match self.0.checked_sub(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position! {
    /// Where an entry stands in a group's Raft log. Dense, from 0.
    Index
}
position! {
    /// Where a record stands in a partition. Dense, from 0; what consumers see.
    Offset
}
position! {
    /// A Raft term; for a partition also Kafka's leader epoch.
    Term
}
position! {
    /// One Raft group: 0 is the cluster's metadata.
    GroupId
}

/// A Raft log id: which entry, written in which term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The leader's term.
    pub term: Term,
    /// The entry's place in the log.
    pub index: Index,
}

impl Position {
    /// The entry at `index`, written in `term`.
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}
