//! Fault injection for Ottla clusters: histories under faults, and the checker that judges them.
//!
//! ```text
//!   history       what clients did and the nemesis did to them: NDJSON, streamed; EDN for a second verdict
//!   index         a history pressed together: logs, runs, copies
//!   check         one anomaly per file, each a pure function over the index; the verdict
//!   model         histories that no cluster made: clean ones, and clean ones with one thing wrong
//!   environment   where a cluster lives: namespaces, switch, volumes, or loopback and proxies
//!   doctor        which of it this machine allows
//! ```

pub mod check;
pub mod doctor;
pub mod environment;
pub mod history;
pub mod index;
pub mod model;
