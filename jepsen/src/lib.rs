//! Fault injection for Ottla clusters: histories under faults, and the checker that judges them.
//!
//! ```text
//!   environment   where a cluster lives: namespaces, switch, volumes, or loopback and proxies
//!   doctor        which of it this machine allows
//! ```

pub mod doctor;
pub mod environment;
