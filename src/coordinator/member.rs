//! A member of a group: what it said when it joined, and what it has.
//!
//! ```text
//!   target   what the newest generation means it to have
//!   owned    what it may read and commit now
//!
//!   owned \ target   to be given up: by its acknowledgement, a forced revocation, or its end
//!   target \ owned   to be taken, each partition once nobody owns it
//! ```

use super::assignor::Assignor;
use super::limits::{SETTINGS_BYTES_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};
use super::name::{InstanceId, MemberId, NAME_BYTES_MAX};
use super::subscription::Subscription;
use super::topic_partition::{LENGTH_BYTES_MAX, Partitions, by_topic, encoded_bytes_max};
use crate::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Who fetches a member's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// The member itself, from the partitions' leaders. Only the member can stop reading a partition, so
    /// one that does not within its rebalance timeout is expelled.
    Client,
    /// Records come with the answers to its polls. The server can stop giving them out, so a partition
    /// that is not released in time is taken from it, and it stays a member.
    Server,
}

/// What a member says when it joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Its id.
    pub id: MemberId,
    /// Made anew for each join, so that a join that is repeated because its answer was lost is known.
    pub attempt: Uuid,
    /// The name under which a restarted member gets its partitions back.
    pub instance: Option<InstanceId>,
    /// What the caller calls itself; shown, nothing more.
    pub client: String,
    /// What it wants to read.
    pub subscription: Subscription,
    /// Its vote for the group's assignor.
    pub assignor: Option<Assignor>,
    /// Who fetches its records.
    pub delivery: Delivery,
    /// How long it may be silent.
    pub session_timeout_ms: u32,
    /// How long it may take to give up partitions.
    pub rebalance_timeout_ms: u32,
    /// What the doors keep with it, such as where to begin without a committed offset.
    pub settings: BTreeMap<String, String>,
}

impl MemberSpec {
    /// The proposer's check.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |why: String| Err(Error::new(ErrorKind::InvalidRequest, why));
        self.subscription.check()?;
        if self.client.len() > NAME_BYTES_MAX {
            let bytes = self.client.len();
            return invalid(format!("client id of {bytes} bytes; the limit is {NAME_BYTES_MAX}"));
        }
        let timeouts = [
            ("session timeout", self.session_timeout_ms),
            ("rebalance timeout", self.rebalance_timeout_ms),
        ];
        for (what, ms) in timeouts {
            if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&ms) {
                return invalid(format!(
                    "{what} of {ms} ms; {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} are allowed"
                ));
            }
        }
        let bytes: usize = self.settings.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > SETTINGS_BYTES_MAX {
            return invalid(format!(
                "settings of {bytes} bytes; the limit is {SETTINGS_BYTES_MAX}"
            ));
        }
        Ok(())
    }

    /// The most bytes it takes encoded.
    pub(super) fn encoded_bytes_max(&self) -> usize {
        let setting = |(name, value): (&String, &String)| name.len() + value.len();
        let instance = self.instance.as_ref().map_or(0, |instance| instance.as_str().len());
        self.id.as_str().len()
            + instance
            + self.client.len()
            + self.subscription.encoded_bytes_max()
            + self.settings.iter().map(setting).sum::<usize>()
            + 2 * LENGTH_BYTES_MAX * (self.settings.len() + 1)
            + MEMBER_BYTES_MAX
    }
}

/// What a member takes beside its names, settings and partitions: numbers, ids, lengths.
const MEMBER_BYTES_MAX: usize = 192;

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub(super) spec: MemberSpec,
    /// The generation that it acknowledged last.
    pub(super) epoch: u32,
    #[serde(with = "by_topic")]
    pub(super) owned: Partitions,
    #[serde(with = "by_topic")]
    pub(super) target: Partitions,
    /// The static member whose place it took; that one is fenced.
    pub(super) fenced: Option<(MemberId, Uuid)>,
    /// When it joined, by its coordinator's clock; shown, nothing more.
    pub(super) joined_at_ms: i64,
    /// The most bytes it takes encoded, now or once it has its target; follows from the rest.
    #[serde(skip)]
    pub(super) bytes: usize,
}

