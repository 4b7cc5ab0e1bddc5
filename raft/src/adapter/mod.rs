//! openraft's traits over the house's own log, transport and machines. Private: nothing above this
//! module sees a type of openraft.
//!
//! ```text
//!   config      the types openraft is run with: an entry's data, its answer, the responder
//!   ticket      what became of one proposal of this node, told by the log itself
//!   replica     what the parts of one replica share: log, watermark, purge point
//!   log_store   RaftLogStorage   over storage::Log
//!   machine     RaftStateMachine over Machine: apply reads headers, moves watermarks
//!   checkpoint  a machine's state at a segment's end; also what a snapshot is
//!   codec       AppendEntries around `Bytes`; every other message by storage::codec
//!   network     RaftNetworkV2    over Transport
//!   service     the receiving end of network
//! ```

pub(crate) mod checkpoint;
pub(crate) mod codec;
pub(crate) mod config;
pub(crate) mod log_store;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod replica;
pub(crate) mod service;
#[cfg(test)]
mod tests;
pub(crate) mod ticket;
