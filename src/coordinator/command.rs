//! What is replicated in a coordinator's group. Times, ids and targets were chosen by the proposer and
//! stand in the command, so that every replica folds to the same state.

use super::member::{Allotment, MemberSpec};
use super::name::{GroupName, MemberId};
use super::offsets::{CommitRule, Committer, OffsetCommit};
use super::subscription::Subscription;
use super::target::Target;
use super::topic_partition::{Partitions, TopicPartition, by_topic};
use crate::error::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A change of a coordinator's state. New kinds are appended: commands lie in logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A member comes; its group is made if there is none.
    Join {
        /// The group.
        group: GroupName,
        /// The member.
        spec: MemberSpec,
        /// The coordinator's time.
        at_ms: i64,
    },
    /// A member goes.
    Leave {
        /// The group.
        group: GroupName,
        /// The member.
        member: MemberId,
        /// The coordinator's time.
        at_ms: i64,
    },
    /// A member wants other topics.
    Subscribe {
        /// The group.
        group: GroupName,
        /// The member.
        member: MemberId,
        /// What it wants now.
        subscription: Subscription,
    },
    /// A member knows `generation` and has stopped reading what is not its own in it.
    Acknowledge {
        /// The group.
        group: GroupName,
        /// The member.
        member: MemberId,
        /// The generation.
        generation: u32,
    },
    /// The leader computed who is to have what.
    Assign {
        /// The group.
        group: GroupName,
        /// Who is to have what, and what that was computed from.
        target: Target,
    },
    /// The leader takes from a member what it has to release in `generation`; for [`super::Delivery::Server`].
    Revoke {
        /// The group.
        group: GroupName,
        /// The member.
        member: MemberId,
        /// The generation that it was to acknowledge.
        generation: u32,
    },
    /// The leader expels a member that was silent for too long, or did not release in time.
    Expire {
        /// The group.
        group: GroupName,
        /// The member.
        member: MemberId,
        /// The join that is meant.
        attempt: Uuid,
        /// The generation that it had acknowledged: if it acknowledged another meanwhile, it lives.
        epoch: u32,
        /// The leader's time.
        at_ms: i64,
    },
    /// Stores offsets, all or none.
    Commit {
        /// The group; made if there is none and nobody in particular commits.
        group: GroupName,
        /// Who commits.
        by: Committer,
        /// What is stored.
        offsets: Vec<OffsetCommit>,
        /// Whether a smaller offset than the stored one counts.
        rule: CommitRule,
        /// The revision of the metadata in which the topics were looked up.
        metadata_revision: u64,
        /// The coordinator's time.
        at_ms: i64,
    },
    /// Removes stored offsets of partitions that no member owns.
    DeleteOffsets {
        /// The group.
        group: GroupName,
        /// The partitions.
        #[serde(with = "by_topic")]
        partitions: Partitions,
    },
    /// The leader removes offsets of topics that are gone.
    DropOffsets {
        /// Which.
        orphans: Vec<Orphan>,
    },
    /// Removes a group without members and its offsets.
    DeleteGroup {
        /// The group.
        group: GroupName,
    },
    /// The leader removes a group that nobody used for long.
    Abandon {
        /// The group.
        group: GroupName,
        /// Since when it had not been used: if it was used meanwhile, it stays.
        idle_since_ms: i64,
    },
}

/// A stored offset of a topic that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Whose offset.
    pub group: GroupName,
    /// The partition.
    pub partition: TopicPartition,
    /// The identity of the topic: one made anew under the name is not meant.
    pub topic_id: Uuid,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// It is so now, or was before.
    Done,
    /// The member is in, or was before by the same attempt.
    Joined(Allotment),
    /// What the member has after its acknowledgement.
    Acknowledged(Allotment),
    /// The state moved on since the leader decided: decide again.
    Stale,
}

/// The answer to a command.
pub type Answer = Result<Applied, Error>;

impl Command {
    /// The group it is about, if it is one.
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Join { group, .. }
            | Self::Leave { group, .. }
            | Self::Subscribe { group, .. }
            | Self::Acknowledge { group, .. }
            | Self::Assign { group, .. }
            | Self::Revoke { group, .. }
            | Self::Expire { group, .. }
            | Self::Commit { group, .. }
            | Self::DeleteOffsets { group, .. }
            | Self::DeleteGroup { group }
            | Self::Abandon { group, .. } => Some(group),
            Self::DropOffsets { .. } => None,
        }
    }

    /// Whether it is about who is in a group and who owns what, not about offsets alone.
    pub(super) fn is_membership(&self) -> bool {
        match self {
            Self::Join { .. }
            | Self::Leave { .. }
            | Self::Subscribe { .. }
            | Self::Acknowledge { .. }
            | Self::Assign { .. }
            | Self::Revoke { .. }
            | Self::Expire { .. }
            | Self::DeleteGroup { .. }
            | Self::Abandon { .. } => true,
            Self::Commit { .. } | Self::DeleteOffsets { .. } | Self::DropOffsets { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::fixtures::{group, member, partitions, spec, topic};
    use crate::coordinator::target::{Share, TopicShape, Topics};
    use crate::coordinator::{Assignor, InstanceId};
    use crate::topic::PartitionId;
    use std::collections::BTreeMap;
    use storage::{Offset, Term};

    /// Golden bytes: commands lie in logs that a later version must still read.
    #[track_caller]
    fn check(command: &Command, golden: &[u8]) {
        let bytes = storage::codec::encode(command);
        assert_eq!(bytes.escape_ascii().to_string(), golden.escape_ascii().to_string());
        assert_eq!(storage::codec::decode::<Command>(&bytes).unwrap(), *command);
    }

    #[test]
    fn the_encoding_of_commands_does_not_change() {
        let mut spec = spec("m", &["t"]);
        spec.instance = Some(InstanceId::new("i").unwrap());
        spec.assignor = Some(Assignor::Range);
        spec.settings.insert("k".into(), "v".into());
        check(&Command::Join { group: group("g"), spec, at_ms: 7 }, b"\x01\0\x01g\x01m\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\x01i\x01c\0\x01\x01t\x01\x02\0\xfb\xc8\xaf\xfb`\xea\x01\x01k\x01v\x0e");
        let target = Target {
            based_on: 2,
            assignor: Assignor::Sticky,
            topics: Topics {
                revision: 3,
                shapes: BTreeMap::from([(
                    topic("t"),
                    TopicShape { id: Uuid::from_u128(9), partitions: 2 },
                )]),
            },
            members: BTreeMap::from([(member("m"), Share(partitions("t", 0..2)))]),
        };
        check(&Command::Assign { group: group("g"), target }, b"\x01\x04\x01g\x02\0\x03\x01\x01t\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\x02\x01\x01m\x01\x01t\x02\0\x01");
        let commit = Command::Commit {
            group: group("g"),
            by: Committer::Member { id: member("m"), generation: Some(1) },
            offsets: vec![OffsetCommit {
                partition: TopicPartition::new(topic("t"), PartitionId(1)),
                topic_id: Uuid::from_u128(9),
                offset: Offset::new(300),
                leader_epoch: Some(Term::new(4)),
                metadata: "x".into(),
            }],
            rule: CommitRule::Forward,
            metadata_revision: 3,
            at_ms: -1,
        };
        check(&commit, b"\x01\x07\x01g\0\x01m\x01\x01\x01\x01t\x01\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\xfb\x2c\x01\x01\x04\x01x\x01\x03\x01");
    }
}
