//! Floor 1: Raft groups, roles and peers. The only crate that says openraft; knows no topic.
//!
//! ```text
//!   Node ── one per process: all groups, one transport, one pulse
//!     ├── Group ── a handle on one Raft group: propose, read, watch
//!     │     ├── Role ── Following → Electing → Taking → Leading
//!     │     ├── Watermark ── log start ≤ high watermark ≤ end
//!     │     └── Machine ── what the floor above does with committed commands
//!     ├── adapter ── openraft's traits over `storage::Log`
//!     └── transport ── framed TCP, a control, a data and a call connection per pair of nodes
//! ```

mod adapter;
mod group;
mod machine;
mod node;
mod outcome;
mod proposal;
mod pulse;
mod purge;
mod role;
mod succession;
mod supervisor;
pub mod transport;
mod watermark;

pub use adapter::ticket::Witness;
pub use group::{Group, GroupHealth, GroupSpec, ReplicaProgress};
pub use machine::{Machine, NoCommands};
pub use node::{Node, NodeOptions, Timing};
pub use outcome::{Acks, Appended, NotAppended, Outcome, ReadRefused};
pub use proposal::{Ordered, Proposal};
pub use role::Role;
pub use storage::{EntryKind, FlushPolicy, GroupId, Header, Index, Offset, Position, Roll, Term};
pub use transport::{CallError, Lane, NodeId};
pub use watermark::Watermark;
