//! Consumer groups: who is in one, who reads which partition, how far it has come. The state machine of a
//! coordinator's Raft group, and what its leader decides.
//!
//! ```text
//!   a member's call ──► Group::beat ─┐
//!   topics, members ──► target::due ─┼─► Command ──(replicated)──► Groups::apply ──► GroupsReader
//!   a clock ────► Attendance::due ───┘                                                  │
//!        ▲                                                                              │
//!        └─────────────────────── the leader looks again ◄──────────────────────────────┘
//! ```
//!
//! The server assigns, so that a caller needs nothing but HTTP (KIP-848's model). Members learn of a new
//! generation with their next heartbeat, stop what they are to give up, commit it, and acknowledge by
//! saying the generation; partitions that do not move are read on meanwhile.
//!
//! Everything here is pure: no clock, no disk, no network.

pub mod assignor;
pub mod attendance;
pub mod command;
pub mod group;
pub mod groups;
pub mod limits;
pub mod machine;
pub mod member;
pub mod name;
pub mod offsets;
pub mod subscription;
pub mod target;
pub mod topic_partition;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod walk;

pub use assignor::Assignor;
pub use attendance::{Attendance, Due};
pub use command::{Answer, Applied, Command, Orphan};
pub use group::{Beat, Group, GroupState};
pub use groups::Groups;
pub use machine::{CoordinatorMachine, GroupsReader};
pub use member::{Allotment, Delivery, Member, MemberSpec};
pub use name::{GroupName, InstanceId, MemberId};
pub use offsets::{CommitRule, Committed, Committer, OffsetCommit, Offsets};
pub use subscription::{Subscription, TopicPattern};
pub use target::{Target, TopicShape, Topics};
pub use topic_partition::{Partitions, TopicPartition};
