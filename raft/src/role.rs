//! What a replica is in its group.

use crate::NodeId;
use storage::{Term, planted};

/// The role of a replica. Only `Leading` serves writes and reads.
///
/// | from | event | to |
/// |---|---|---|
/// | any | `Follows`: hears of a newer term, or of its leader | `Following` |
/// | any | `Stands`: election timeout, or told to take over | `Electing` |
/// | any | `Wins`: a majority voted for it | `Taking(term)` |
/// | `Taking(term)`, `Leading(term)` | `Wins` the same term: said again | as it was |
/// | `Taking(term)` | `Applied` the blank entry of its own term | `Leading(term)` |
/// | any other | `Applied` | as it was |
/// | any | anything of an older term | as it was |
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

/// What a replica learns of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It follows, or is no voter.
    Follows {
        /// The newest term it knows.
        term: Term,
        /// The leader of that term, if known.
        leader: Option<NodeId>,
    },
    /// It asks for votes.
    Stands {
        /// In this term.
        term: Term,
    },
    /// It has a majority.
    Wins {
        /// In this term.
        term: Term,
    },
    /// It applied an entry.
    Applied {
        /// Written in this term.
        term: Term,
    },
}

impl Role {
    /// The role after an event: the table above, and nothing else.
    pub(crate) fn on(self, event: Event) -> Self {
        if event.term() < self.term() {
            return self;
        }
        match (self, event) {
            (Self::Leading { .. }, Event::Follows { .. }) if planted!(ServeDeposed) => self,
            (_, Event::Wins { term }) if planted!(LeadTooEarly) => Self::Leading { term },
            (_, Event::Follows { term, leader }) => Self::Following { term, leader },
            (_, Event::Stands { term }) => Self::Electing { term },
            (Self::Taking { term: own } | Self::Leading { term: own }, Event::Wins { term })
                if own == term =>
            {
                self
            }
            (_, Event::Wins { term }) => Self::Taking { term },
            (Self::Taking { term: own }, Event::Applied { term }) if own == term => {
                Self::Leading { term }
            }
            (_, Event::Applied { .. }) => self,
        }
    }

    /// The newest term it knows.
    pub fn term(self) -> Term {
        match self {
            Self::Following { term, .. }
            | Self::Electing { term }
            | Self::Taking { term }
            | Self::Leading { term } => term,
        }
    }
}

impl Event {
    fn term(self) -> Term {
        match self {
            Self::Follows { term, .. }
            | Self::Stands { term }
            | Self::Wins { term }
            | Self::Applied { term } => term,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Term = Term::new(3);
    const NOW: Term = Term::new(4);
    const NEW: Term = Term::new(5);
    const FOLLOWING: Role = Role::Following { term: NOW, leader: Some(NodeId(2)) };

    fn every_role() -> [Role; 4] {
        [
            FOLLOWING,
            Role::Electing { term: NOW },
            Role::Taking { term: NOW },
            Role::Leading { term: NOW },
        ]
    }

    #[test]
    fn any_role_follows_when_it_hears_of_a_newer_term() {
        for role in every_role() {
            let after = role.on(Event::Follows { term: NEW, leader: None });
            assert_eq!(after, Role::Following { term: NEW, leader: None });
        }
    }

    #[test]
    fn any_role_stands_in_a_newer_term() {
        for role in every_role() {
            assert_eq!(role.on(Event::Stands { term: NEW }), Role::Electing { term: NEW });
        }
    }

    #[test]
    fn any_role_that_wins_a_newer_term_takes_it() {
        for role in every_role() {
            assert_eq!(role.on(Event::Wins { term: NEW }), Role::Taking { term: NEW });
        }
    }

    #[test]
    fn a_candidate_that_wins_takes() {
        let role = Role::Electing { term: NOW };
        assert_eq!(role.on(Event::Wins { term: NOW }), Role::Taking { term: NOW });
    }

    #[test]
    fn winning_said_again_changes_nothing() {
        for role in [Role::Taking { term: NOW }, Role::Leading { term: NOW }] {
            assert_eq!(role.on(Event::Wins { term: NOW }), role);
        }
    }

    #[test]
    fn taking_leads_once_its_own_blank_is_applied() {
        let role = Role::Taking { term: NOW };
        assert_eq!(role.on(Event::Applied { term: OLD }), role);
        assert_eq!(role.on(Event::Applied { term: NOW }), Role::Leading { term: NOW });
    }

    #[test]
    fn applying_alone_makes_no_leader() {
        for role in [FOLLOWING, Role::Electing { term: NOW }, Role::Leading { term: NOW }] {
            assert_eq!(role.on(Event::Applied { term: NOW }), role);
        }
    }

    #[test]
    fn a_leader_that_loses_its_leadership_follows() {
        for role in [Role::Taking { term: NOW }, Role::Leading { term: NOW }] {
            assert_eq!(
                role.on(Event::Follows { term: NOW, leader: None }),
                Role::Following { term: NOW, leader: None }
            );
        }
    }

    #[test]
    fn an_older_term_changes_nothing() {
        let old = [
            Event::Follows { term: OLD, leader: None },
            Event::Stands { term: OLD },
            Event::Wins { term: OLD },
            Event::Applied { term: OLD },
        ];
        for role in every_role() {
            for event in old {
                assert_eq!(role.on(event), role);
            }
        }
    }
}
