//! Fault injection for Ottla clusters: histories under faults, and the checker that judges them.
//!
//! ```text
//!   history       what clients did and the nemesis did to them: NDJSON, streamed; EDN for a second verdict
//!   index         a history pressed together: logs, runs, copies
//!   check         one anomaly per file, each a pure function over the index; the verdict
//!   model         histories that no cluster made: clean ones, and clean ones with one thing wrong
//!   environment   where a cluster lives: namespaces, switch, volumes, or loopback and proxies
//!   doctor        which of it this machine allows
//!   cluster       the nodes' processes, and what an administrator sees of them
//!   fault         one harm per file: it is done, undone, and its effect measured
//!   client        one request, one outcome: ok, fail, info
//!   workload      what clients do meanwhile
//!   run           a schedule from a seed, the finale, the history
//! ```

pub mod check;
pub mod client;
pub mod cluster;
pub mod doctor;
pub mod environment;
pub mod fault;
pub mod history;
pub mod index;
pub mod model;
pub mod recorder;
pub mod run;
pub mod workload;
