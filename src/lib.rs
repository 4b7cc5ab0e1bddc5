//! Ottla: a replicated, partitioned event log over HTTP. Each partition is one Raft group.
//!
//! A map of the house, top floor first; an import points down, never up (`tests/tidy.rs`):
//!
//! ```text
//!   7  main, cli, server      start, stop, own every task
//!   6  http client            doors: bytes to calls, no decisions; and the other side of them
//!   5  broker                 the one API of the house
//!   4  metadata coordinator   which topics exist, where they live; who consumes them
//!   3  partition              one log to produce to and fetch from
//!      retention compaction   what of it is kept
//!      producers              so that what is sent twice is there once
//!   2  config error path tasks topic   plain values
//!   1  raft (crate)           groups, roles, peers; knows no topic
//!   0  storage (crate)        logs on disk; synchronous
//! ```

pub mod broker;
pub mod cli;
pub mod client;
pub mod compaction;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod http;
pub mod metadata;
pub mod partition;
pub mod partitioner;
pub mod path;
pub mod producers;
pub mod retention;
pub mod server;
pub mod tasks;
pub mod topic;
