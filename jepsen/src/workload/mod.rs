//! What clients do while harm is done to the cluster.

mod log;

pub use log::{Log, Rules};
pub(crate) use log::{dice, with};
