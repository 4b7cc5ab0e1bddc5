//! Histories that no cluster made: clean ones from a model that does right, clean ones with one thing wrong, and
//! tales told by hand.

mod client;
mod cluster;
mod group;
pub mod mutation;
mod run;
pub mod tale;

pub use run::{Shape, Workload, events, header, run};
