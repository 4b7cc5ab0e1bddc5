//! Fault injection for Ottla clusters: histories under faults, and the checker that judges them.
//!
//! ```text
//!   history       what clients did and the nemesis did to them: NDJSON, streamed; EDN for a second verdict
//!   index         a history pressed together: logs, runs, copies
//!   check         one anomaly per file, each a pure function over the index; the verdict
//!   model         histories that no cluster made: clean ones, and clean ones with one thing wrong
//!   report        the page, and the result for a build server
//!   environment   where a cluster lives: namespaces, switch, volumes, or loopback and proxies
//!   doctor        which of it this machine allows
//!   cluster       the nodes' processes, and what an administrator sees of them
//!   fault         one harm per file: it is done, undone, and its effect measured
//!   client        one request, one outcome: ok, fail, info
//!   workload      what clients do meanwhile
//!   run           a schedule from a seed, the finale, the history
//!   sabotage      bugs that are planted, and have to be found
//! ```
//!
//! What joins the parts, so that whoever runs clusters need not ask:
//!
//! - A run writes one [`history::Event`] per line through [`history::Writer`], in the order of real time: it hands
//!   the lines of all clients, the nemesis and the observer to one place, which stamps time and index.
//! - A client process has one operation under way. After `info` it is never used again; a late answer is dropped.
//! - A retry is an attempt inside its operation ([`history::Attempt`]), not a new one: an operation is what the
//!   caller wanted. `fail` is only what certainly never happens.
//! - Values are unique per key, and records carry who sent them, for which key, and a CRC; what does not decode
//!   is told as an [`history::Alien`].
//! - `assigned` in a heartbeat's answer is what the member may read from then on, in the generation of the answer; the
//!   generation it *says* is one that it has acknowledged. A member that joins anew has a new name.
//! - A fault tells what it measurably did, with its heal or at once; the observer tells nodes and leaders as
//!   they change. [`check::Summary`] makes a run without effects `unknown`.
//! - At the end every replica's copy is read, all nodes restart, and it is read again, served and from disk
//!   ([`history::Replica`]); the header says how many replicas that must be.

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
pub mod report;
pub mod run;
pub mod sabotage;
pub mod workload;