impl Member {
    /// What it said when it joined, with its newest subscription.
    pub fn spec(&self) -> &MemberSpec {
        &self.spec
    }

    /// The generation that it acknowledged last.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What it may read and commit.
    pub fn owned(&self) -> &Partitions {
        &self.owned
    }

    /// What the newest generation means it to have.
    pub fn target(&self) -> &Partitions {
        &self.target
    }

    /// When it joined, in milliseconds since 1970.
    pub fn joined_at_ms(&self) -> i64 {
        self.joined_at_ms
    }

    /// Whether it owns something that the newest generation gives to another, or to nobody.
    pub fn has_to_release(&self) -> bool {
        !self.owned.is_subset(&self.target)
    }

    /// The most bytes it takes encoded with that target, before it has taken it and after. So whatever it
    /// acknowledges or is taken from it, it takes no more.
    pub(super) fn bytes_with(&self, target: &Partitions) -> usize {
        let fenced = self.fenced.as_ref().map_or(0, |(id, _)| id.as_str().len());
        let (owned, target) = (encoded_bytes_max(&self.owned), encoded_bytes_max(target));
        // Its id is the key as well.
        let id = self.spec.id.as_str().len();
        id + self.spec.encoded_bytes_max() + fenced + target + owned.max(target)
    }

    /// To be called after each change.
    pub(super) fn weigh(&mut self) {
        self.bytes = self.bytes_with(&self.target);
    }
}

/// What a member has now, and what it is to give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allotment {
    /// The group's newest generation; a heartbeat that says it acknowledges it.
    pub generation: u32,
    /// The generation that the member acknowledged last.
    pub epoch: u32,
    /// What it may go on reading, or begin to.
    #[serde(with = "by_topic")]
    pub assigned: Partitions,
    /// What it is to stop reading; until it acknowledges `generation` it can still commit it.
    #[serde(with = "by_topic")]
    pub revoke: Partitions,
    /// What is meant for it and not its own yet: it comes as others release it.
    #[serde(with = "by_topic")]
    pub awaited: Partitions,
}

impl Member {
    /// What it has in `generation`.
    pub(super) fn allotment(&self, generation: u32) -> Allotment {
        Allotment {
            generation,
            epoch: self.epoch,
            assigned: &self.owned & &self.target,
            revoke: &self.owned - &self.target,
            awaited: &self.target - &self.owned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> MemberSpec {
        MemberSpec {
            id: MemberId::new("m").unwrap(),
            attempt: Uuid::nil(),
            instance: None,
            client: String::new(),
            subscription: Subscription::nothing(),
            assignor: None,
            delivery: Delivery::Client,
            session_timeout_ms: TIMEOUT_MS_MIN,
            rebalance_timeout_ms: TIMEOUT_MS_MAX,
            settings: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_naming_the_bound() {
        spec().check().unwrap();
        let rows = [
            (
                MemberSpec { session_timeout_ms: 99, ..spec() },
                "session timeout of 99 ms; 100 to 3600000 are allowed",
            ),
            (
                MemberSpec { rebalance_timeout_ms: 3_600_001, ..spec() },
                "rebalance timeout of 3600001 ms; 100 to 3600000 are allowed",
            ),
            (
                MemberSpec { client: "x".repeat(256), ..spec() },
                "client id of 256 bytes; the limit is 255",
            ),
            (
                MemberSpec {
                    settings: BTreeMap::from([("n".into(), "x".repeat(SETTINGS_BYTES_MAX))]),
                    ..spec()
                },
                "settings of 4097 bytes; the limit is 4096",
            ),
        ];
        for (spec, message) in rows {
            let error = spec.check().unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidRequest, message));
        }
    }
}
