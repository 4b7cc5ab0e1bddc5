//! What clients do while harm is done to the cluster.

mod log;

use std::fmt;

pub use log::{Log, Rules};
pub(crate) use log::{dice, with};

/// What the clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// They append and read.
    #[default]
    Log,
    /// They append with sequence numbers, again and again until they are answered, and read.
    Idempotent,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Idempotent => "idempotent",
        })
    }
}
