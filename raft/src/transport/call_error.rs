//! Why a call has no answer.

use super::node_id::NodeId;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It never left this node: the peer has certainly not seen it.
    #[error("node {to}: not sent: {why}")]
    NotSent {
        /// The peer.
        to: NodeId,
        /// Why.
        why: String,
    },
    /// It may have been served.
    #[error("node {to}: no answer: {why}")]
    Unanswered {
        /// The peer.
        to: NodeId,
        /// Why.
        why: String,
    },
}
