//! What is replicated in group 0. Whatever is not a function of the image (ids, placements) was chosen
//! by the proposer and stands in the command, so that every replica folds to the same image.

use super::image::Registration;
use crate::error::Error;
use crate::topic::TopicName;
use raft::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A change of the metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Gives the cluster its identity. The first one counts, later ones change nothing.
    Found {
        /// The identity.
        cluster: Uuid,
    },
    /// A broker says who and where it is.
    Register(Registration),
    /// Makes a topic.
    CreateTopic {
        /// Its name.
        name: TopicName,
        /// Its identity.
        id: Uuid,
        /// The revision of the image the placement was computed from.
        placed_at: u64,
        /// The replicas of each partition, preferred leader first.
        placement: Vec<Vec<NodeId>>,
        /// Its settings, checked by the proposer.
        settings: BTreeMap<String, String>,
    },
    /// Appends partitions to a topic.
    AddPartitions {
        /// The topic.
        name: TopicName,
        /// The revision of the image the placement was computed from.
        placed_at: u64,
        /// The replicas of each new partition.
        placement: Vec<Vec<NodeId>>,
    },
    /// Sets (`Some`) or resets (`None`) settings, checked by the proposer.
    AlterTopic {
        /// The topic.
        name: TopicName,
        /// Name to value.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Removes a topic; its group ids are never used again.
    DeleteTopic {
        /// The topic.
        name: TopicName,
        /// Its identity: a topic made anew under the name is not meant.
        id: Uuid,
    },
    /// Makes the coordinators of consumer groups. The first one counts, later ones change nothing:
    /// which coordinator a consumer group has depends on how many there are.
    CreateCoordinators {
        /// The revision of the image the placement was computed from.
        placed_at: u64,
        /// The replicas of each, preferred leader first.
        placement: Vec<Vec<NodeId>>,
    },
    /// Takes a revision of the image and changes nothing else: no other command ever gets that one, so
    /// it numbers the block of producer ids that is reserved.
    ReserveProducerIds,
}

/// Why a committed command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The image moved on since the placement was computed: compute it again.
    Stale,
    /// The caller's fault.
    Rejected(Error),
}

/// The answer to a command: the revision of the image that has it.
pub type Answer = Result<u64, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_command_does_not_change() {
        // Golden bytes: commands lie in logs that a later version must still read.
        let command = Command::CreateTopic {
            name: TopicName::new("t").unwrap(),
            id: Uuid::from_u128(7),
            placed_at: 300,
            placement: vec![vec![NodeId(1), NodeId(2)]],
            settings: BTreeMap::from([("flush.policy".into(), "os".into())]),
        };
        let bytes = storage::codec::encode(&command);
        let golden = b"\x01\x02\x01t\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x07\xfb\x2c\x01\x01\x02\x01\x02\x01\x0cflush.policy\x02os";
        assert_eq!(bytes.escape_ascii().to_string(), golden.escape_ascii().to_string());
        assert_eq!(storage::codec::decode::<Command>(&bytes).unwrap(), command);
    }
}
