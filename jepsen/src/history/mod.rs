//! A history: everything that was asked of a cluster, what came of it, and what was done to it.
//!
//! ```text
//!   header        one line: seed, environment, keys, what the run had planned
//!   event         one line each, in the order of real time: invoke … ok | fail | info
//! ```
//!
//! - One file, newline-delimited JSON, append-only; [`Writer`] makes it, [`Reader`] streams it with one
//!   line in memory, [`edn`] exports it for the original checker.
//! - `index` strictly increases and `time` never goes back: the order of lines *is* the order of real
//!   time. What ended on an earlier line ended before what began on a later one.
//! - `ok` happened. `fail` certainly did not and never will. `info` may have, or may still.

pub mod edn;
mod event;
mod group;
mod header;
mod line;
mod micro;
mod nemesis;
mod operation;
mod reader;
mod replica;
mod writer;

pub use event::{Attempt, Detail, Event, Kind, Outcome, Process, ProducerStamp, ReadMode};
pub use group::{Commit, Committed, GroupView, Membership};
pub use header::{GroupProtocol, Header, Kept, Partition, SubscribedBy};
pub use micro::{Alien, Key, Micro, Polled, Seen, Sent};
pub use nemesis::{Fault, FaultStage, Leadership, NodeState, State};
pub use operation::{Operation, Setting, Topic};
pub use reader::{Reader, ReaderError, Tail};
pub use replica::{Replica, TermStart};
pub use writer::Writer;
