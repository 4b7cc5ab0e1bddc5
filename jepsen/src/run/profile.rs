//! Runs that have a name.

use std::time::Duration;

use crate::fault::Kind;

/// A run that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Every submission: a bit of everything, in about three minutes.
    Ci,
    /// Every fault this machine allows, one after the other, then at once.
    Nightly,
    /// Hours of everything at once.
    Soak,
}

impl Profile {
    /// How long the load lasts.
    pub const fn time(self) -> Duration {
        match self {
            Self::Ci => Duration::from_secs(100),
            Self::Nightly => Duration::from_mins(20),
            Self::Soak => Duration::from_hours(12),
        }
    }

    /// The strikes that it demands, in no order; none: drawn at random.
    pub const fn demands(self) -> &'static [Kind] {
        match self {
            Self::Ci => &[
                Kind::KillLeader,
                Kind::KillLeader,
                Kind::KillLeader,
                Kind::KillLeader,
                Kind::IsolateLeader,
                Kind::PauseLeader,
                Kind::PowerAll,
                Kind::SyncError,
                Kind::SlowLink,
                Kind::RollingRestart,
            ],
            Self::Nightly => Kind::ALL,
            Self::Soak => &[],
        }
    }
}
