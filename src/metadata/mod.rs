//! Which brokers and topics exist, and where they live: the state machine of group 0.
//!
//! ```text
//!   Command ──(replicated in group 0)──► Image::apply ──► Arc<Image> in a watch ──► readers, lock-free
//!                                                               │
//!   placement ── which replicas a new partition gets            └─► reconcile ── which groups to open,
//!   settings ── what can be set on a topic                                        remove, re-tune here
//!   identity ── which node and cluster a data directory belongs to
//! ```
//!
//! Everything here but the identity is pure: no clock, no disk, no network.

pub mod command;
pub mod identity;
pub mod image;
pub mod machine;
pub mod placement;
pub mod reconcile;
pub mod settings;
mod size;

pub use command::{Command, Refusal};
pub use identity::Identity;
pub use image::{Image, Placed, Registration, Topic};
pub use machine::MetadataMachine;
pub use settings::Settings;
pub use size::IMAGE_BYTES_MAX;

use storage::GroupId;

/// The group whose log is the cluster's metadata.
pub const METADATA_GROUP: GroupId = GroupId::ZERO;
