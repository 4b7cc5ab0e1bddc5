//! Fault injection for Ottla clusters: histories under faults, and the checker that judges them.
//!
//! ```text
//!   history       what clients did and the nemesis did to them: NDJSON, streamed; EDN for a second verdict
//!   environment   where a cluster lives: namespaces, switch, volumes, or loopback and proxies
//!   doctor        which of it this machine allows
//! ```

pub mod doctor;
pub mod environment;
pub mod history;
