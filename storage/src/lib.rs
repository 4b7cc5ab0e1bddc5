//! Floor 0: durable logs, and the small state beside them. Synchronous; knows no openraft, no tokio,
//! no HTTP.
//!
//! ```text
//!   Store ── one per node: opens everything, owns the commit thread
//!     ├── Log ── one per Raft group: positions, offsets, tail cache, segments' catalogue
//!     ├── commit ── one thread: drain → write → one barrier → votes → every callback
//!     ├── engine ── where frames live: `segment` (files) or `sled`
//!     ├── State ── sled: votes, committed, purge points, checkpoints, catalogue, identity
//!     └── disk ── the seam to the file system; a seeded faulty one for tests
//!   batch ── Kafka's RecordBatch v2: view, builder, records, compression
//!   codec ── the one place that speaks bincode
//!   sabotage ── planted bugs, in builds that prove the harness
//! ```

mod backing;
pub mod batch;
pub mod codec;
mod commit;
mod counters;
mod database;
mod directory;
pub mod disk;
pub mod engine;
mod entry;
mod flush;
mod ids;
mod log;
mod roll;
pub mod sabotage;
mod state;
mod store;

pub use counters::Counters;
pub use entry::{Entry, EntryKind, Header, Marker, StoredEntry};
pub use flush::FlushPolicy;
pub use ids::{GroupId, Index, Offset, Position, Term};
pub use log::{Done, Log, LogState, SealedEnd};
pub use roll::Roll;
pub use state::{Change, State, Table};
pub use store::{EngineKind, Store, StoreOptions};
