//! What a coordinator holds at most. The proposer checks what a command brings; the fold checks what
//! would grow the state beyond its bounds, so that every replica's memory and checkpoint stay bounded.

/// Groups of one coordinator.
pub const GROUPS_MAX: usize = 1000;
/// Members of one group.
pub const MEMBERS_MAX: usize = 1000;
/// Committed offsets of one coordinator, over all its groups.
pub const OFFSETS_MAX: usize = 50_000;
/// Bytes of the metadata that a caller stores with an offset (Kafka's limit).
pub const METADATA_BYTES_MAX: usize = 4096;
/// Bytes of the offsets in one commit: a command travels between nodes in one frame.
pub const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Bytes of a member's settings, names and values.
pub const SETTINGS_BYTES_MAX: usize = 4096;
/// Topics, or partitions claimed by hand, that one member names.
pub const SUBSCRIBED_MAX: usize = 1000;
/// Bytes of a topic pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Bytes of a coordinator's state: its checkpoint is one value of the codec, with room for its frame.
pub const STATE_BYTES_MAX: usize = 12 << 20;

/// The shortest session or rebalance timeout.
pub const TIMEOUT_MS_MIN: u32 = 100;
/// The longest session or rebalance timeout: an hour.
pub const TIMEOUT_MS_MAX: u32 = 3_600_000;
/// How long a member may be silent unless it says so (Kafka's `session.timeout.ms`).
pub const SESSION_TIMEOUT_MS: u32 = 45_000;
/// How long a member may take to give up partitions unless it says so.
pub const REBALANCE_TIMEOUT_MS: u32 = 60_000;

const _: () = assert!(
    STATE_BYTES_MAX + (1 << 20) <= storage::codec::VALUE_BYTES_MAX,
    "a checkpoint has room for what raft puts around the state"
);
